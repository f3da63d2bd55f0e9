"""Frame metrics: distance of a predicted frame from the true one, on the uint8 pixels that a viewer sees.

Every metric takes two uint8 tensors of one shape (..., C, H, W) and returns one float64 number per frame, an array of
the leading shape: (B, K, C, H, W) -> (B, K). Averaging is up to the caller. In this field a metric's name does not
determine its number, so `METRICS` holds the definition of each, and every result repeats it.

A decibel metric of two identical frames is +inf; `vidgan.metrics.values` holds the rule for such values.

Sums of differences are exact integers. SSIM is computed in float32 and agrees with scikit-image's float64 to 1e-6 in
half the time. A frame gives the same bits for any batch size and number of threads. `frame_torch` holds the batched
forms for a GPU and for gradients.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

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

Bytes: TypeAlias = npt.NDArray[np.uint8]
Plane: TypeAlias = npt.NDArray[np.float32]
AnyPixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float64]

FRAMES_PER_TASK = 8  # for a metric that is spread over threads
FRAMES_PER_CALL = 64  # for one that is not
# ITU-R BT.601 luma, 0.299 R + 0.587 G + 0.114 B, in units of 1/65536, rounded to a grey level as Pillow's mode "L".
LUMA = (19595, 38470, 7471)
# ITU-R BT.601 Y in video range, Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, in units of 1/255000; without offset.
VIDEO_LUMA = (65481, 128553, 24966)
VIDEO_LUMA_UNIT = 255_000


@dataclass(frozen=True)
class FrameMetric:
    """A metric with what a reader needs to compare its numbers: definition, unit and direction."""

    function: Callable[[ByteClip, ByteClip], Values]  # (prediction, target), (..., C, H, W) uint8 each -> (...)
    definition: str
    better: Literal["lower", "higher"]
    weights: Mapping[str, str] = field(default_factory=dict)  # file name -> SHA-256, for a metric with a network
    pooled: bool = True  # spread over threads; a plain sum gains nothing by it, and a network has threads of its own


def mse(prediction: ByteClip, target: ByteClip) -> Values:
    """MSE-pix: mean squared difference over channels and pixels, pixels in [0, 1].

    Args:
        prediction: (..., C, H, W) uint8.
        target: (..., C, H, W) uint8.

    Returns:
        (...) float64 in [0, 1], one number per frame; lower is better.

    Raises:
        ValueError: frames that are not uint8, or of different shapes. Every metric of this module raises it.
    """
    return _by_frame(prediction, target, lambda difference: float(np.vdot(difference, difference))) / 255**2


def mae(prediction: ByteClip, target: ByteClip) -> Values:
    """MAE-pix: mean absolute difference over channels and pixels, pixels in [0, 1]; lower is better."""
    return _by_frame(prediction, target, lambda difference: float(np.abs(difference).sum())) / 255


def mse_frame(prediction: ByteClip, target: ByteClip) -> Values:
    """MSE-frame: squared differences summed over a frame, in [0, C H W], as OpenSTL, SimVP and PredRNN report it."""
    return mse(prediction, target) * _numbers(prediction)


def mae_frame(prediction: ByteClip, target: ByteClip) -> Values:
    """MAE-frame: absolute differences summed over a frame, in [0, C H W], as OpenSTL reports it."""
    return mae(prediction, target) * _numbers(prediction)


def psnr(prediction: ByteClip, target: ByteClip) -> Values:
    """PSNR: 10 log10(1 / MSE-pix) of each frame, in dB; higher is better, +inf for identical frames."""
    return decibels(mse(prediction, target))


def psnr_wrap(prediction: ByteClip, target: ByteClip) -> Values:
    """PSNR-wrap: PSNR with the uint8 overflow of SimVP's first metrics, differences and squares modulo 256; in dB.

    It equals PSNR while every error is below 16 grey levels, and is inflated more for worse frames. Use it to recognise
    or reproduce published numbers, never to report one.
    """
    check_pair(prediction, target)
    difference = _array(prediction) - _array(target)  # uint8: wraps
    return decibels(_total(difference * difference) / (_numbers(prediction) * 255**2))


def ssim(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-G (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, population covariance, valid border.

    K1 = 0.01, K2 = 0.03, L = 255 on uint8 (the same numbers as L = 1 on [0, 1]), mean over channels. Range
    [-1, 1]; higher is better.

    Raises:
        ValueError: a frame is smaller than 11x11.
    """
    check_pair(prediction, target)
    _check_size(prediction, GAUSSIAN_WINDOW, "SSIM")
    return _by_plane(_array(prediction), _array(target), lambda p, t: _mean_product(*gaussian_terms(p, t, 255)))


def ssim_grey(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-G-grey: SSIM-G of the luma 0.299 R + 0.587 G + 0.114 B, rounded to uint8 (MCNet, Mathieu et al.).

    Raises:
        ValueError: frames whose number of channels is neither 1 nor 3, or smaller than 11x11.
    """
    check_pair(prediction, target)
    return ssim(to_grey(prediction), to_grey(target))


def psnr_y(prediction: ByteClip, target: ByteClip) -> Values:
    """PSNR-Y: PSNR of the Y channel in video range (16..235), unrounded, peak 255: the convention of super-resolution.

    The compressed range gives an equal grey error 1.32 dB more than `psnr` does.

    Raises:
        ValueError: the frames do not have three channels.
    """
    check_pair(prediction, target)
    difference = _video_luma(prediction) - _video_luma(target)  # exact
    pixels = int(np.prod(prediction.shape[-2:]))
    errors = np.square(difference.astype(np.float64)).sum(axis=(-2, -1)) / (pixels * (255.0 * VIDEO_LUMA_UNIT) ** 2)
    return decibels(errors)


def ssim_y(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-Y: SSIM-G of the unrounded Y channel in video range, L = 255.

    Raises:
        ValueError: frames that do not have three channels, or are smaller than 11x11.
    """
    check_pair(prediction, target)
    _check_size(prediction, GAUSSIAN_WINDOW, "SSIM")
    planes = [16 + _video_luma(frames)[..., None, :, :] / VIDEO_LUMA_UNIT for frames in (prediction, target)]
    return _by_plane(planes[0], planes[1], lambda p, t: _mean_product(*gaussian_terms(p, t, 255)))


def ssim_u255(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-U255: uniform 7x7 window, sample covariance, L = 255 on uint8, as PredRNN and E3D-LSTM report it."""
    return _uniform_ssim(prediction, target, 255)


def ssim_u2(prediction: ByteClip, target: ByteClip) -> Values:
    """SSIM-U2: SSIM-U255 with L twice the data range, the inflated form that OpenSTL, SimVP and SVG report.

    It stems from an old scikit-image default, which assumed data in [-1, 1] for floats in [0, 1]. Use it only to
    compare with those tables.
    """
    return _uniform_ssim(prediction, target, 2 * 255)


def ms_ssim(prediction: ByteClip, target: ByteClip) -> Values:
    """MS-SSIM (Wang et al. 2003): five scales of SSIM-G with the published weights, mean over channels; in [0, 1].

    Raises:
        ValueError: a side is shorter than 161 pixels, so the window does not fit into the fifth scale.
    """
    check_pair(prediction, target)
    _check_size(prediction, MS_SMALLEST, "MS-SSIM")
    return _by_plane(_array(prediction), _array(target), lambda p, t: float(multi_scale_ssim(p, t, 255)))


def sharpness(prediction: ByteClip, target: ByteClip) -> Values:
    """Gradient-difference sharpness (Mathieu et al. 2016, section 3), in dB; +inf where all gradients agree.

    10 log10(1 / mean |(g_y + g_x)(target) - (g_y + g_x)(prediction)|), where g_y and g_x are the absolute differences
    to the upper and to the left neighbour, pixels in [0, 1]. Higher is better. A constant shift of brightness does not
    change it, so read it together with PSNR.

    Raises:
        ValueError: a frame is smaller than 2x2.
    """
    check_pair(prediction, target)
    if min(prediction.shape[-2:]) < 2:
        raise ValueError(f"sharpness needs frames of at least 2x2 pixels, got {tuple(prediction.shape[-2:])}")
    gradients = []
    for frames in (prediction, target):
        levels = _array(frames).astype(np.int16)
        down = np.abs(np.diff(levels, axis=-2))[..., :, 1:]  # (..., C, H-1, W-1)
        across = np.abs(np.diff(levels, axis=-1))[..., 1:, :]  # (..., C, H-1, W-1)
        gradients.append(down + across)
    difference = np.abs(gradients[0] - gradients[1])
    return decibels(_total(difference) / (np.prod(difference.shape[-3:]) * 255))


METRICS: dict[str, FrameMetric] = {
    "mse": FrameMetric(mse, "MSE-pix: mean over pixels and channels, RGB in [0, 1]", "lower", pooled=False),
    "mae": FrameMetric(mae, "MAE-pix: mean over pixels and channels, RGB in [0, 1]", "lower", pooled=False),
    "psnr": FrameMetric(
        psnr,
        "PSNR in dB: 10 log10(1 / MSE-pix) per frame, then mean; identical frames counted apart",
        "higher",
        pooled=False,
    ),
    "ssim": FrameMetric(
        ssim,
        "SSIM-G: 11x11 Gaussian, sigma 1.5, population covariance, valid border, L = 255 on uint8, mean over channels",
        "higher",
    ),
    "ms_ssim": FrameMetric(
        ms_ssim,
        "MS-SSIM: five scales of SSIM-G, weights 0.0448 0.2856 0.3001 0.2363 0.1333, L = 255 on uint8, mean over "
        "channels",
        "higher",
    ),
    "sharpness": FrameMetric(
        sharpness,
        "gradient-difference sharpness in dB (Mathieu et al.), RGB in [0, 1]; identical gradients counted apart",
        "higher",
    ),
    "ssim_grey": FrameMetric(
        ssim_grey, "SSIM-G-grey: SSIM-G of the luma 0.299 R + 0.587 G + 0.114 B rounded to uint8, L = 255", "higher"
    ),
    "psnr_y": FrameMetric(
        psnr_y,
        "PSNR-Y in dB: Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, unrounded, peak 255; identical frames counted"
        " apart",
        "higher",
        pooled=False,
    ),
    "ssim_y": FrameMetric(ssim_y, "SSIM-Y: SSIM-G of the unrounded Y channel in video range, L = 255", "higher"),
    "ssim_u255": FrameMetric(
        ssim_u255, "SSIM-U255: uniform 7x7, sample covariance, L = 255 on uint8, mean over channels", "higher"
    ),
    "ssim_u2": FrameMetric(
        ssim_u2, "SSIM-U2: uniform 7x7, sample covariance, L = twice the data range (inflated)", "higher"
    ),
    "mse_frame": FrameMetric(mse_frame, "MSE-frame: sum over pixels and channels, [0, 1]", "lower", pooled=False),
    "mae_frame": FrameMetric(mae_frame, "MAE-frame: sum over pixels and channels, [0, 1]", "lower", pooled=False),
    "psnr_wrap": FrameMetric(
        psnr_wrap,
        "PSNR-wrap in dB: uint8 overflow (differences and squares modulo 256), inflated; only to recognise the printed "
        "numbers of 2022-23, no score",
        "higher",
        pooled=False,
    ),
}

# Sums over the horizon: name -> (frame metric that is summed, definition).
SEQUENCE_SUMS: dict[str, tuple[str, str]] = {
    "mse_seq": ("mse_frame", "MSE-seq: MSE-frame also summed over the predicted frames (PredRNN's 'mse per seq')"),
    "mae_seq": ("mae_frame", "MAE-seq: MAE-frame also summed over the predicted frames"),
}


def score_frames(metric: FrameMetric, prediction: ByteClip, target: ByteClip, pool: Executor) -> Values:
    """Compute a metric of every frame in the threads of ``pool``: (..., C, H, W) uint8 twice -> (...).

    Threads help because NumPy releases the interpreter lock in its loops. They do not change a number.

    Raises:
        ValueError: those of the metric, or the metric returned NaN.
    """
    check_pair(prediction, target)
    shape = prediction.shape[-3:]
    size = FRAMES_PER_TASK if metric.pooled else FRAMES_PER_CALL
    parts = [frames.reshape(-1, *shape).split(size) for frames in (prediction, target)]
    spread = pool.map if metric.pooled else map
    values = np.concatenate([*spread(metric.function, *parts)])
    if np.isnan(values).any():
        raise ValueError(f"the metric returned NaN: {metric.definition}")
    return values.reshape(prediction.shape[:-3])


def check_pair(prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both are uint8 (..., C, H, W) of one shape.

    Floats are rejected, so NaN cannot enter: convert once with `pixels.to_byte`, and score what would be written.
    """
    for name, frames in (("prediction", prediction), ("target", target)):
        if frames.dtype != torch.uint8:
            raise ValueError(f"frames must be uint8, but the {name} is {frames.dtype}: convert it with to_byte")
        if frames.dim() < 3:
            raise ValueError(f"frames must be (..., C, H, W), but the {name} has shape {tuple(frames.shape)}")
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )


def to_grey(frames: ByteClip) -> ByteClip:
    """Luma of uint8 frames (ITU-R BT.601), rounded to uint8: (..., 3, H, W) -> (..., 1, H, W).

    Frames of one channel are returned as they are.

    Raises:
        ValueError: the number of channels is neither 1 nor 3.
    """
    channels = frames.shape[-3]
    if channels == 1:
        return frames
    if channels != 3:
        raise ValueError(f"grey frames need 1 or 3 channels, got {channels}")
    red, green, blue = frames.to(torch.int32).unbind(dim=-3)
    luma = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 2**15) >> 16
    return luma.to(torch.uint8).unsqueeze(-3)


def _video_luma(frames: ByteClip) -> npt.NDArray[np.int64]:
    """Y in units of 1 / `VIDEO_LUMA_UNIT` without its offset: (..., 3, H, W) uint8 -> (..., H, W)."""
    if frames.shape[-3] != len(VIDEO_LUMA):
        raise ValueError(f"the Y channel needs RGB frames of 3 channels, got {frames.shape[-3]}")
    return np.tensordot(_array(frames).astype(np.int64), np.array(VIDEO_LUMA), axes=([-3], [0]))


def decibels(errors: Values) -> Values:
    """10 log10(1 / errors) in dB; +inf where an error is 0."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(errors)


def _array(frames: ByteClip) -> Bytes:
    return frames.cpu().numpy()


def _by_frame(prediction: ByteClip, target: ByteClip, total: Callable[[Values], float]) -> Values:
    """``total`` of the differences of each frame, in grey levels, over their number: (..., C, H, W) twice -> (...).

    Sums of integers in float64 are exact in any order. One frame at a time, because it fits into the processor cache.
    """
    check_pair(prediction, target)
    pair = (_array(frames).reshape(-1, _numbers(frames)) for frames in (prediction, target))
    sums = [total(np.subtract(p, t, dtype=np.float64)) for p, t in zip(*pair, strict=True)]
    return np.array(sums).reshape(prediction.shape[:-3]) / _numbers(prediction)


def _total(numbers: npt.NDArray[np.integer]) -> Values:
    """Exact sum over (C, H, W)."""
    return numbers.sum(axis=(-3, -2, -1), dtype=np.int64).astype(np.float64)


def _numbers(frames: ByteClip) -> int:
    return int(np.prod(frames.shape[-3:]))


def _check_size(frames: ByteClip, least: int, name: str) -> None:
    height, width = frames.shape[-2:]
    if min(height, width) < least:
        raise ValueError(f"{name} needs frames of at least {least}x{least} pixels, got {height}x{width} (HxW)")


def _uniform_ssim(prediction: ByteClip, target: ByteClip, data_range: int) -> Values:
    check_pair(prediction, target)
    _check_size(prediction, UNIFORM_WINDOW, "SSIM")
    return _by_plane(_array(prediction), _array(target), lambda p, t: _mean_product(*uniform_terms(p, t, data_range)))


def _mean_product(luminance: Plane, structure: Plane) -> float:
    return float((luminance * structure).mean(dtype=np.float64))


def _by_plane(prediction: AnyPixels, target: AnyPixels, measure: Callable[[Plane, Plane], float]) -> Values:
    """Mean over channels of a measure of single planes, each of which fits into the processor cache."""
    planes = [frames.reshape(-1, *frames.shape[-2:]) for frames in (prediction, target)]
    values = [measure(p.astype(np.float32), t.astype(np.float32)) for p, t in zip(*planes, strict=True)]
    return np.array(values).reshape(prediction.shape[:-2]).mean(axis=-1)
