"""Translate or enlarge a video with a trained model, beside what it has to beat. The files are those of the command."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from vidgan.commands.map_video import MappedVideo
from vidgan.commands.output import require_memory
from vidgan.commands.translate import resize_frame, translate
from vidgan.commands.upscale import upscale
from vidgan.data.frame_stream import open_stream
from vidgan.errors import ConfigError
from vidgan.hub import ModelFacts
from vidgan.report.clips import player_clip
from vidgan.report.player import PlayerClip
from vidgan.studio.catalogue import ModelEntry
from vidgan.studio.jobs import Job
from vidgan.studio.lines import command_line
from vidgan.studio.saving import Result
from vidgan.tasks.base import ClipFunction
from vidgan.tasks.translation.conditions import HolesCondition
from vidgan.tasks.translation.translator import Translator
from vidgan.types import ByteClip
from vidgan.video.montage import contact_sheet

__all__ = ["TransformOptions", "Transformed", "fills_holes", "transform", "transform_line", "work_of"]

MAX_FRAMES: Final = 120
CHUNK: Final = 8  # frames that a baseline computes at once
TRIAL_FRAMES: Final = 4  # from which the time of a whole video is estimated
OVERLAP: Final = 1  # frames before and after that a baseline reads
UPSCALING, UNPAIRED = "upscaling", "unpaired"


@dataclass(frozen=True)
class TransformOptions:
    """What is transformed.

    Attributes:
        frames: largest number of frames read.
        reverse: for unpaired translations, from the second domain to the first.
        own_size: for translations, keep the frame size of the video.
        text: what the video shows, for models that read captions.
    """

    frames: int = 32
    reverse: bool = False
    own_size: bool = False
    text: str | None = None


@dataclass(frozen=True)
class Transformed:
    """A transformed video.

    Attributes:
        video: what the command returned.
        clips: (T, 3, H, W) uint8 by name: the input, the baselines, and the output last.
        record: of the command.
    """

    video: MappedVideo
    clips: dict[str, ByteClip]
    record: Mapping[str, Any]

    @property
    def output(self) -> ByteClip:
        """What the model made of the video, (T, 3, H, W) uint8."""
        return self.clips[next(reversed(self.clips))]

    def player_clips(self) -> list[PlayerClip]:
        """All clips in step."""
        return [player_clip(name, clip) for name, clip in self.clips.items()]

    def result(self, name: str) -> Result:
        """The files: the output, and with npz also the input and the baselines."""
        arrays = {key.replace(" ", "_"): clip for key, clip in self.clips.items()}
        return Result(name, self.output, contact_sheet(self.output[None]), self.video.fps, arrays, self.record)


def transform_options(
    entry: ModelEntry, frames: float, reverse: bool, own_size: bool, text: str = ""
) -> TransformOptions:
    """Checked options from the controls of a page; those that the task does not know are left out.

    Raises:
        ConfigError: a value outside its limits.
    """
    if not (isinstance(frames, int | float) and float(frames).is_integer() and 2 <= frames <= MAX_FRAMES):
        raise ConfigError(f"frames is {frames}; accepted are whole numbers from 2 to {MAX_FRAMES}")
    translates = entry.task != UPSCALING
    asked = (text.strip() or None) if entry.facts.captions else None
    return TransformOptions(int(frames), reverse and entry.task == UNPAIRED, own_size and translates, asked)


def transform(
    model: Any,
    entry: ModelEntry,
    video: Path,
    folder: Path,
    options: TransformOptions,
    job: Job,
    mask: Path | None = None,
) -> Transformed:
    """Transform a video as `vidgan translate` or `vidgan upscale` do.

    Args:
        model: the loaded model, for its baselines.
        entry: of the model.
        video: the input.
        folder: for a temporary file.
        options: of the transformation.
        job: its progress.
        mask: for models that fill holes.

    Raises:
        ConfigError: an option that the model does not support, or more frames than memory holds.
        DataError, VideoError: the video cannot be read. CancelledError: the job was cancelled.
    """
    if entry.facts.captions and options.text is None:
        raise ConfigError("caption: this model enlarges by what a caption says; say what the video shows")
    job.step(0.0, "reading the video")
    height, width = open_stream(video, frames=1).size
    scale = model.scale if entry.task == UPSCALING else 1
    require_memory(
        options.frames * height * width * 3 * (3 + 6 * scale**2), f"frames {options.frames} of {width}x{height} pixels"
    )

    def on_frame(done: int, total: int) -> None:
        job.step(0.7 * done / total, f"frame {done} of {total}")

    exact = folder / "exact.npz"
    common: dict[str, Any] = {"frames": options.frames, "format": "npz", "device": "cpu", "on_frame": on_frame}
    if entry.task == UPSCALING:
        mapped = upscale(entry.path, video, exact, text=options.text, **common)
    else:
        own: dict[str, Any] = {"mask": mask, "reverse": options.reverse, "own_size": options.own_size}
        mapped = translate(entry.path, video, exact, **own, **common)
    with np.load(exact, allow_pickle=False) as arrays:
        output = _channels_first(arrays["frames"])
    record = json.loads(exact.with_suffix(".json").read_text()) | {"format": "mp4"}
    for file in (exact, exact.with_suffix(".json")):
        file.unlink()
    given = _read(video, options.frames)
    job.step(0.7, "baselines")
    baselines: Mapping[str, ClipFunction] = {}
    source = given
    if entry.task == UPSCALING:
        baselines = model.baselines(options.text)
    elif isinstance(model, Translator):
        source = _condition(model, given, options, None if mask is None else _read(mask, options.frames))
        baselines = {"what the model reads" if name == "input" else name: f for name, f in model.baselines().items()}
    clips = {"input": given}
    for number, (name, baseline) in enumerate(baselines.items()):
        job.step(0.7 + 0.3 * number / len(baselines), name)
        clips[name] = _in_chunks(baseline, source, job)
    return Transformed(mapped, clips | {"upscaled" if entry.task == UPSCALING else "translated": output}, record)


def _condition(model: Translator, frames: ByteClip, options: TransformOptions, mask: ByteClip | None) -> ByteClip:
    """What a translation reads of a video, (T, K, H, W) uint8."""
    if not options.own_size:
        resize = partial(resize_frame, model.image_size, ModelFacts.from_json(model.facts), model.reads_conditions)
        frames = torch.stack([resize(frame) for frame in frames])
        mask = None if mask is None else torch.stack([resize(frame) for frame in mask])
    holes = None if mask is None else mask.amax(dim=1, keepdim=True).expand(len(frames), -1, -1, -1)[None]
    return model.of_video(frames[None], holes)[0]


def _in_chunks(function: ClipFunction, clip: ByteClip, job: Job) -> ByteClip:
    """A baseline of a long clip (T, C, H, W), a few frames at a time; it reads at most OVERLAP frames around each."""
    made = []
    for start in range(0, len(clip), CHUNK):
        job.check()
        first = max(0, start - OVERLAP)
        part = function(clip[None, first : start + CHUNK + OVERLAP])[0]
        made.append(part[start - first :][:CHUNK])
    return torch.cat(made)


def _read(video: Path, frames: int) -> ByteClip:
    return _channels_first(np.stack(list(open_stream(video, frames=frames))))


def _channels_first(frames: np.ndarray) -> ByteClip:
    """(T, H, W, 3) uint8 -> (T, 3, H, W)."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()


def fills_holes(model: Any) -> bool:
    """Whether a model needs a mask."""
    return isinstance(model, Translator) and isinstance(model.condition, HolesCondition)


def work_of(entry: ModelEntry, video: Path, options: TransformOptions) -> tuple[str, float]:
    """Unit of the work, and number of units, for the estimate of the time.

    Raises:
        DataError, VideoError: the video cannot be read.
    """
    stream = open_stream(video, frames=options.frames)
    if entry.task == UPSCALING or options.own_size:
        return "pixels", float(stream.frames * stream.size[0] * stream.size[1])
    return "frames of the training", float(stream.frames)


def transform_line(entry: ModelEntry, video: Path | str, options: TransformOptions, out: str, mask: str | None) -> str:
    """The command that writes the same mp4."""
    if entry.task == UPSCALING:
        words = [*entry.words, video]
        return command_line("upscale", words, text=options.text, frames=options.frames, device="cpu", out=out)
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
