"""`vidgan evaluate` of two folders of videos: paired by name, or as two sets."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from vidgan.data.sources.source import Source
from vidgan.data.unprepared import list_clips, read_clip
from vidgan.errors import ConfigError
from vidgan.evaluation.clip_streams import random_order
from vidgan.evaluation.folders import score_folders
from vidgan.evaluation.networks import perceptual_metrics
from vidgan.evaluation.protocols import DEFAULT_METRICS, GenerationProtocol
from vidgan.evaluation.results import FolderScores, SynthesisScores
from vidgan.evaluation.run_sets import score_sets
from vidgan.evaluation.settings import Settings
from vidgan.metrics.frame_torch import metrics_on
from vidgan.types import ByteClip


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """How folders are read.

    Attributes:
        strip_frame: (H, W) of one frame in strips, where it is not square.
        frames: first frame scored, and the end (not included; None: the last one).
        unpaired: compare two sets of clips, not pairs of the same name.
    """

    strip_frame: tuple[int, int] | None = None
    frames: tuple[int, int | None] | None = None
    unpaired: bool = False

    def refuse(self, what: str) -> None:
        """Raise ConfigError if any is set, since it has no effect on `what`."""
        for name, value in vars(self).items():
            if value:
                raise ConfigError(f"--{name.replace('_', '-')} has no effect on {what}")


def evaluate_folders(predicted: Path, true: Path, *, strip_frame: tuple[int, int] | None = None) -> FolderScores:
    """Score videos against the true ones of the same name, frame by frame; no model is needed.

    Raises:
        DataError: a folder holds no clips. ValueError: they do not pair up in name, length or frame size.
    """
    return evaluate_pairs(predicted, true, FolderSettings(strip_frame=strip_frame), Settings())


def evaluate_pairs(predicted: Path, true: Path, folders: FolderSettings, settings: Settings) -> FolderScores:
    """Score the videos of one folder (or pattern) against those of another.

    A path with `*` in its last part takes the videos of that pattern, and they pair by what the `*` stands for:
    `out/*_forecast.png` and `data/*_true.png`. Two files are a pair whatever their names.

    Raises:
        DataError: there are no clips. ConfigError, ValueError: they do not pair up in name, length or frame size.
    """
    settings.refuse(
        "two folders of videos", "data", "split", "best", "context", "horizon", "growing", "samples", "best_by",
        "clips", "seeds", "flow_histograms", "mcs", "protocol", "variant", "allow_deviation",
    )  # fmt: skip
    chosen = settings.metrics or DEFAULT_METRICS
    device = settings.torch_device()
    perceptual = perceptual_metrics(chosen, settings.weights, device)
    start, stop = folders.frames or (0, None)
    made, truth = (_readers(path, folders.strip_frame) for path in (predicted, true))
    if predicted.is_file() and true.is_file() and len(made) == len(truth) == 1:
        made = dict(zip(truth, made.values(), strict=True))
    return score_folders(
        made,
        truth,
        start=start,
        stop=stop,
        metrics=tuple(dict.fromkeys((*chosen, *perceptual))),
        extra=perceptual if device.type == "cpu" else metrics_on(device) | perceptual,
        protocol="folder"
        if folders.frames is None
        else f"folder-frames-{start}to{'end' if stop is None else stop - 1}",
        seed=settings.seed,
    )


def evaluate_sets(fake: Path, real: Path, folders: FolderSettings, settings: Settings) -> SynthesisScores:
    """Compare two folders as sets of clips: as many on each side, with the real-versus-real floor.

    Raises:
        DataError: there are no clips. ConfigError, ValueError: too few clips, or of different sizes.
    """
    settings.refuse(
        "two sets of clips", "data", "split", "best", "context", "horizon", "growing", "samples", "best_by", "metrics",
        "mcs",
    )  # fmt: skip
    protocol = settings.preset()
    if protocol is not None and not isinstance(protocol, GenerationProtocol):
        raise ConfigError(f"--protocol {protocol.name} is for forecasts; --unpaired compares sets of clips")
    made, true = (_mixed(_readers(path, folders.strip_frame), settings.seed) for path in (fake, real))
    return score_sets(
        partial(_cut, made, folders.frames),
        partial(_cut, true, folders.frames),
        counts=(len(made), len(true)),
        protocol=protocol,
        settings=settings,
    )


Reader = Callable[[], ByteClip]


def _mixed(readers: dict[str, Reader], seed: int) -> list[Reader]:
    """The readers in random order."""
    found = list(readers.values())
    return [found[position] for position in random_order(len(found), seed)]


def _cut(readers: list[Reader], frames: tuple[int, int | None] | None) -> Iterator[ByteClip]:
    """The clips one by one, (T, 3, H, W), cut to the frames asked for."""
    start, stop = frames or (0, None)
    for read in readers:
        yield read()[start:stop]


def _readers(path: Path, strip_frame: tuple[int, int] | None) -> dict[str, Reader]:
    """Name -> function that decodes that video to (T, 3, H, W)."""
    pattern = None
    if "*" in path.name and not path.exists():
        path, pattern = path.parent, path.name
    root, sources = list_clips(path, strip_frame=strip_frame)
    named = [(_name(source, pattern), source) for source in sources]
    found = [(name, source) for name, source in named if name is not None]
    if not found:
        if any(source.name == "." for source in sources):
            there = (
                "pictures are read as the frames of one video; where each is a strip of frames, give --strip-frame HxW"
            )
        else:
            there = f"there are {', '.join(source.name for source in sources[:3])}, ..."
        raise ConfigError(f"{path / (pattern or '')}: no video has such a name; {there}")
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{path}: two videos are named {twice}; videos are paired by name")

    def read(source: Source) -> ByteClip:
        frames = read_clip(root, source, strip_frame=strip_frame)
        return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()  # (T, 3, H, W)

    return {name: partial(read, source) for name, source in found}


def _name(source: Source, pattern: str | None) -> str | None:
    """What a video is paired by: its path without suffix, or what the pattern's stars stand for; None: no match."""
    if pattern is None:
        return Path(source.name).with_suffix("").as_posix()
    expression = "(.*)".join(re.escape(part) for part in pattern.split("*"))
    match = re.fullmatch(expression, source.name)
    return None if match is None else "*".join(match.groups())
