"""Which windows of a prepared data set are scored, and reading them in batches."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from vidgan.data.augmentation import check_window, crop_middle
from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.index import ClipEntry, Index, load_index
from vidgan.data.store.storage import open_store
from vidgan.data.timing import AtRate, Clock, EveryNth, Sampling
from vidgan.errors import DataError
from vidgan.evaluation.measure import WindowBatch
from vidgan.evaluation.protocols import Windows
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip

BATCH = 8
ALL = "all"  # both splits


class Place(NamedTuple):
    """A window before it is read."""

    entry: ClipEntry
    frames: Sequence[int]  # their numbers, counted from the clip's first

    @property
    def id(self) -> str:
        """Source and first frame, as results name it."""
        return f"{self.entry.source}:{self.frames[0]}"


class Places:
    """The windows of one evaluation, in order, and the store that they are read from.

    Args:
        root: folder of prepared data.
        length: frames of a window.
        rule: which windows; None: all that do not overlap, from the front, by `stride` or `fps`.
        stride, fps: how a model was trained to see time; not with a rule, which has its own.
        split: "test", "train" or "all".
        one_each: without a rule: one window a clip, at a random start, in place of all that do not overlap.
        shifted: without a rule: the windows that do not overlap are laid from a random start, as sets of clips need it:
            windows of training start anywhere too, and in many data a clip's first frames are not like its others.
        window: (h, w), show the middle of each frame alone.
        seed: of random starts.

    Raises:
        DataError: no such data, or no window; the message says how long the clips are.
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
        window: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> None:
        self.index: Index = load_index(root)
        self.size = check_window(window, self.index.size, root)
        self.length = length
        self.store: ClipStore = open_store(root, self.index)
        entries = self.index.clips if split == ALL else self.index.of_split(split)
        if not entries:
            raise DataError(
                f"{root}: no clip is in the {split} split; data the model never saw can be scored --split all"
            )
        if rule is None:
            sampling = EveryNth(stride) if fps is None else AtRate(fps, Clock(root, self.index).times)
            cut = partial(_one, seed=seed) if one_each else partial(_without_overlap, seed=seed if shifted else None)
            found = [place for entry in entries for place in cut(sampling, entry, length)]
            self._sampling: Sampling | None = sampling
        else:
            found = [place for entry in entries for place in _by_rule(rule, entry, length, self.index, seed)]
            self._sampling = None
        if not found:
            longest = max((entry.frames for entry in entries), default=0)
            raise DataError(
                f"{root}: no window of {length} frames in the {split} split: {len(entries)} clips, the longest of"
                f" {longest} frames"
            )
        self.found = found

    def __len__(self) -> int:
        return len(self.found)

    def spread(self, count: int) -> list[Place]:
        """Up to `count` of the windows, evenly over all of them."""
        number = min(count, len(self))
        return [self.found[position * len(self) // number] for position in range(number)]

    def batches(
        self, *, rank: int = 0, processes: int = 1, size: int = BATCH, limit: int | None = None
    ) -> Iterator[WindowBatch]:
        """Batches in order; of several processes each takes every `processes`-th one.

        What stands together in a batch does not depend on the number of processes.
        """
        found = self.found[:limit]
        for first in range(rank * size, len(found), processes * size):
            some = found[first : first + size]
            clips = self.read_all(some)
            rows = range(first, first + len(some))
            yield WindowBatch(clips, [place.entry.group for place in some], [place.id for place in some], rows)

    def overlapping(self, entry: ClipEntry) -> list[Sequence[int]]:
        """The frame numbers of all windows of a clip, one at every start. Not with a rule."""
        assert self._sampling is not None, "a rule has its own starts"
        starts = _starts(self._sampling, entry, self.length)
        return [self._sampling.indices(entry, start, self.length) for start in starts]

    def read(self, place: Place) -> ByteClip:
        """(T, 3, H, W) uint8 of one window."""
        return read_window(self.store, place.entry, place.frames, self.size)

    def read_all(self, places: Sequence[Place]) -> ByteClip:
        """(N, T, 3, H, W) uint8 of several windows of one length."""
        return torch.stack([self.read(place) for place in places])


def read_window(store: ClipStore, entry: ClipEntry, frames: Sequence[int], size: tuple[int, int]) -> ByteClip:
    """(T, 3, h, w) uint8: the middle (h, w) of these frames."""
    pixels = crop_middle(store.frames(entry, frames), size)  # (T, h, w, 3)
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())


def _starts(sampling: Sampling, entry: ClipEntry, length: int) -> Sequence[int]:
    if isinstance(sampling, AtRate) and sampling.repeats(entry):
        return []  # slower than asked for: frames would repeat
    return sampling.starts(entry, length)


def _one(sampling: Sampling, entry: ClipEntry, length: int, *, seed: int) -> list[Place]:
    starts = _starts(sampling, entry, length)
    if not starts:
        return []
    start = starts[_drawn(len(starts), entry, seed)]
    return [Place(entry, sampling.indices(entry, start, length))]


def _without_overlap(sampling: Sampling, entry: ClipEntry, length: int, *, seed: int | None) -> list[Place]:
    """From the front, or with a seed from a random start within the first window's length."""
    starts = _starts(sampling, entry, length)
    if not starts:
        return []
    span = sampling.indices(entry, 0, length)[-1] + 1
    first = 0 if seed is None else _drawn(min(span, len(starts)), entry, seed)
    return [Place(entry, sampling.indices(entry, start, length)) for start in starts[first::span]]


def _drawn(choices: int, entry: ClipEntry, seed: int) -> int:
    return derive_seed("window start", seed, _key(entry)) % choices


def _by_rule(rule: Windows, entry: ClipEntry, length: int, index: Index, seed: int) -> list[Place]:
    names = [*index.categories, ""]  # unlabelled clips carry -1
    starts = rule.starts(entry.frames, length, category=names[entry.category], key=_key(entry), seed=seed)
    span = (length - 1) * rule.stride + 1
    return [Place(entry, range(start, start + span, rule.stride)) for start in starts]


def _key(entry: ClipEntry) -> str:
    """What draws a clip's random start: the place in its source, whatever else the data set holds."""
    return f"{entry.source}@{entry.start}"
