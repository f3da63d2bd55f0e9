"""`vidgan predict`: forecast how a video continues, with a trained Dual Motion GAN."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange

import vidgan
from vidgan.commands.forecast_files import DEFAULT_CONTEXT, LAYOUTS, ForecastFiles, read_around, result_paths
from vidgan.commands.output import check_layout, claim_files, clip_format, output_rate, require_memory
from vidgan.errors import ConfigError
from vidgan.evaluation.trust import measure_trust
from vidgan.hub import ModelFacts
from vidgan.own_code import own_code
from vidgan.pixels import to_byte
from vidgan.tasks import load_model
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.forecast_images import forecast_rows, forecast_strip, spread_images
from vidgan.types import ByteClip, Forecast
from vidgan.video.montage import channel_last, tile

PARTS = 8  # float images of a forecast frame: the forecast and what it was made from

TRUST_FRAMES = 240  # of a video that are read to measure trust
MULTIPLE = 16  # of every frame side

logger = logging.getLogger(__name__)


def predict(
    run: Path | str,
    video: Path,
    out: Path,
    *,
    context: int | None = None,
    horizon: int = 10,
    start: int = 0,
    samples: int = 1,
    seed: int | None = None,
    fps: float | None = None,
    format: str | None = None,
    layout: str = "single",
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
    allow_own_code: bool = False,
    report: Callable[[str], None] = logger.info,
) -> ByteClip:
    """Write context and forecast as `out`, an image strip (png), and a record of the options (json).

    The strip shows context, forecast, its parts and, where the video is long enough, the truth and the error. With
    several samples there are also files `-sample-N`, `-samples` with the best guess and all samples side by side, and
    the per-pixel spread, `-spread.png`. The files appear when all of them have been written, and none after an error.

    The record also holds the trust: the forecast's errors on known frames of the same video beside those of copy-last
    and of the constant-velocity warp (`vidgan.evaluation.trust`).

    Args:
        run: a run or model folder of any task that forecasts, the name of shipped weights, or one on the hub.
        video: video file, folder of frames, strip image or npy file.
        context: frames given to the model; default: as in training.
        horizon: frames to forecast.
        start: first frame of the context.
        samples: forecasts to draw in addition to the best single guess, if more than one.
        seed: of the first sample.
        fps: frame rate of the files; default: that of the frames that the model reads, or 8 without a clock.
        format: a key of `vidgan.video.encode.FORMATS`; default: by the suffix of `out`.
        layout: of `out`: "single", the forecast; "side", the true frames to its left; "grid", the true frames where
            they are known, the forecast, and the parts that it was made of.
        size: (H, W) that the frames are brought to, multiples of 16; default: that of the model's training.
        overwrite: replace existing files.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.
        report: called with each line for the user: how frames were resized, and the trust.

    Returns:
        (horizon, 3, H, W) uint8 at `size`; (samples, horizon, 3, H, W) for several samples.

    Raises:
        PretrainedError: no such model.
        ConfigError: an option that has no effect, or that the model does not support.
        DataError, VideoError, ValueError: no such video, or it is too short.
        FileExistsError: a result exists.
    """
    format = clip_format(out, format)
    check_layout(layout, LAYOUTS)
    if seed is not None and samples == 1:
        raise ConfigError(f"--seed {seed} has no effect on a single forecast; set --samples to 2 or more")
    claim_files(result_paths(out, samples, format), overwrite=overwrite, folder=out if format == "png" else None)
    with own_code(allowed=allow_own_code):
        model: ForecastModel = load_model(run, "forecast")
    _check_samples(model, samples)
    size = frame_size(model, size)
    require_memory(
        horizon * (samples + 1) * PARTS * math.prod(size) * 3 * 4,
        f"--horizon {horizon} --samples {samples}",
    )
    facts = ModelFacts.from_json(model.facts)
    num_context = context or facts.context or DEFAULT_CONTEXT
    frames = read_known(video, model, num_context, horizon, start, size=size, known=TRUST_FRAMES)
    observed, truth = frames.context, frames.truth
    if layout == "side" and truth is None:
        raise ConfigError(
            f"--layout side: {video} has no {horizon} frames after the context to show beside the forecast; use a"
            " smaller --horizon or --start, or another layout"
        )
    fps, fps_from = output_rate(fps, frames.fps, "video")

    if facts.trained_on is not None:
        logger.warning("the weights were trained only on %s; expect poor forecasts of other videos", facts.trained_on)
    if frames.resizing is not None:
        report(frames.resizing)
    forecast = model.forecast(observed[None], horizon)
    best = to_byte(forecast.frames[0])
    drawn = model.predict(observed[None], horizon, samples=samples, seed=seed)[:, 0] if samples > 1 else None
    trust = measure_trust(model, frames.known, num_context, horizon)
    report(str(trust) if trust else "trust: not measured, the video has no frame after a context")
    record = {
        "model": str(run),
        "facts": model.facts,
        "video": str(video),
        "start": start,
        "context": num_context,
        "horizon": horizon,
        "samples": samples,
        "seed": seed,
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "layout": layout,
        "frame_size": list(size),
        "trust": None if trust is None else trust.as_json(),
        "vidgan": vidgan.__version__,
    }
    files = ForecastFiles(
        observed=channel_last(observed, dims=4),
        best=channel_last(best, dims=4),
        drawn=None if drawn is None else channel_last(drawn, dims=5),
        strip=channel_last(forecast_strip(forecast_rows(observed, truth, forecast)), dims=3),
        spread=None if drawn is None else channel_last(spread_images(drawn), dims=4),
        arranged=channel_last(_arranged(layout, observed, truth, forecast), dims=4),
    )
    files.write(out, fps, record, format, overwrite=overwrite)
    return best if drawn is None else drawn


class KnownFrames(NamedTuple):
    """What was read of a video.

    Attributes:
        context: (context, 3, H, W) uint8.
        truth: (horizon, 3, H, W), the frames after them; None if the video ends before.
        fps: frames per second, None without a clock.
        known: (T, 3, H, W), frames from the start of the video.
        resizing: what was done to the frames of a video file; None if nothing was.
    """

    context: ByteClip
    truth: ByteClip | None
    fps: float | None
    known: ByteClip
    resizing: str | None


def read_context(
    video: Path, model: ForecastModel, context: int, horizon: int, start: int
) -> tuple[ByteClip, ByteClip | None, float | None]:
    """The frames of a video before a forecast and the true ones after it, as the model's training clips were read.

    Arguments and errors as in `read_known`; returns the first three attributes of its result.
    """
    frames = read_known(video, model, context, horizon, start)
    return frames.context, frames.truth, frames.fps


def read_known(
    video: Path,
    model: ForecastModel,
    context: int,
    horizon: int,
    start: int,
    *,
    size: tuple[int, int] | None = None,
    known: int = 0,
) -> KnownFrames:
    """The frames of a video around a forecast, as tensors; see `vidgan.commands.forecast_files.read_around`."""
    frames = read_around(
        video,
        ModelFacts.from_json(model.facts),
        size or model.image_size,
        context=context,
        horizon=horizon,
        start=start,
        known=known,
    )

    def as_tensor(images: np.ndarray) -> ByteClip:
        return rearrange(torch.from_numpy(images), "t h w c -> t c h w").contiguous()

    return KnownFrames(
        as_tensor(frames.context),
        None if frames.truth is None else as_tensor(frames.truth),
        frames.fps,
        as_tensor(frames.known),
        frames.resizing,
    )


def frame_size(model: ForecastModel, size: tuple[int, int] | None) -> tuple[int, int]:
    """(H, W) of the frames that the model reads: `size`, or that of its training.

    Raises:
        ConfigError: a side is no multiple of 16.
    """
    if size is None:
        return model.image_size
    if any(side % MULTIPLE or side < MULTIPLE for side in size):
        raise ConfigError(
            f"--size {size[0]}x{size[1]}: accepted are multiples of {MULTIPLE}, such as"
            f" {max(1, round(size[0] / MULTIPLE)) * MULTIPLE}x{max(1, round(size[1] / MULTIPLE)) * MULTIPLE}"
        )
    return size


def _check_samples(model: ForecastModel, samples: int) -> None:
    """Raise ConfigError if the model cannot draw this many different forecasts."""
    if samples > 1 and not model.can_sample:
        raise ConfigError(
            f"--samples {samples}: this model makes a single forecast (trained with model.probabilistic=false)"
        )


def _arranged(layout: str, observed: ByteClip, truth: ByteClip | None, forecast: Forecast) -> ByteClip:
    """Context and forecast, alone or with what it is compared with: (T, 3, H', W')."""
    best = to_byte(forecast.frames[0])
    if layout == "single":
        return torch.cat([observed, best])
    parts = [] if layout == "side" else [to_byte(part[0]) for part in forecast.parts.values()]
    shown = torch.stack([*([] if truth is None else [truth]), best, *parts])  # (N, horizon, 3, H, W)
    whole = torch.cat([observed.expand(len(shown), *observed.shape), shown], dim=1)
    return tile(whole, columns=2 if layout == "side" else None)
