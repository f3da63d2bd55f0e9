"""`vidgan generate model.onnx` and `vidgan predict model.onnx VIDEO`: exported models, without torch."""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import vidgan
from vidgan.commands.clip_files import LAYOUTS, RECORD, read_pixels, write_clips
from vidgan.commands.forecast_files import ForecastFiles, read_around, result_paths
from vidgan.commands.output import (
    check_layout,
    claim_files,
    clip_format,
    file_suffix,
    output_rate,
    require_memory,
)
from vidgan.errors import ConfigError
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator, open_onnx
from vidgan.files import check_overwrite
from vidgan.video.encode import contact_sheet

__all__ = ["generate_onnx", "predict_onnx"]

logger = logging.getLogger(__name__)

CONTEXT_SHOWN = 3  # context frames in the strip
EMPTY_GREY = 40


def generate_onnx(
    model: Path,
    out: Path,
    *,
    clips: int = 16,
    frames: int | None = None,
    category: str | None = None,
    text: Sequence[str] | None = None,
    first_frame: Path | None = None,
    seed: int = 0,
    fps: float | None = None,
    format: str = "mp4",
    layout: str = "single",
    overwrite: bool = False,
) -> np.ndarray:
    """Write the files of `vidgan generate` with an exported MoCoGAN; the same clips for the same seed.

    Args:
        model: a file of `vidgan export --to onnx`.
        out: folder; otherwise as `vidgan.commands.generate.generate`.

    Returns:
        (clips, frames, 3, H, W) uint8; of several texts `clips` each, one text after another.

    Raises:
        PretrainedError: no such file, or not one of an exported MoCoGAN.
        ConfigError, DataError: an option that the model does not support, or an unreadable first frame.
        FileExistsError: `out` is not empty and may not be replaced.
    """
    file_suffix(format)
    check_layout(layout, LAYOUTS)
    check_overwrite(out, overwrite=overwrite, marker=RECORD)
    generator = open_onnx(model, "clips")
    assert isinstance(generator, OnnxGenerator)
    exported, facts = generator.exported, generator.exported.training
    frames = frames or exported.frames
    texts = [] if text is None else [*text]
    pixels = frames * 3 * math.prod(exported.image_size)
    require_memory(clips * max(1, len(texts)) * pixels, f"--clips {clips} --frames {frames}")
    image = None
    if first_frame is not None:
        image = np.moveaxis(read_pixels(first_frame, exported.image_size, fit=facts.fit), -1, 0)
    fps, fps_from = output_rate(fps, facts.frame_rate or facts.sampled_fps, "training clips")
    drawn = generator.sample(clips, frames=frames, seed=seed, category=category, text=texts or None, first_frame=image)
    record = {
        "model": str(model),
        "exported": exported.to_json(),
        "clips": clips,
        "frames": frames,
        "category": category,
        "text": texts,
        "first_frame": None if first_frame is None else str(first_frame),
        "seed": seed,
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "vidgan": vidgan.__version__,
    }
    columns = clips if len(texts) > 1 else None
    captions = generator.captions(clips, seed=seed, text=texts or None)
    write_clips(out, _channel_last(drawn), fps, record, format, layout, columns=columns, captions=captions)
    return drawn


def predict_onnx(
    model: Path,
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
    overwrite: bool = False,
    report: Callable[[str], None] = logger.info,
) -> np.ndarray:
    """Write the files of `vidgan predict` with an exported Dual Motion GAN; the same forecast, and samples by seed.

    The strip shows context, forecast, and where the video is long enough, truth and error. Trust is not measured.

    Args:
        model: a file of `vidgan export --to onnx`.
        video, out: and all others as `vidgan.commands.predict.predict`.

    Returns:
        (horizon, 3, H, W) uint8; (samples, horizon, 3, H, W) for several samples.

    Raises:
        PretrainedError: no such file, or not one of an exported Dual Motion GAN.
        ConfigError: an option that has no effect, or that the model does not support.
        DataError, VideoError: no such video, or it is too short.
        FileExistsError: a result exists.
    """
    format = clip_format(out, format)
    if seed is not None and samples == 1:
        raise ConfigError(f"--seed {seed} has no effect on a single forecast; set --samples to 2 or more")
    claim_files(result_paths(out, samples, format), overwrite=overwrite, folder=out if format == "png" else None)
    forecaster = open_onnx(model, "forecast")
    assert isinstance(forecaster, OnnxForecaster)
    exported, facts = forecaster.exported, forecaster.exported.training
    size = exported.image_size
    require_memory(horizon * (samples + 1) * math.prod(size) * 3 * 4, f"--horizon {horizon} --samples {samples}")
    num_context = context or exported.context or 2
    frames = read_around(video, facts, size, context=num_context, horizon=horizon, start=start)
    if facts.trained_on is not None:
        logger.warning("the weights were trained only on %s; expect poor forecasts of other videos", facts.trained_on)
    if frames.resizing is not None:
        report(frames.resizing.partition(";")[0])
    fps, fps_from = output_rate(fps, frames.fps, "video")
    state_of = np.moveaxis(frames.context, -1, 1)[None]  # (1, T, 3, H, W)
    best = forecaster.predict(state_of, horizon)[0]
    drawn = forecaster.predict(state_of, horizon, samples=samples, seed=seed)[:, 0] if samples > 1 else None
    record: dict[str, Any] = {
        "model": str(model),
        "exported": exported.to_json(),
        "video": str(video),
        "start": start,
        "context": num_context,
        "horizon": horizon,
        "samples": samples,
        "seed": seed,
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "frame_size": [*size],
        "vidgan": vidgan.__version__,
    }
    files = ForecastFiles(
        observed=frames.context,
        best=_channel_last(best),
        drawn=None if drawn is None else _channel_last(drawn),
        strip=_strip(frames.context, _channel_last(best), frames.truth),
        spread=None if drawn is None else _spread(_channel_last(drawn)),
    )
    files.write(out, fps, record, format, overwrite=overwrite)
    return best if drawn is None else drawn


def _channel_last(frames: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(frames, -3, -1))


def _strip(context: np.ndarray, forecast: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """Rows of forecast, truth and error after the last context frames: (H', W', 3) uint8."""
    shown = context[-CONTEXT_SHOWN:]
    rows = [np.concatenate([shown, forecast])]
    if truth is not None:
        error = (np.abs(forecast.astype(np.int16) - truth) * 3).clip(max=255).astype(np.uint8)
        empty = np.full_like(shown, EMPTY_GREY)
        rows += [np.concatenate([empty, part]) for part in (truth, error)]
    return contact_sheet(np.stack(rows), columns=1, frames=10**6)


def _spread(samples: np.ndarray) -> np.ndarray:
    """Per-pixel standard deviation of samples (N, K, H, W, 3), brightened four times: (K, H, W, 3) uint8, grey."""
    deviation = samples.astype(np.float32).std(axis=0).mean(axis=-1, keepdims=True)
    return np.broadcast_to((4 * deviation).clip(max=255).astype(np.uint8), samples.shape[1:])
