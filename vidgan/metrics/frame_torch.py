"""Batched and differentiable frame metrics on any device: for scoring on a GPU, or as a training term.

Each takes two floating-point tensors of one shape (..., C, H, W) in [0, 1] and returns a tensor (...), one number per
frame, with gradients to both inputs. They are computed in float32 (float64 for float64 inputs), also under autocast.
On whole grey levels they equal those of `frame` to 1e-5; on a CPU `frame` is faster, and its docstrings
give the definitions.

>>> prediction = torch.full((2, 3, 32, 32), 0.5)
>>> psnr(prediction, torch.zeros_like(prediction))
tensor([6.0206, 6.0206])
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from vidgan.metrics.frame import METRICS, FrameMetric
from vidgan.metrics.local_statistics import (
    GAUSSIAN_WINDOW,
    MS_SMALLEST,
    UNIFORM_WINDOW,
    gaussian_terms,
    multi_scale_ssim,
    uniform_terms,
)
from vidgan.metrics.values import Values
from vidgan.types import ByteClip

FRAME = (-3, -2, -1)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """MSE-pix: (..., C, H, W) in [0, 1] twice -> (...)."""
    prediction, target = _checked(prediction, target)
    return (prediction - target).square().mean(dim=FRAME)


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """MAE-pix: (..., C, H, W) in [0, 1] twice -> (...)."""
    prediction, target = _checked(prediction, target)
    return (prediction - target).abs().mean(dim=FRAME)


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """PSNR: 10 log10(1 / MSE-pix) in dB; +inf for identical frames, where the gradient is not usable."""
    return -10 * mse(prediction, target).log10()


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """SSIM-G with L = 1 on [0, 1], which equals L = 255 on uint8; see `frame.ssim`.

    Raises:
        ValueError: a frame is smaller than 11x11.
    """
    prediction, target = _checked(prediction, target, GAUSSIAN_WINDOW)
    return _mean_product(*gaussian_terms(prediction, target, 1.0))


def ssim_u255(prediction: Tensor, target: Tensor) -> Tensor:
    """SSIM-U255: uniform 7x7 window, sample covariance, L = the data range; see `frame.ssim_u255`."""
    prediction, target = _checked(prediction, target, UNIFORM_WINDOW)
    return _mean_product(*uniform_terms(prediction, target, 1.0))


def ssim_u2(prediction: Tensor, target: Tensor) -> Tensor:
    """SSIM-U2: SSIM-U255 with L = twice the data range (inflated); see `frame.ssim_u2`."""
    prediction, target = _checked(prediction, target, UNIFORM_WINDOW)
    return _mean_product(*uniform_terms(prediction, target, 2.0))


def ms_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """MS-SSIM; see `frame.ms_ssim`.

    Raises:
        ValueError: a side is shorter than 161 pixels.
    """
    prediction, target = _checked(prediction, target, MS_SMALLEST)
    return multi_scale_ssim(prediction, target, 1.0).mean(dim=-1)


def sharpness(prediction: Tensor, target: Tensor) -> Tensor:
    """Gradient-difference sharpness in dB; see `frame.sharpness`."""
    prediction, target = _checked(prediction, target, 2)
    gradients = [
        frames.diff(dim=-2).abs()[..., :, 1:] + frames.diff(dim=-1).abs()[..., 1:, :] for frames in (prediction, target)
    ]  # (..., C, H-1, W-1) each
    return -10 * (gradients[0] - gradients[1]).abs().mean(dim=FRAME).log10()


TORCH_METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "mae": mae,
    "psnr": psnr,
    "ssim": ssim,
    "ms_ssim": ms_ssim,
    "sharpness": sharpness,
    "ssim_u255": ssim_u255,
    "ssim_u2": ssim_u2,
}


def metrics_on(device: torch.device) -> dict[str, FrameMetric]:
    """The entries of `METRICS` that have a batched form, computed on ``device``.

    They take the same uint8 frames and return the same numbers to 1e-5, much faster on a GPU.
    """

    def on_device(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[ByteClip, ByteClip], Values]:
        def measure(prediction: ByteClip, target: ByteClip) -> Values:
            with torch.inference_mode():
                pair = [frames.to(device).float() / 255 for frames in (prediction, target)]
                return function(*pair).double().cpu().numpy()

        return measure

    return {
        name: replace(METRICS[name], function=on_device(function), pooled=False)
        for name, function in TORCH_METRICS.items()
    }


def _checked(prediction: Tensor, target: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    for name, frames in (("prediction", prediction), ("target", target)):
        if not frames.is_floating_point() or frames.dim() < 3:
            raise ValueError(
                f"frames must be floats (..., C, H, W) in [0, 1], but the {name} is {frames.dtype} of shape "
                f"{tuple(frames.shape)}; pass uint8 frames to vidgan.metrics.METRICS, or divide them by 255"
            )
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    if min(prediction.shape[-2:]) < least:
        height, width = prediction.shape[-2:]
        raise ValueError(f"this metric needs frames of at least {least}x{least} pixels, got {height}x{width} (HxW)")
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    return prediction.to(dtype), target.to(dtype)


def _mean_product(luminance: Tensor, structure: Tensor) -> Tensor:
    return (luminance * structure).mean(dim=FRAME)
