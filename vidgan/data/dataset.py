"""Clips of a prepared data set as training items and as evaluation windows.

What an item shows is a function of (seed, epoch, item) alone: no state, no global random numbers. Worker count, process
count and a resume in between therefore change nothing.
"""

import logging
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from vidgan.data.augmentation import augment, check_augmentations, check_window, crop, crop_flow, middle
from vidgan.data.store.index import ClipEntry, load_index
from vidgan.data.store.storage import open_store
from vidgan.data.store.timing import AtRate, Clock, EveryNth, Sampling
from vidgan.data.transforms import flip_flow, flip_frames
from vidgan.errors import DataError
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip, ClipBatch

logger = logging.getLogger(__name__)


class Window(NamedTuple):
    """A piece of a clip for evaluation."""

    clip: ByteClip  # (T, 3, H, W) uint8
    group: str  # clips of one group are not independent: resample groups, not windows
    source: str
    start: int  # number of the first frame within the clip
    category: int
    fps: float | None = None  # frames per second shown, None for a clip without a clock


class ClipDataset(Dataset[ClipBatch]):
    """The clips of one split, cut at random places.

    A clip of many frames counts as several items, one for each full span of frames, so that an epoch sees about every
    frame once. Clips shorter than a span are left out; `too_short` counts them.

    Pixels come from the store that the data set was prepared with (`vidgan.data.store.storage`): the same ones from each.

    Args:
        root: folder written by `vidgan.data.preparing.prepare.prepare`.
        split: ``"train"`` or ``"test"``.
        frames: frames T of an item.
        stride: every how many-th frame is taken.
        fps: take the frames nearest in time to ticks of so many a second, in place of a stride, so that clips of
            different or varying rates move equally fast. Clips slower than that are left out; `too_slow` counts them.
        flow: give the stored flow too.
        flip: mirror half of the items, drawn anew each epoch.
        window: (h, w) of what is shown of each frame: at a random place in items, the middle in evaluation windows.
            None shows all of it.
        augment: random changes of the items, names of `vidgan.data.augmentation.AUGMENTATIONS`.
        seed: of starts, flips and changes.

    Attributes:
        index: the whole index; `entries`: the clips in use; `size`: (H, W) as shown; `category_names`,
            `num_categories`.
        shards: items that lie together in one file and are best read together, in order; None where it makes no odds.

    Raises:
        DataError: the data set is missing or damaged, or has no such split, no flow, no clock, or no clip that is long
            enough.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        split: str = "train",
        frames: int = 16,
        stride: int = 1,
        fps: float | None = None,
        flow: bool = False,
        flip: bool = False,
        window: tuple[int, int] | None = None,
        augment: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.root = Path(root)
        self.index = load_index(self.root)
        self.split, self.frames, self.stride, self.fps = split, frames, stride, fps
        self.flow, self.flip, self.seed = flow, flip, seed
        self.size = check_window(window, self.index.size, self.root)
        self.augment = tuple(augment)
        self.category_names = list(self.index.categories)
        self.num_categories = len(self.category_names)
        if frames < 1 or stride < 1:
            raise DataError(f"frames is {frames} and stride {stride}; accepted: 1 or more")
        if fps is not None and not (math.isfinite(fps) and fps > 0):
            raise DataError(f"fps is {fps}; accepted: a number above 0, or None to go by stride")
        if fps is not None and stride > 1:
            raise DataError(f"stride {stride} has no effect beside fps {fps}; give one of them")
        if flow and (stride > 1 or fps is not None):
            chosen = f"stride {stride}" if fps is None else f"fps {fps}"
            raise DataError(
                f"flow with {chosen}: the stored flow joins neighbouring frames and cannot be added up over several; "
                "take every frame (stride 1, no fps), and prepare the videos at a lower fps"
            )
        check_augmentations(self.augment)
        if flow and self.augment:
            raise DataError(
                f"flow with augment {', '.join(self.augment)}: the stored flow does not follow; leave augment out, or"
                " use an estimator that needs no stored flow (lucas_kanade)"
            )
        if flow and self.index.flow is None:
            raise DataError(
                f"{self.root}: was prepared without flow; `vidgan prepare --flow` stores it (not with --store video)"
            )
        self.store = open_store(self.root, self.index)
        self._sampling: Sampling = EveryNth(stride)
        available = _of_split(self.root, self.index.of_split(split), split)
        self.too_slow = 0
        if fps is not None:
            self._sampling = ticks = AtRate(fps, Clock(self.root, self.index).times)
            available = [entry for entry in available if not ticks.repeats(entry)]
            self.too_slow = len(self.index.of_split(split)) - len(available)
            if not available:
                raise DataError(f"{self.root}: fps {fps} is more than any clip of the {split} split has")
            if self.too_slow:
                logger.warning("%s: %d %s clips show less than %g fps, left out", root, self.too_slow, split, fps)
        self.entries = [entry for entry in available if self._starts(entry)]
        self.too_short = len(available) - len(self.entries)
        if not self.entries:
            raise DataError(self._nothing_fits(available, f"{frames} frames", frames))
        self.store.check(self.entries, flow=flow)
        counts = [max(1, len(self._starts(entry)) // self._span(entry)) for entry in self.entries]
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        """Number of items of an epoch."""
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> ClipBatch:
        """Row (epoch, item), a ClipBatch without batch axis: clip (T, 3, H, W), flow (T-1, 2, H, W) or (0, 2, H, W)."""
        if not (isinstance(key, tuple) and len(key) == 2):
            raise TypeError(f"an item is asked for by (epoch, item), got {key!r}")
        epoch, item = key
        if not 0 <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        entry = self.clip_of(item)
        starts = self._starts(entry)
        start = starts[derive_seed(self.seed, "start", epoch, item) % len(starts)]
        flip = self.flip and derive_seed(self.seed, "flip", epoch, item) % 2 == 1
        frames = self.store.frames(entry, self._sampling.indices(entry, start, self.frames))  # (T, H, W, 3)
        flow = np.empty((0, 2, *self.size), np.float32)
        if self.flow:
            flow = self.store.flow(entry, start, self.frames - 1)  # (T-1, 2, H, W)
        if self.augment:
            frames = augment(frames, self.augment, self.size, derive_seed(self.seed, "augment", epoch, item))
        elif self.size != self.index.size:
            place = derive_seed(self.seed, "window", epoch, item)
            y, x = (whole - part + 1 for part, whole in zip(self.size, self.index.size, strict=True))
            offset = place % y, place // y % x
            frames = crop(frames, self.size, offset)
            flow = crop_flow(flow, self.size, offset) if self.flow else flow
        if flip:
            frames, flow = flip_frames(frames), flip_flow(flow)
        return ClipBatch(
            clip=_as_clip(frames),
            category=torch.tensor(entry.category),
            flow=torch.from_numpy(np.ascontiguousarray(flow)),
            item=torch.tensor(item),
        )

    def clip_of(self, item: int) -> ClipEntry:
        """The clip that an item is cut from."""
        return self.entries[bisect_right(self._ends, item)]

    @property
    def rates(self) -> tuple[float, float] | None:
        """The lowest and the highest rate of the clips as shown, in frames per second; None without clocks."""
        rates = [rate for entry in self.entries if (rate := self._sampling.rate(entry)) is not None]
        return (min(rates), max(rates)) if rates else None

    @property
    def shards(self) -> list[list[int]] | None:
        """See the class."""
        groups = self.store.shards(self.entries)
        if groups is None:
            return None
        starts = [0, *self._ends]
        return [[item for i in group for item in range(starts[i], starts[i + 1])] for group in groups if group]

    def windows(self, length: int, hop: int) -> Iterator[Window]:
        """All windows of `length` frames as shown that start every `hop` frames of each clip of the split.

        Clips shorter than a window, and with `fps` those that are too slow, are passed over. Raises DataError when
        there is no window at all.
        """
        if length < 1 or hop < 1:
            raise DataError(f"length is {length} and hop {hop}; accepted: 1 or more")
        entries = self.index.of_split(self.split)
        if isinstance(self._sampling, AtRate):
            entries = [entry for entry in entries if not self._sampling.repeats(entry)]
        fitting = [entry for entry in entries if self._sampling.starts(entry, length)]
        if not fitting:
            raise DataError(self._nothing_fits(entries, f"windows of {length} frames", length))
        return self._windows(fitting, length, hop)

    def _windows(self, entries: list[ClipEntry], length: int, hop: int) -> Iterator[Window]:
        for entry in entries:
            for start in self._sampling.starts(entry, length)[::hop]:
                frames = self.store.frames(entry, self._sampling.indices(entry, start, length))
                clip = _as_clip(middle(frames, self.size))
                yield Window(clip, entry.group, entry.source, start, entry.category, self._sampling.rate(entry))

    def _starts(self, entry: ClipEntry) -> range:
        return self._sampling.starts(entry, self.frames)

    def _span(self, entry: ClipEntry) -> int:
        """Frames of the clip that its first item reaches over."""
        return self._sampling.indices(entry, 0, self.frames)[-1] + 1

    def _nothing_fits(self, entries: list[ClipEntry], what: str, length: int) -> str:
        if self.fps is not None:
            lasts = f"{(length - 1) / self.fps:.2f} s, longer than any clip of the {self.split} split"
            return f"{self.root}: {what} at {self.fps:g} a second last {lasts}"
        span = (length - 1) * self.stride + 1
        longest = max(entry.frames for entry in entries)
        return (
            f"{self.root}: {what} at stride {self.stride} need clips of {span} frames, the longest of the {self.split}"
            f" split has {longest}"
        )


DATASETS: Final[dict[str, type[ClipDataset]]] = {"clips": ClipDataset}


def _of_split(root: Path, entries: list[ClipEntry], split: str) -> list[ClipEntry]:
    if not entries:
        raise DataError(f"{root}: the {split} split is empty; prepare with another holdout, test_pattern or group_by")
    return entries


def _as_clip(frames: np.ndarray) -> ByteClip:
    """(T, H, W, 3) array -> (T, 3, H, W) uint8 tensor."""
    return torch.from_numpy(np.array(frames.transpose(0, 3, 1, 2), order="C"))
