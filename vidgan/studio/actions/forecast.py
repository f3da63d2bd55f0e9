"""Forecast a video with a trained model, beside truth and baselines. The files equal those of `vidgan predict`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from vidgan.commands.output import output_rate, require_memory
from vidgan.commands.predict import DEFAULT_CONTEXT, TRUST_FRAMES, KnownFrames, read_known
from vidgan.errors import ConfigError
from vidgan.evaluation.baselines import ConstantVelocityWarp, copy_last
from vidgan.evaluation.trust import Trust, measure_trust
from vidgan.metrics.frame import psnr
from vidgan.pixels import to_byte
from vidgan.report.clips import forecast_clips
from vidgan.report.player import PlayerClip
from vidgan.studio.catalogue import ModelEntry
from vidgan.studio.jobs import Job
from vidgan.studio.lines import command_line
from vidgan.studio.saving import Result
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.forecast_images import forecast_rows, forecast_strip, spread_images
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow

__all__ = ["ForecastOptions", "Forecasting", "film", "forecast", "measure", "options_of", "predict_line"]

MAX_HORIZON: Final = 60
MAX_CONTEXT: Final = 60
MAX_SAMPLES: Final = 8
MAX_START: Final = 10_000
FILM_FRAMES: Final = 80  # of a video that the film strip shows
MAX_PSNR: Final = 99.0  # dB
TRIAL_CONTEXT: Final = 10  # frames
PARTS: Final = 12  # clips of the forecast's length that are in memory


@dataclass(frozen=True)
class ForecastOptions:
    """What is forecast.

    Attributes:
        context: frames that the model reads.
        horizon: frames that it forecasts.
        start: first frame of the context.
        samples: forecasts drawn in addition to the best guess, if more than one.
        seed: of the first sample.
    """

    context: int
    horizon: int = 10
    start: int = 0
    samples: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Forecasting:
    """A forecast and what it is compared with.

    Attributes:
        options: of the forecast.
        frames: what was read of the video.
        clips: (K, 3, H, W) uint8 by name: forecast, truth and error where the video is long enough, copy-last, warp,
            the model's parts, flow, and spread with several samples.
        samples: (samples, K, 3, H, W) uint8; None for one.
        psnr: dB of each frame of the forecast and of the baselines; empty without the truth.
        strip: (3, H', W') uint8, the image that `vidgan predict` writes.
        fps: frames per second of the files.
    """

    options: ForecastOptions
    frames: KnownFrames
    clips: dict[str, ByteClip]
    samples: ByteClip | None
    psnr: dict[str, list[float]]
    strip: torch.Tensor
    fps: float

    @property
    def video(self) -> ByteClip:
        """Context and forecast, (T + K, 3, H, W) uint8."""
        return torch.cat([self.frames.context, self.clips["forecast"]])

    def player_clips(self) -> list[PlayerClip]:
        """All clips in step, after the context."""
        return forecast_clips({"context": self.frames.context, **self.clips})

    def result(self, name: str, record: dict[str, Any]) -> Result:
        """The files of this forecast."""
        arrays = {key.replace(" ", "_"): clip for key, clip in self.clips.items()} | {"context": self.frames.context}
        if self.samples is not None:
            arrays |= {f"sample_{number}": sample for number, sample in enumerate(self.samples)}
        return Result(name, self.video, self.strip, self.fps, arrays, record)


def options_of(
    entry: ModelEntry, context: float | None, horizon: float, start: float, samples: float, seed: float
) -> ForecastOptions:
    """Checked options from the controls of a page.

    Raises:
        ConfigError: a value outside its limits.
    """
    chosen = context or entry.facts.context or DEFAULT_CONTEXT
    values = {
        "context": (chosen, 2, MAX_CONTEXT),
        "horizon": (horizon, 1, MAX_HORIZON),
        "start": (start, 0, MAX_START),
        "samples": (samples, 1, MAX_SAMPLES),
        "seed": (seed, 0, 2**31 - 1),
    }
    for name, (value, least, most) in values.items():
        if not (isinstance(value, int | float) and float(value).is_integer() and least <= value <= most):
            raise ConfigError(f"{name} is {value}; accepted are whole numbers from {least} to {most}")
    return ForecastOptions(*(int(value) for value, _, _ in values.values()))


def film(model: ForecastModel, video: Path) -> ByteClip:
    """The first frames of a video as the model reads them, (T, 3, H, W) uint8, at most FILM_FRAMES.

    Raises:
        DataError, VideoError: no such video, or a damaged one.
    """
    return read_known(video, model, 1, 1, 0, known=FILM_FRAMES).known


def forecast(model: ForecastModel, video: Path, options: ForecastOptions, job: Job) -> Forecasting:
    """Forecast a video.

    Raises:
        ConfigError: the video is too short, or the model makes one forecast only.
        DataError, VideoError: the video cannot be read. CancelledError: the job was cancelled.
    """
    if options.samples > 1 and not model.can_sample:
        raise ConfigError(f"samples is {options.samples}: this model makes one forecast only; choose 1")
    height, width = model.image_size
    frames = options.context + options.horizon * (options.samples + PARTS)
    require_memory(frames * height * width * 3 * 4, f"horizon {options.horizon}, samples {options.samples}")
    job.step(0.0, "reading the video")
    known = read_known(video, model, options.context, options.horizon, options.start, known=TRUST_FRAMES)
    job.step(0.2, "forecasting")
    context, truth = known.context, known.truth
    made = model.forecast(context[None], options.horizon)
    samples = []
    for number in range(options.samples if options.samples > 1 else 0):
        job.step(0.4 + 0.4 * number / options.samples, f"sample {number + 1} of {options.samples}")
        samples.append(model.predict(context[None], options.horizon, seed=options.seed + number)[0])
    job.step(0.8, "baselines")
    warp = ConstantVelocityWarp(partial(estimate_flow, method=default_method()))
    rows = forecast_rows(context, truth, made)
    best = to_byte(made.frames[0])
    clips = {"truth": truth} if truth is not None else {}
    clips["forecast"] = best
    clips["copy-last"] = copy_last(context[None], options.horizon)[0]
    clips["warp"] = warp(context[None], options.horizon)[0]
    scores = {}
    if truth is not None:
        scores = {
            name: finite_psnr(clips[name][None], truth[None])[0].tolist() for name in ("forecast", "copy-last", "warp")
        }
        clips["error x3"] = rows["error of P (x3)"]
    if "flow f" in rows:
        clips["flow"] = rows["flow f"]
    drawn = torch.stack(samples) if samples else None
    if drawn is not None:
        clips["spread x4"] = spread_images(drawn)
    fps, _ = output_rate(None, known.fps, "video")
    return Forecasting(options, known, clips, drawn, scores, forecast_strip(rows), fps)


def measure(model: ForecastModel, made: Forecasting) -> Trust | None:
    """How far the model can be trusted on this video; None if the video has no frame after a context."""
    return measure_trust(model, made.frames.known, made.options.context, made.options.horizon)


def predict_line(entry: ModelEntry, video: Path | str, options: ForecastOptions, out: str) -> str:
    """The command that writes the same mp4 and png."""
    several = options.samples > 1
    return command_line(
        "predict",
        [*entry.words, video],
        context=options.context,
        horizon=options.horizon,
        start=options.start or None,
        samples=options.samples if several else None,
        seed=options.seed if several else None,
        out=out,
    )


def trust_text(trust: Trust | None) -> str:
    """How far to trust a forecast, in one or two sentences."""
    if trust is None:
        return "Not measured: the video has no frame after the context."
    text = str(trust).removeprefix("trust, ")
    return f"{text[0].upper()}{text[1:]}."


def work_units(options: ForecastOptions) -> float:
    """Model frames that a forecast computes, for the estimate of its time."""
    return options.context + options.horizon * (1 + (options.samples if options.samples > 1 else 0))


def trial_options(options: ForecastOptions) -> ForecastOptions:
    """A short forecast of the example video, from which the time of these options is estimated."""
    return ForecastOptions(context=min(options.context, TRIAL_CONTEXT), horizon=1)


def finite_psnr(clips: ByteClip, truths: ByteClip) -> np.ndarray:
    """PSNR of each frame in dB, (B, T); MAX_PSNR for equal frames, which a chart and a mean can hold."""
    return np.minimum(psnr(clips, truths), MAX_PSNR)
