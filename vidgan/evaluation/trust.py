"""How far a forecaster can be trusted on one video: its error on frames of that video that are already known."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidgan.evaluation.baselines import ConstantVelocityWarp, copy_last
from vidgan.tasks.base import ForecastModel
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow

__all__ = ["Trust", "measure_trust", "window_errors"]

MAX_WINDOWS = 8


@dataclass(frozen=True)
class Trust:
    """Mean squared errors of each frame ahead, of pixels in [0, 255], over windows of one video.

    Attributes:
        windows: number of windows.
        forecast: of the model, one value per frame ahead.
        copy_last: of repeating the last frame.
        warp: of the constant-velocity warp.
    """

    windows: int
    forecast: tuple[float, ...]
    copy_last: tuple[float, ...]
    warp: tuple[float, ...]

    @property
    def better_until(self) -> int:
        """Number of leading frames of which the forecast has a smaller error than both baselines."""
        errors = zip(self.forecast, self.copy_last, self.warp, strict=True)
        worse = [frame for frame, (mine, *others) in enumerate(errors) if mine >= min(others)]
        return worse[0] if worse else len(self.forecast)

    def gain(self, frame: int) -> tuple[float, float]:
        """PSNR above copy-last and above the warp in dB, of frame 0, 1, ... ahead; infinite for an exact forecast."""
        mine = self.forecast[frame]
        return _decibels(self.copy_last[frame], mine), _decibels(self.warp[frame], mine)

    def as_json(self) -> dict[str, Any]:
        """All values, rounded, for the record of a forecast."""
        errors = {
            name: [round(value, 3) for value in getattr(self, name)] for name in ("forecast", "copy_last", "warp")
        }
        return {"windows": self.windows, "better_until": self.better_until, "mse": errors}

    def __str__(self) -> str:
        horizon = len(self.forecast)
        over_copy, over_warp = self.gain(0)
        until = self.better_until
        scope = {
            0: "the next frame is already not better than both",
            horizon: f"better than both at all {horizon} frames",
        }.get(until, f"better than both up to frame {until}, not from frame {until + 1} on")
        return (
            f"trust, from {self.windows} windows of known frames: the next frame is {_compared(over_copy)} copy-last"
            f" and {_compared(over_warp)} the constant-velocity warp; {scope}"
        )


def measure_trust(
    model: ForecastModel, frames: ByteClip, context: int, horizon: int, *, windows: int = MAX_WINDOWS
) -> Trust | None:
    """Forecast known frames of a video, and compare the errors with those of the baselines.

    Args:
        model: the forecaster.
        frames: (T, 3, H, W) uint8, all that is known of the video.
        context: frames given to the model.
        horizon: frames ahead; fewer if the video is shorter.
        windows: at most so many, spread evenly over the video.

    Returns:
        None if the video has no frame after a context.
    """
    horizon = min(horizon, len(frames) - context)
    if horizon < 1:
        return None
    last = len(frames) - context - horizon
    starts = sorted({round(start) for start in np.linspace(0, last, min(windows, last + 1))})
    errors = np.mean([window_errors(model, frames[start : start + context + horizon], context) for start in starts], 0)
    mine, copied, warped = (tuple(float(value) for value in row) for row in errors)
    return Trust(len(starts), mine, copied, warped)


def window_errors(model: ForecastModel, window: ByteClip, context: int) -> np.ndarray:
    """Mean squared errors of one window, of pixels in [0, 255].

    Args:
        model: the forecaster.
        window: (T, 3, H, W) uint8, context and true frames.
        context: frames given.

    Returns:
        (3, T - context) float64: of the model, of copy-last, and of the constant-velocity warp.
    """
    seen, truth = window[None, :context], window[context:]
    warp = ConstantVelocityWarp(partial(estimate_flow, method=default_method()))
    forecasts = [one(seen, len(truth)) for one in (model.predict, copy_last, warp)]
    return np.stack([_squared_errors(forecast[0], truth) for forecast in forecasts])


def _squared_errors(forecast: ByteClip, truth: ByteClip) -> np.ndarray:
    """(K,) mean over the pixels of each frame."""
    difference: Tensor = forecast.to(torch.float32) - truth.to(torch.float32)
    return difference.square().mean(dim=(1, 2, 3)).double().numpy()


def _decibels(error: float, reference: float) -> float:
    """How many dB `reference` is better than `error`."""
    if error == reference:
        return 0.0
    if min(error, reference) == 0:
        return math.inf if reference == 0 else -math.inf
    return 10 * math.log10(error / reference)


def _compared(gain: float) -> str:
    return f"{abs(gain):.1f} dB {'worse' if gain < 0 else 'better'} than"
