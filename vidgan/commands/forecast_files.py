"""What `vidgan predict` reads of a video, and the files that it writes. Needs no torch."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidgan.commands.output import appearing_together, result_name
from vidgan.data.sources.readers import ReadClip, ReadSettings
from vidgan.data.unprepared import read_one
from vidgan.errors import ConfigError
from vidgan.files import write_text
from vidgan.model_facts import ModelFacts
from vidgan.video.encode import FORMATS, contact_sheet, tile, write_clip, write_png

__all__ = [
    "DEFAULT_CONTEXT",
    "LAYOUTS",
    "ForecastFiles",
    "FramesAround",
    "describe_resizing",
    "read_around",
    "reading_settings",
    "result_paths",
]

DEFAULT_CONTEXT = 10  # frames, for weights that do not say how many they were trained with
LAYOUTS = ("single", "grid", "side")
KNOWN_BYTES = 1 << 28  # that frames from the start of a video may take


@dataclass(frozen=True)
class FramesAround:
    """The frames of a video around a forecast.

    Attributes:
        context: (context, H, W, 3) uint8.
        truth: (horizon, H, W, 3), the frames after them; None if the video ends before.
        fps: frames per second, None without a clock.
        known: (T, H, W, 3), frames from the start of the video.
        resizing: what was done to the frames of a video file; None if nothing was.
    """

    context: np.ndarray
    truth: np.ndarray | None
    fps: float | None
    known: np.ndarray
    resizing: str | None


def read_around(
    video: Path, facts: ModelFacts, size: tuple[int, int], *, context: int, horizon: int, start: int, known: int = 0
) -> FramesAround:
    """The frames of a video around a forecast, as the model's training clips were read.

    Args:
        video: video file, folder of frames, strip image or npy file.
        facts: of the model.
        size: (H, W) of the frames.
        context: number of frames given to the model.
        horizon: number of frames to forecast.
        start: number of the first frame of the context.
        known: frames to read from the start of the video, if more than the forecast needs; fewer of large frames.

    Raises:
        ConfigError: the video is too short. DataError, VideoError: it cannot be read.
    """
    stride = 1 if facts.sampled_fps else facts.stride
    needed = start + (context + horizon) * stride
    known = min(known, KNOWN_BYTES // (3 * math.prod(size))) * stride
    clip = read_one(video, replace(reading_settings(facts), size=size, max_frames=max(needed, known)))
    chosen = clip.frames[start::stride]
    if len(chosen) < context:
        raise ConfigError(
            f"{video}: {len(chosen)} frames from frame {start} on, but --context is {context}; use a smaller"
            " --start or --context"
        )
    truth = chosen[context : context + horizon] if len(chosen) >= context + horizon else None
    fps = None if clip.fps is None else clip.fps / stride
    return FramesAround(chosen[:context], truth, fps, clip.frames[::stride], describe_resizing(clip, size))


def reading_settings(facts: ModelFacts) -> ReadSettings:
    """Settings that repeat how the training clips of a model were made.

    Another frame rate would be another motion.

    Args:
        facts: saved with the weights.
    """
    return ReadSettings(
        fit=facts.fit,
        resample=facts.resample,
        fps=facts.sampled_fps or facts.fps,
        every=1 if facts.sampled_fps else facts.every,
    )


def describe_resizing(clip: ReadClip, size: tuple[int, int]) -> str | None:
    """What was done to the frames of a video file; None if nothing was, or for other files."""
    if clip.video is None or (clip.video["height"], clip.video["width"]) == size:
        return None
    return (
        f"frames of {clip.video['width']}x{clip.video['height']} pixels were cropped and scaled to {size[1]}x{size[0]};"
        " --size HEIGHTxWIDTH sets another size"
    )


@dataclass(frozen=True)
class ForecastFiles:
    """A forecast of K frames and N samples of it as uint8 images, and how they are written.

    Attributes:
        observed: (T, H, W, 3), the context.
        best: (K, H, W, 3), the best single guess.
        drawn: (N, K, H, W, 3), or None.
        strip: (H', W', 3), all parts side by side.
        spread: (K, H, W, 3), per-pixel spread of the samples, or None.
        arranged: (T + K, H', W', 3), the clip that is written as `out`; None: context and best guess.
    """

    observed: np.ndarray
    best: np.ndarray
    drawn: np.ndarray | None
    strip: np.ndarray
    spread: np.ndarray | None
    arranged: np.ndarray | None = None

    def write(self, out: Path, fps: float, record: Mapping[str, Any], format: str = "mp4", *, overwrite: bool) -> None:
        """Write all files, or none after an error.

        Raises:
            FileExistsError: a file exists and `overwrite` is off.
        """
        results = result_paths(out, 1 if self.drawn is None else len(self.drawn), format)
        frame_folder = out if format == "png" else None
        with appearing_together(out, results, overwrite=overwrite, frame_folder=frame_folder) as folder:
            partial = folder / out.name
            alone = np.concatenate([self.observed, self.best])
            write_clip(partial, alone if self.arranged is None else self.arranged, fps, format)
            write_png(result_name(partial, format, ".png"), self.strip)
            if self.drawn is not None and self.spread is not None:
                for number, sample in enumerate(self.drawn):
                    clip = np.concatenate([self.observed, sample])
                    write_clip(_sample_path(partial, number, format), clip, fps, format)
                together = np.concatenate([self.best[None], self.drawn])  # (N + 1, K, H, W, 3)
                before = np.broadcast_to(self.observed, (len(together), *self.observed.shape))
                tiles = tile(np.concatenate([before, together], axis=1))
                write_clip(_together_path(partial, format), tiles, fps, format)
                rows = np.concatenate([self.drawn, self.spread[None]])
                write_png(_spread_path(partial, format), contact_sheet(rows, columns=1))
            write_text(result_name(partial, format, ".json"), json.dumps(record, indent=2) + "\n")


def result_paths(out: Path, samples: int, format: str = "mp4") -> list[Path]:
    """Every file that the command writes."""
    paths = [out, result_name(out, format, ".png"), result_name(out, format, ".json")]
    if samples > 1:
        paths += [_sample_path(out, number, format) for number in range(samples)]
        paths += [_together_path(out, format), _spread_path(out, format)]
    return paths


def _sample_path(out: Path, number: int, format: str) -> Path:
    return result_name(out, format, f"-sample-{number}{FORMATS[format]}")


def _together_path(out: Path, format: str) -> Path:
    return result_name(out, format, f"-samples{FORMATS[format]}")


def _spread_path(out: Path, format: str) -> Path:
    return result_name(out, format, "-spread.png")
