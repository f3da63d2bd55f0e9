"""Optical-flow errors. Flows are (..., 2, H, W), dx then dy, in pixels.

The direction of the flow does not matter as long as prediction and target share it. Inside this package flow is
backward; the ground truth of Middlebury, Sintel, FlyingChairs and KITTI is forward.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vidgan.metrics.values import Values
from vidgan.types import Flow

# The error of a KITTI outlier exceeds both limits (Menze and Geiger 2015).
OUTLIER_PIXELS = 3.0
OUTLIER_SHARE = 0.05  # of the true length


def end_point_error(prediction: Flow, target: Flow, valid: Tensor | None = None) -> Values:
    """End-point error (EPE): mean length of the difference vector over the valid pixels of each flow, in pixels.

    Sintel and FlyingChairs pool all pixels, KITTI averages over images. For dense flows of one size both rules equal
    the mean of the returned values; for sparse flows that mean follows KITTI.

    Args:
        prediction: (..., 2, H, W).
        target: (..., 2, H, W).
        valid: (..., H, W) bool; None: every pixel.

    Returns:
        (...) float64, one number per flow, >= 0.

    Raises:
        ValueError: shapes differ, a flow has no valid pixel, or a value at a valid pixel is not finite.
    """
    prediction, target, valid = _checked(prediction, target, valid)
    return _mean_over(torch.linalg.vector_norm(prediction - target, dim=-3), valid)


def angular_error(prediction: Flow, target: Flow, valid: Tensor | None = None) -> Values:
    """Average angular error (AAE): mean angle between (dx, dy, 1) of prediction and target, in degrees, 0..180.

    The definition is that of Barron et al. 1994; arguments, shapes and errors are those of `end_point_error`.
    """
    prediction, target, valid = _checked(prediction, target, valid)
    dot = (prediction * target).sum(dim=-3) + 1
    lengths = (prediction.square().sum(dim=-3) + 1).sqrt() * (target.square().sum(dim=-3) + 1).sqrt()
    return _mean_over((dot / lengths).clamp(-1, 1).acos().rad2deg(), valid)


def fl_all(prediction: Flow, target: Flow, valid: Tensor | None = None) -> float:
    """Fl-all: percentage of valid pixels whose error exceeds both 3 px and 5 % of the true length (Menze and Geiger).

    All flows are pooled. Pool a data set that comes in several batches first, because the mean of per-image percentages
    is another number. Arguments and errors are those of `end_point_error`.
    """
    prediction, target, valid = _checked(prediction, target, valid)
    error = torch.linalg.vector_norm(prediction - target, dim=-3)
    length = torch.linalg.vector_norm(target, dim=-3)
    outlier = (error > OUTLIER_PIXELS) & (error > OUTLIER_SHARE * length)
    return 100 * float(outlier[valid].double().mean())


def photometric_error(
    first: Tensor, second: Tensor, flow: Flow, warp: Callable[[Tensor, Tensor], Tensor], valid: Tensor | None = None
) -> Values:
    """Mean absolute difference, in grey levels, between ``first`` and ``second`` warped by the flow.

    It needs no ground truth, and it checks the direction of a flow: the correct flow gives a fraction of the error of
    zero flow, its negative a larger one. Occluded pixels keep it above zero even for the true flow.

    Args:
        first: (N, C, H, W) uint8: the earlier frame for a forward flow, the later one for a backward flow.
        second: (N, C, H, W) uint8, the frame that the flow points into: first(x) = second(x + flow(x)).
        flow: (N, 2, H, W) pixels.
        warp: function of (frames (N, C, H, W) float, flow) that samples the frames at x + flow(x), as `vidgan.nn.warp`.
        valid: (N, H, W) bool; None: every pixel.

    Returns:
        (N,) float64, 0..255.

    Raises:
        ValueError: frames that are not uint8 of one shape, a flow of another size, or no valid pixel.
    """
    if first.dtype != torch.uint8 or second.dtype != torch.uint8 or first.shape != second.shape or first.dim() != 4:
        raise ValueError(f"frames must be uint8 (N, C, H, W) of one shape, got {first.shape} and {second.shape}")
    if flow.shape != (len(first), 2, *first.shape[-2:]):
        raise ValueError(f"the flow of {tuple(first.shape)} frames must be (N, 2, H, W), got {tuple(flow.shape)}")
    flow, _, valid = _checked(flow, flow, valid)
    flow = torch.where(valid[:, None], flow, 0.0)  # an unknown pixel may hold NaN, which must not reach the sampling
    warped = warp(second.cpu().double(), flow)
    return _mean_over((warped - first.cpu().double()).abs().mean(dim=1), valid)


def _checked(prediction: Flow, target: Flow, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    if prediction.shape != target.shape or prediction.dim() < 3 or prediction.shape[-3] != 2:
        raise ValueError(
            f"flows must be (..., 2, H, W) of one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    pixels = (*target.shape[:-3], *target.shape[-2:])
    if valid is None:
        valid = torch.ones(pixels, dtype=torch.bool)
    if valid.shape != pixels or valid.dtype != torch.bool:
        raise ValueError(f"valid must be bool of shape {pixels}, got {valid.dtype} of shape {tuple(valid.shape)}")
    valid = valid.cpu()
    if not bool(valid.flatten(-2).any(dim=-1).all()):
        raise ValueError("a flow has no valid pixel; each needs at least one")
    prediction, target = prediction.cpu().double(), target.cpu().double()
    for name, flow in (("prediction", prediction), ("target", target)):
        if not bool((flow.isfinite().all(dim=-3) | ~valid).all()):
            raise ValueError(f"the {name} flow has values that are not finite at valid pixels")
    return prediction, target, valid


def _mean_over(errors: Tensor, valid: Tensor) -> Values:
    # where() rather than a product: an unknown pixel may hold NaN.
    total = torch.where(valid, errors, 0.0).sum(dim=(-2, -1))
    return (total / valid.sum(dim=(-2, -1))).numpy()
