"""The three ways in which papers score the next frame of UCF-101. Each has its own names, and they never share a table.

All use the 379 clips of every tenth line of testlist01. Mathieu et al. 2016 and DVF (Liu et al. 2017) score moving
pixels only, but in different ways; MCNet (Villegas et al. 2017) scores the whole frame. The mask comes from the
authors' files (flow images, `motion_mask.png`), never from a prediction.

A masked metric takes prediction and target, (..., 3, H, W) uint8, and a mask (..., 1, H, W) bool, true where a pixel
moves. It returns values (...) and a bool array (...) of the frames that count. A frame that the protocol skips is 0.0
and False: average ``values[counted]``, and report the number of skipped frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vidgan.metrics.frame import check_pair, decibels, psnr, ssim_grey, to_grey
from vidgan.metrics.local_statistics import GAUSSIAN_WINDOW, gaussian_terms
from vidgan.metrics.values import Values, enters_mean
from vidgan.types import ByteClip

Counted: TypeAlias = npt.NDArray[np.bool_]

MOVING_BELOW = 0.2  # level of a colour channel of the flow image (Mathieu et al.)
SKIP_FROM = 50.0  # dB; Mathieu's script skips frames that hardly move
SHARPNESS_SCALE = 128.0**2
SHARPNESS_FLOOR = 1e-4
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class MaskedMetric:
    """`FrameMetric` for functions that also take a mask, and also return which frames count."""

    function: Callable[[ByteClip, ByteClip, Tensor], tuple[Values, Counted]]
    definition: str
    better: Literal["lower", "higher"]


def flow_picture_mask(picture: ByteClip) -> Tensor:
    """Mathieu's mask of moving pixels: a channel of the colour-coded flow is below 0.2.

    (..., 3, H, W) uint8 -> (..., 1, H, W) bool.
    """
    return (picture < MOVING_BELOW * 255).any(dim=-3, keepdim=True)


def mathieu_psnr(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """PSNR in dB of the whole frame after static pixels were made equal, peak 255; 50 dB and more are skipped.

    The equal pixels raise it, so DVF's PSNR of the same frames is lower.
    """
    values = psnr(*_masked(prediction, target, mask))
    return _keep(values, values < SKIP_FROM)


def mathieu_ssim(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """SSIM of the luma, in [-1, 1], with static pixels black, of the frames that `mathieu_psnr` counts.

    11x11 Gaussian kernel of sigma 1.5 over a frame padded by 10 black pixels on every side ('full' convolution).
    """
    _, counted = mathieu_psnr(prediction, target, mask)
    pair = [_luma(frames) for frames in _masked(prediction, target, mask)]
    border = GAUSSIAN_WINDOW - 1
    return _keep(_padded_ssim(*pair, border=border, mode="constant"), counted)


def mathieu_sharpness(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """Sharpness of Mathieu's script, in dB, of the frames that `mathieu_psnr` counts.

    10 log10(255^2 / E), where E = 128^2 / (C H W) times the sum over inner pixels and channels of
    ||dx p| - |dx y|| + ||dy p| - |dy y||, images in [-1, 1], and E is at least 1e-4. The formula of the paper, which is
    "sharpness" in `METRICS`, has other constants.
    """
    _, counted = mathieu_psnr(prediction, target, mask)
    pair = [frames.cpu().numpy() / 127.5 - 1 for frames in _masked(prediction, target, mask)]
    # Inner pixels have a neighbour on every side; differences are taken to the right and downward.
    across = [np.abs(np.diff(image, axis=-1))[..., 1:-1, 1:] for image in pair]
    down = [np.abs(np.diff(image, axis=-2))[..., 1:, 1:-1] for image in pair]
    total = np.abs(across[0] - across[1]) + np.abs(down[0] - down[1])  # (..., C, H-2, W-2)
    error = SHARPNESS_SCALE * total.sum(axis=(-3, -2, -1)) / np.prod(prediction.shape[-3:])
    return _keep(10 * np.log10(255**2 / np.maximum(error, SHARPNESS_FLOOR)), counted)


def dvf_psnr(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """PSNR in dB of the moving pixels only, peak 255; frames without motion and exact ones are skipped."""
    _check(prediction, target, mask)
    moving = mask.cpu().numpy()
    difference = np.subtract(prediction.cpu().numpy(), target.cpu().numpy(), dtype=np.int64)
    squares = np.where(moving, np.square(difference), 0).sum(axis=(-3, -2, -1))
    number = prediction.shape[-3] * moving.sum(axis=(-3, -2, -1))
    return _keep(decibels(squares / np.maximum(number, 1) / 255**2), (number > 0) & (squares > 0))


def dvf_ssim(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """Matlab's `ssim`, in [-1, 1], of the grey masked frames that `dvf_psnr` counts.

    11x11 Gaussian kernel of sigma 1.5, replicated border, L = 255, grey rounded to uint8.
    """
    _, counted = dvf_psnr(prediction, target, mask)
    pair = [
        to_grey(frames).cpu().numpy()[..., 0, :, :].astype(np.float64) for frames in _masked(prediction, target, mask)
    ]
    return _keep(_padded_ssim(*pair, border=GAUSSIAN_WINDOW // 2, mode="edge"), counted)


def full_psnr(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """PSNR in dB of the whole frame (MCNet); the mask is ignored, exact frames are skipped."""
    _check(prediction, target, mask)
    values = psnr(prediction, target)
    return _keep(values, enters_mean(values))


def full_ssim(prediction: ByteClip, target: ByteClip, mask: Tensor) -> tuple[Values, Counted]:
    """SSIM-G-grey of the whole frame (MCNet), in [-1, 1]; the mask is ignored, every frame counts."""
    _check(prediction, target, mask)
    values = ssim_grey(prediction, target)
    return values, np.ones_like(values, dtype=bool)


MASKED: dict[str, MaskedMetric] = {
    "mathieu_psnr": MaskedMetric(
        mathieu_psnr,
        "PSNR in dB, Mathieu masking: whole frame, resting pixels equal, peak 255; 50 dB and more skipped",
        "higher",
    ),
    "mathieu_ssim": MaskedMetric(
        mathieu_ssim,
        "SSIM, Mathieu masking: luma, resting pixels black, 11x11 Gaussian, 'full' border, L = 255; skips as its PSNR",
        "higher",
    ),
    "mathieu_sharpness": MaskedMetric(
        mathieu_sharpness,
        "sharpness in dB, Mathieu's script: 10 log10(255^2 / E), E scaled by 128^2; skips as its PSNR",
        "higher",
    ),
    "dvf_psnr": MaskedMetric(
        dvf_psnr, "PSNR in dB, DVF masking: moving pixels only, peak 255; no motion or no error: dropped", "higher"
    ),
    "dvf_ssim": MaskedMetric(
        dvf_ssim,
        "SSIM, DVF masking: grey, resting pixels black, 11x11 Gaussian, borders repeated (Matlab), L = 255; drops as "
        "its PSNR",
        "higher",
    ),
    "full_psnr": MaskedMetric(
        full_psnr, "PSNR in dB, whole frame, peak 255 (MCNet); identical frames skipped", "higher"
    ),
    "full_ssim": MaskedMetric(full_ssim, "SSIM-G-grey, whole frame, L = 255 (MCNet)", "higher"),
}


def _check(prediction: ByteClip, target: ByteClip, mask: Tensor) -> None:
    check_pair(prediction, target)
    shape = (*target.shape[:-3], 1, *target.shape[-2:])
    if tuple(mask.shape) != shape or mask.dtype != torch.bool:
        raise ValueError(f"the motion mask must be bool of shape {shape}, got {mask.dtype} {tuple(mask.shape)}")


def _masked(prediction: ByteClip, target: ByteClip, mask: Tensor) -> list[ByteClip]:
    """Set static pixels of both to 0, which is -1 in the range of the authors' scripts."""
    _check(prediction, target, mask)
    return [frames.cpu() * mask.cpu() for frames in (prediction, target)]


def _keep(values: Values, counted: Counted) -> tuple[Values, Counted]:
    counted = np.asarray(counted)
    return np.where(counted, values, 0.0), counted


def _luma(frames: ByteClip) -> Values:
    """Luma without rounding: (..., C, H, W) uint8 -> (..., H, W) float64."""
    levels = frames.cpu().numpy().astype(np.float64)
    return levels[..., 0, :, :] if levels.shape[-3] == 1 else np.tensordot(levels, LUMA, axes=(-3, 0))


def _padded_ssim(first: Values, second: Values, *, border: int, mode: Literal["constant", "edge"]) -> Values:
    """SSIM-G of padded frames: (..., H, W) twice -> (...)."""
    width = [(0, 0)] * (first.ndim - 2) + [(border, border)] * 2
    luminance, structure = gaussian_terms(np.pad(first, width, mode), np.pad(second, width, mode), 255)
    return (luminance * structure).mean(axis=(-2, -1))
