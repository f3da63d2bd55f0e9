"""Frame metrics: how near a predicted frame is to the true one, on the uint8 pixels that a viewer sees.

Every metric takes two uint8 tensors of one shape (..., C, H, W) and gives one float64 number a frame, an array of the
leading shape: (B, K, C, H, W) -> (B, K). Averaging, and the choice of what to average, is the evaluator's.
A metric's name does not fix a number in this field, so `METRICS` carries the definition, which every result repeats.

Where prediction and truth are identical, a decibel metric is infinite: it returns +inf, and the evaluator leaves such
frames out of the mean and counts them apart (`exact`), so that no mean is infinite and none is capped by a convention.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from vidgan.types import ByteClip

Values: TypeAlias = npt.NDArray[np.float64]

SSIM_WINDOW = 11
FRAMES_A_TASK = 8


@dataclass(frozen=True)
class FrameMetric:
    """A metric with all that a reader needs to compare its numbers: definition, unit and which way is better."""

    function: Callable[[ByteClip, ByteClip], Values]
    definition: str
    better: Literal["lower", "higher"]


def mse(prediction: ByteClip, target: ByteClip) -> Values:
    """MSE-pix: mean squared difference over channels and pixels, pixels in [0, 1]; (..., C, H, W) uint8 -> (...)."""
    return _differences(prediction, target).square().mean(dim=(-3, -2, -1)).numpy()


def mae(prediction: ByteClip, target: ByteClip) -> Values:
    """Mean absolute difference over channels and pixels, pixels in [0, 1]; (..., C, H, W) uint8 -> (...)."""
    return _differences(prediction, target).abs().mean(dim=(-3, -2, -1)).numpy()


def mse_frame(prediction: ByteClip, target: ByteClip) -> Values:
    """MSE-frame: the squared differences summed over a frame, as OpenSTL, SimVP and the PredRNN line print it."""
    return mse(prediction, target) * _numbers(prediction)


def mae_frame(prediction: ByteClip, target: ByteClip) -> Values:
    """MAE-frame: the absolute differences summed over a frame, pixels in [0, 1] (OpenSTL)."""
    return mae(prediction, target) * _numbers(prediction)


def psnr(prediction: ByteClip, target: ByteClip) -> Values:
    """10 log10(1 / MSE) of each frame by itself, in dB; +inf where the frames are identical."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mse(prediction, target))


def ssim(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-G (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, population covariance, valid border.

    K1 = 0.01, K2 = 0.03, L = 255 on uint8 (the same numbers as L = 1 on [0, 1]), mean over channels; in [-1, 1].

    Raises:
        ValueError: a frame is smaller than 11x11.
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return _ssim(prediction, target, window=SSIM_WINDOW, **options)


def ssim_u255(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-U255: uniform 7x7 window, sample covariance, L = 255 on uint8, as PredRNN and E3D-LSTM print it."""
    return _ssim(prediction, target, window=7, data_range=255)


def ssim_u2(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-U2: as SSIM-U255 with L twice the data range, the inflated form that OpenSTL, SimVP and SVG print.

    An old library default took floats in [0, 1] for data in [-1, 1]; only for comparison with those tables.
    """
    return _ssim(prediction, target, window=7, data_range=2 * 255)


def sharpness(prediction: ByteClip, target: ByteClip) -> Values:
    """Gradient-difference sharpness (Mathieu et al. 2016, section 3), in dB; +inf where all gradients agree.

    10 log10(1 / mean |(g_y + g_x)(target) - (g_y + g_x)(prediction)|), with g the absolute differences to the upper and
    to the left neighbour, pixels in [0, 1]. Blind to a constant shift of brightness: read it beside PSNR.
    """
    check_pair(prediction, target)
    gradients = []
    for frames in (prediction, target):
        pixels = frames.cpu().double() / 255
        down = pixels.diff(dim=-2).abs()[..., :, 1:]  # (..., C, H-1, W-1)
        across = pixels.diff(dim=-1).abs()[..., 1:, :]  # (..., C, H-1, W-1)
        gradients.append(down + across)
    with np.errstate(divide="ignore"):
        return -10 * np.log10((gradients[0] - gradients[1]).abs().mean(dim=(-3, -2, -1)).numpy())


METRICS: dict[str, FrameMetric] = {
    "mse": FrameMetric(mse, "MSE-pix: mean over pixels and channels, RGB in [0, 1]", "lower"),
    "mae": FrameMetric(mae, "MAE-pix: mean over pixels and channels, RGB in [0, 1]", "lower"),
    "psnr": FrameMetric(
        psnr, "PSNR in dB: 10 log10(1 / MSE-pix) per frame, then mean; identical frames counted apart", "higher"
    ),
    "ssim": FrameMetric(
        ssim,
        "SSIM-G: 11x11 Gaussian, sigma 1.5, population covariance, valid border, L = 255 on uint8, mean over channels",
        "higher",
    ),
    "sharpness": FrameMetric(
        sharpness,
        "gradient-difference sharpness in dB (Mathieu et al.), RGB in [0, 1]; identical gradients counted apart",
        "higher",
    ),
    "ssim_u255": FrameMetric(
        ssim_u255, "SSIM-U255: uniform 7x7, sample covariance, L = 255 on uint8, mean over channels", "higher"
    ),
    "ssim_u2": FrameMetric(
        ssim_u2, "SSIM-U2: uniform 7x7, sample covariance, L = twice the data range (inflated)", "higher"
    ),
    "mse_frame": FrameMetric(mse_frame, "MSE-frame: sum over pixels and channels, [0, 1]", "lower"),
    "mae_frame": FrameMetric(mae_frame, "MAE-frame: sum over pixels and channels, [0, 1]", "lower"),
}


def score_frames(metric: FrameMetric, prediction: ByteClip, target: ByteClip, pool: Executor) -> Values:
    """The metric of every frame, computed by the threads of ``pool``: (..., C, H, W) twice -> (...).

    Threads help because the filters inside SSIM run outside the interpreter lock; they do not change a number.

    Raises:
        ValueError: as the metric, or it gave NaN.
    """
    check_pair(prediction, target)
    shape = prediction.shape[-3:]
    parts = [frames.reshape(-1, *shape).split(FRAMES_A_TASK) for frames in (prediction, target)]
    values = np.concatenate([*pool.map(metric.function, *parts)])
    if np.isnan(values).any():
        raise ValueError(f"NaN where a number was expected: {metric.definition}")
    return values.reshape(prediction.shape[:-3])


def check_pair(prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both are uint8 (..., C, H, W) of one shape.

    Floats are refused, so NaN cannot enter: convert once, with `pixels.to_byte`, and score what would be written.
    """
    for name, frames in (("prediction", prediction), ("target", target)):
        if frames.dtype != torch.uint8:
            raise ValueError(f"metrics read uint8 frames, but the {name} is {frames.dtype}: convert it with to_byte")
        if frames.dim() < 3:
            raise ValueError(f"frames are (..., C, H, W), but the {name} has shape {tuple(frames.shape)}")
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )


def _differences(prediction: ByteClip, target: ByteClip) -> Tensor:
    check_pair(prediction, target)
    return (prediction.cpu().double() - target.cpu().double()) / 255


def _numbers(frames: ByteClip) -> int:
    return int(np.prod(frames.shape[-3:]))


def _ssim(prediction: ByteClip, target: ByteClip, *, window: int, **options: object) -> Values:
    check_pair(prediction, target)
    if min(prediction.shape[-2:]) < window:
        height, width = prediction.shape[-2:]
        raise ValueError(f"SSIM needs frames of at least {window}x{window} pixels, got {height}x{width}")
    scores = [structural_similarity(p, t, channel_axis=0, **options) for p, t in _frames(prediction, target)]
    return np.array(scores, dtype=np.float64).reshape(prediction.shape[:-3])


def _frames(prediction: ByteClip, target: ByteClip) -> Iterator[tuple[npt.NDArray[np.uint8], ...]]:
    shape = prediction.shape[-3:]
    return zip(prediction.reshape(-1, *shape).cpu().numpy(), target.reshape(-1, *shape).cpu().numpy(), strict=True)
