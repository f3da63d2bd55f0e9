"""Windows of prepared clips: which ones are scored, and reading them in batches."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from einops import rearrange

from vidgan.data.augmentation import check_window, crop_middle
from vidgan.data.dataset import ClipDataset
from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.index import ClipEntry, Index, load_index
from vidgan.data.store.storage import open_store
from vidgan.data.timing import AtRate, Clock, EveryNth, Sampling
from vidgan.errors import DataError
from vidgan.evaluation.measure import WindowBatch
from vidgan.evaluation.protocols import Windows
from vidgan.evaluation.settings import ALL
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip

BATCH = 8


class Window(NamedTuple):
    """A window before it is read."""

    entry: ClipEntry
    frames: Sequence[int]  # numbers of its frames, counted from the first frame of the clip

    @property
    def id(self) -> str:
        """Source and first frame: the name of the window in results."""
        return f"{self.entry.source}:{self.frames[0]}"


class WindowSet:
    """The windows of one evaluation, in order, and the store that they are read from.

    Args:
        root: folder of prepared data.
        length: frames of a window.
        rule: selects windows; None: all non-overlapping windows from the first frame on, at `stride` or `fps`.
        stride, fps: temporal sampling of the model's training clips; a rule has its own.
        split: "test", "train" or "all".
        one_each: without a rule: one window per clip with a random start.
        shifted: without a rule: the first window of a clip starts at random within one window length. Sets of clips
            need it, because training windows start anywhere and the first frames of a clip often differ from others.
        crop: (h, w), the central region of each frame that is read; None: whole frames.
        conditions: read each frame with its stored condition behind, as six channels.
        seed: of random starts.

    Raises:
        DataError: there are no such data or no window; the message gives the length of the clips.
    """

    def __init__(
        self,
        root: Path,
        length: int,
        *,
        rule: Windows | None = None,
        stride: int = 1,
        fps: float | None = None,
        split: str = "test",
        one_each: bool = False,
        shifted: bool = False,
        crop: tuple[int, int] | None = None,
        conditions: bool = False,
        seed: int = 0,
    ) -> None:
        self.index: Index = load_index(root)
        self.size = check_window(crop, self.index.size, root)
        self.length = length
        self.store: ClipStore = open_store(root, self.index, conditions=conditions)
        entries = self.index.clips if split == ALL else self.index.of_split(split)
        if not entries:
            raise DataError(
                f"{root}: no clip is in the {split} split; data that the model was not trained on can be scored with"
                " --split all"
            )
        self._sampling: Sampling | None = None
        if rule is None:
            sampling = EveryNth(stride) if fps is None else AtRate(fps, Clock(root, self.index).times)
            cut = partial(_one_window, seed=seed) if one_each else partial(_disjoint, seed=seed if shifted else None)
            windows = [window for entry in entries for window in cut(sampling, entry, length)]
            self._sampling = sampling
        else:
            windows = [window for entry in entries for window in _by_rule(rule, entry, length, self.index, seed)]
        if not windows:
            longest = max((entry.frames for entry in entries), default=0)
            raise DataError(
                f"{root}: no window of {length} frames in the {split} split: {len(entries)} clips, the longest of"
                f" {longest} frames"
            )
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def spread(self, count: int) -> list[Window]:
        """Select at most `count` windows, evenly spaced over all of them."""
        number = min(count, len(self))
        return [self.windows[position * len(self) // number] for position in range(number)]

    def batches(
        self, *, rank: int = 0, processes: int = 1, size: int = BATCH, limit: int | None = None
    ) -> Iterator[WindowBatch]:
        """Batches in order; process `rank` of several takes every `processes`-th one.

        The windows of a batch do not depend on the number of processes.
        """
        windows = self.windows[:limit]
        for first in range(rank * size, len(windows), processes * size):
            batch = windows[first : first + size]
            rows = range(first, first + len(batch))
            groups, ids = [window.entry.group for window in batch], [window.id for window in batch]
            yield WindowBatch(self.read_all(batch), groups, ids, rows, [caption_of(window.entry) for window in batch])

    def overlapping(self, entry: ClipEntry) -> list[Sequence[int]]:
        """The frame numbers of all windows of a clip, one per possible start. Not with a rule."""
        assert self._sampling is not None, "a rule selects its own starts"
        starts = _starts(self._sampling, entry, self.length)
        return [self._sampling.indices(entry, start, self.length) for start in starts]

    def read(self, window: Window) -> ByteClip:
        """One window, (T, 3, H, W) uint8."""
        return read_window(self.store, window.entry, window.frames, self.size)

    def read_all(self, windows: Sequence[Window]) -> ByteClip:
        """Several windows of one length, (N, T, 3, H, W) uint8."""
        return torch.stack([self.read(window) for window in windows])


def caption_of(entry: ClipEntry) -> str:
    """The first caption of a clip, "" without."""
    return next(iter(entry.captions), "")


def read_window(store: ClipStore, entry: ClipEntry, frames: Sequence[int], size: tuple[int, int]) -> ByteClip:
    """The central region of `size` (h, w) of some frames of a clip, (T, 3, h, w) uint8."""
    pixels = crop_middle(store.frames(entry, frames), size)
    return torch.from_numpy(rearrange(pixels, "t h w c -> t c h w").copy())


def dataset_windows(dataset: ClipDataset, length: int, *, shifted: bool = False) -> WindowSet:
    """The windows of `length` frames of a data set, with its temporal sampling."""
    return WindowSet(
        dataset.root,
        length,
        crop=dataset.size,
        stride=dataset.stride,
        fps=dataset.fps,
        split=dataset.split,
        shifted=shifted,
        conditions=dataset.conditions,
    )


def real_clips(dataset: ClipDataset, count: int) -> tuple[ByteClip, list[str]]:
    """At most `count` windows (N, T, 3, H, W), evenly spaced over the data set, and the groups of their clips.

    They do not overlap and start anywhere in their clips, as training windows do. Every call returns the same ones.
    """
    clips, entries = labelled_clips(dataset, count)
    return clips, [entry.group for entry in entries]


def labelled_clips(dataset: ClipDataset, count: int) -> tuple[ByteClip, list[ClipEntry]]:
    """As `real_clips`, with the index entry of each window's clip."""
    windows = dataset_windows(dataset, dataset.frames, shifted=True)
    chosen = windows.spread(count)
    return windows.read_all(chosen), [window.entry for window in chosen]


def _starts(sampling: Sampling, entry: ClipEntry, length: int) -> Sequence[int]:
    if isinstance(sampling, AtRate) and sampling.repeats(entry):
        return []  # its frame rate is below the requested one: frames would repeat
    return sampling.starts(entry, length)


def _one_window(sampling: Sampling, entry: ClipEntry, length: int, *, seed: int) -> list[Window]:
    starts = _starts(sampling, entry, length)
    if not starts:
        return []
    start = starts[_draw(len(starts), entry, seed)]
    return [Window(entry, sampling.indices(entry, start, length))]


def _disjoint(sampling: Sampling, entry: ClipEntry, length: int, *, seed: int | None) -> list[Window]:
    """Non-overlapping windows from the first frame on, or with a seed from a random start in the first window."""
    starts = _starts(sampling, entry, length)
    if not starts:
        return []
    span = sampling.indices(entry, 0, length)[-1] + 1
    first = 0 if seed is None else _draw(min(span, len(starts)), entry, seed)
    return [Window(entry, sampling.indices(entry, start, length)) for start in starts[first::span]]


def _by_rule(rule: Windows, entry: ClipEntry, length: int, index: Index, seed: int) -> list[Window]:
    names = [*index.categories, ""]  # clips without a category have number -1
    starts = rule.starts(entry.frames, length, category=names[entry.category], key=_key(entry), seed=seed)
    span = (length - 1) * rule.stride + 1
    return [Window(entry, range(start, start + span, rule.stride)) for start in starts]


def _draw(choices: int, entry: ClipEntry, seed: int) -> int:
    return derive_seed("window start", seed, _key(entry)) % choices


def _key(entry: ClipEntry) -> str:
    """Keys a clip's random start by its position in its source, independent of the rest of the data set."""
    return f"{entry.source}@{entry.start}"
