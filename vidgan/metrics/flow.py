"""Optical-flow errors: flows are (..., 2, H, W), dx then dy, in pixels.

The errors do not depend on the direction of a flow as long as prediction and truth share it. Inside this package flow
is backward; the ground truth of Middlebury, Sintel, FlyingChairs and KITTI is forward.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vidgan.types import Flow

Values: TypeAlias = npt.NDArray[np.float64]

# A KITTI outlier is wrong by more than both of these (Menze and Geiger 2015).
OUTLIER_PIXELS = 3.0
OUTLIER_SHARE = 0.05


def end_point_error(prediction: Flow, target: Flow, valid: Tensor | None = None) -> Values:
    """EPE: mean length of the difference vector over the valid pixels of each flow, in pixels.

    Sintel and FlyingChairs pool all pixels, KITTI averages over images: for dense flows of one size both are the mean
    of these values; for sparse ones take the mean of these values (KITTI's rule).

    Args:
        prediction: (..., 2, H, W).
        target: (..., 2, H, W).
        valid: (..., H, W) bool, None for everywhere.

    Returns:
        (...) float64, one number a flow.

    Raises:
        ValueError: shapes differ, a flow has no valid pixel, or a value at a valid pixel is not finite.
    """
    prediction, target, valid = _checked(prediction, target, valid)
    return _mean_over(torch.linalg.vector_norm(prediction - target, dim=-3), valid)


def angular_error(prediction: Flow, target: Flow, valid: Tensor | None = None) -> Values:
    """AAE: mean angle in degrees between (dx, dy, 1) of prediction and truth (Barron et al. 1994), per flow.

    Arguments, result and errors as `end_point_error`.
    """
    prediction, target, valid = _checked(prediction, target, valid)
    dot = (prediction * target).sum(dim=-3) + 1
    lengths = (prediction.square().sum(dim=-3) + 1).sqrt() * (target.square().sum(dim=-3) + 1).sqrt()
    return _mean_over((dot / lengths).clamp(-1, 1).acos().rad2deg(), valid)


def fl_all(prediction: Flow, target: Flow, valid: Tensor | None = None) -> float:
    """Fl-all: percent of valid pixels whose error exceeds 3 px and 5 % of the true length, pooled over all flows.

    Arguments and errors as `end_point_error`. For a data set in several batches, pool the batches first: the mean of
    per-image shares is another number.
    """
    prediction, target, valid = _checked(prediction, target, valid)
    error = torch.linalg.vector_norm(prediction - target, dim=-3)
    length = torch.linalg.vector_norm(target, dim=-3)
    outlier = (error > OUTLIER_PIXELS) & (error > OUTLIER_SHARE * length)
    return 100 * float(outlier[valid].double().mean())


def photometric_error(
    first: Tensor, second: Tensor, flow: Flow, warp: Callable[[Tensor, Tensor], Tensor], valid: Tensor | None = None
) -> Values:
    """Mean absolute difference, in grey levels, between ``first`` and ``second`` brought onto it by the flow.

    A check that needs no ground truth, and the check of direction: with the right flow the error is a fraction of that
    of zero flow, with its negative it is larger. Occluded pixels keep it above zero even for the true flow.

    Args:
        first: (N, C, H, W) uint8. For a forward flow the earlier frame, for a backward flow the later one.
        second: (N, C, H, W) uint8, the frame that the flow points into: first(x) = second(x + flow(x)).
        flow: (N, 2, H, W) pixels.
        warp: function of (frames (N, C, H, W) float, flow) that samples the frames at x + flow(x), as `vidgan.nn.warp`.
        valid: (N, H, W) bool, None for everywhere.

    Returns:
        (N,) float64, 0..255.

    Raises:
        ValueError: frames that are not uint8 of one shape, a flow of another size, or no valid pixel.
    """
    if first.dtype != torch.uint8 or second.dtype != torch.uint8 or first.shape != second.shape or first.dim() != 4:
        raise ValueError(f"frames are uint8 (N, C, H, W) of one shape, got {first.shape} and {second.shape}")
    if flow.shape != (len(first), 2, *first.shape[-2:]):
        raise ValueError(f"the flow of {tuple(first.shape)} frames is (N, 2, H, W), got {tuple(flow.shape)}")
    flow, _, valid = _checked(flow, flow, valid)
    flow = torch.where(valid[:, None], flow, 0.0)  # what an unknown pixel holds must not reach the sampling grid
    brought = warp(second.cpu().double(), flow)
    return _mean_over((brought - first.cpu().double()).abs().mean(dim=1), valid)


def _checked(prediction: Flow, target: Flow, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    if prediction.shape != target.shape or prediction.dim() < 3 or prediction.shape[-3] != 2:
        raise ValueError(
            f"flows are (..., 2, H, W) of one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    pixels = (*target.shape[:-3], *target.shape[-2:])
    if valid is None:
        valid = torch.ones(pixels, dtype=torch.bool)
    if valid.shape != pixels or valid.dtype != torch.bool:
        raise ValueError(f"valid must be bool of shape {pixels}, got {valid.dtype} of shape {tuple(valid.shape)}")
    valid = valid.cpu()
    if not bool(valid.flatten(-2).any(dim=-1).all()):
        raise ValueError("a flow has no valid pixel, so it has no error")
    prediction, target = prediction.cpu().double(), target.cpu().double()
    for name, flow in (("prediction", prediction), ("target", target)):
        if not bool((flow.isfinite().all(dim=-3) | ~valid).all()):
            raise ValueError(f"the {name} flow holds values that are not finite at valid pixels")
    return prediction, target, valid


def _mean_over(errors: Tensor, valid: Tensor) -> Values:
    # where() rather than a product: an unknown pixel may hold NaN.
    total = torch.where(valid, errors, 0.0).sum(dim=(-2, -1))
    return (total / valid.sum(dim=(-2, -1))).numpy()
