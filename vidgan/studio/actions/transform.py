"""Translate or enlarge a video with a trained model, beside what it has to beat. The mp4 is that of the command."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from vidgan.commands.map_video import MappedVideo
from vidgan.commands.output import require_memory
from vidgan.commands.translate import translate
from vidgan.commands.upscale import upscale
from vidgan.data.frame_stream import open_stream
from vidgan.errors import ConfigError
from vidgan.report.clips import player_clip
from vidgan.report.player import PlayerClip
from vidgan.studio.catalogue import ModelEntry
from vidgan.studio.jobs import Job
from vidgan.studio.lines import command_line
from vidgan.tasks.base import ClipFunction
from vidgan.types import ByteClip
from vidgan.video.decode import read_frames

__all__ = ["TransformOptions", "Transformed", "transform", "transform_line"]

MAX_FRAMES: Final = 120
UPSCALING: Final = "upscaling"


@dataclass(frozen=True)
class TransformOptions:
    """What is transformed.

    Attributes:
        frames: largest number of frames read.
        reverse: for unpaired translations, from the second domain to the first.
        own_size: for translations, keep the frame size of the video.
    """

    frames: int = 32
    reverse: bool = False
    own_size: bool = False


@dataclass(frozen=True)
class Transformed:
    """A transformed video.

    Attributes:
        path: of the mp4, as the command writes it.
        video: what the command returned.
        clips: (T, 3, H, W) uint8 by name: the input, the output, and of an upscaler its baselines.
    """

    path: Path
    video: MappedVideo
    clips: dict[str, ByteClip]

    def player_clips(self) -> list[PlayerClip]:
        """All clips in step."""
        return [player_clip(name, clip) for name, clip in self.clips.items()]


def transform_options(entry: ModelEntry, frames: float, reverse: bool, own_size: bool) -> TransformOptions:
    """Checked options from the controls of a page; those that the task does not know are left out.

    Raises:
        ConfigError: a value outside its limits.
    """
    if not (isinstance(frames, int | float) and float(frames).is_integer() and 2 <= frames <= MAX_FRAMES):
        raise ConfigError(f"frames is {frames}; accepted are whole numbers from 2 to {MAX_FRAMES}")
    translates = entry.task != UPSCALING
    return TransformOptions(int(frames), reverse and entry.task == "unpaired", own_size and translates)


def transform(
    model: Any,
    entry: ModelEntry,
    video: Path,
    out: Path,
    options: TransformOptions,
    job: Job,
    mask: Path | None = None,
) -> Transformed:
    """Transform a video, and write the mp4 and its record as `vidgan translate` or `vidgan upscale` do.

    Args:
        model: the loaded model, for its baselines.
        entry: of the model.
        video: the input.
        out: mp4 file.
        options: of the transformation.
        job: its progress.
        mask: for models that fill holes.

    Raises:
        ConfigError: an option that the model does not support, or more frames than memory holds.
        DataError, VideoError: the video cannot be read. CancelledError: the job was cancelled.
    """
    job.step(0.0, "reading the video")
    height, width = open_stream(video, frames=1).size
    scale = model.scale if entry.task == UPSCALING else 1
    require_memory(
        options.frames * height * width * 3 * (3 + 6 * scale**2), f"frames {options.frames} of {width}x{height} pixels"
    )

    def on_frame(done: int, total: int) -> None:
        job.step(0.9 * done / total, f"frame {done} of {total}")

    if entry.task == UPSCALING:
        mapped = upscale(entry.path, video, out, frames=options.frames, device="cpu", on_frame=on_frame)
    else:
        mapped = translate(
            entry.path,
            video,
            out,
            mask=mask,
            reverse=options.reverse,
            own_size=options.own_size,
            frames=options.frames,
            device="cpu",
            on_frame=on_frame,
        )
    images = [torch.from_numpy(image) for image in open_stream(video, frames=options.frames)]
    given = torch.stack(images).permute(0, 3, 1, 2).contiguous()
    height, width = mapped.size
    written = torch.from_numpy(read_frames(out)).permute(0, 3, 1, 2)[:, :, :height, :width].contiguous()
    clips = {"input": given}
    if entry.task == UPSCALING:
        job.step(0.9, "baselines")
        baselines: dict[str, Callable[..., ByteClip] | ClipFunction] = dict(model.baselines())
        clips |= {name: baseline(given[None])[0] for name, baseline in baselines.items()}
    clips["upscaled" if entry.task == UPSCALING else "translated"] = written
    return Transformed(out, mapped, clips)


def transform_line(entry: ModelEntry, video: Path | str, options: TransformOptions, out: str, mask: str | None) -> str:
    """The command that writes the same mp4."""
    if entry.task == UPSCALING:
        return command_line("upscale", [*entry.words, video], frames=options.frames, device="cpu", out=out)
    return command_line(
        "translate",
        [*entry.words, video],
        mask=mask,
        reverse=options.reverse,
        own_size=options.own_size,
        frames=options.frames,
        device="cpu",
        out=out,
    )
