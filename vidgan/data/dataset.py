"""Clips of a prepared data set as training items and as evaluation windows.

An item is a function of (seed, epoch, item): there is no state and no global random numbers. Worker count, process
count and resuming therefore change nothing.
"""

import logging
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch.utils.data import Dataset

from vidgan.data.augmentation import (
    augment,
    augment_flow,
    check_augmentations,
    check_window,
    crop,
    crop_flow,
    crop_middle,
    flip_flow,
    flip_frames,
)
from vidgan.data.captions import CaptionSource
from vidgan.data.store.index import INDEX_NAME, ClipEntry, load_index
from vidgan.data.store.storage import open_store
from vidgan.data.timing import AtRate, Clock, EveryNth, Sampling
from vidgan.errors import DataError
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip, ClipBatch

logger = logging.getLogger(__name__)


class Window(NamedTuple):
    """A segment of a clip for evaluation.

    Attributes:
        clip: (T, 3, H, W) uint8.
        group: clips of one group are not independent: resample groups, not windows.
        source: name of the clip.
        start: number of its first frame within the clip.
        category: see `vidgan.data.store.index.ClipEntry`.
        fps: frames per second, None for a clip without a clock.
    """

    clip: ByteClip
    group: str
    source: str
    start: int
    category: int
    fps: float | None = None


class ClipDataset(Dataset[ClipBatch]):
    """The clips of one split, as items that start at random frames.

    A long clip counts as several items, one per full span of frames, so that an epoch contains each frame about once.
    Clips shorter than a span are excluded; `too_short` counts them.

    Pixels come from the store that the data set was prepared with (`vidgan.data.store`), and do not depend on it.

    Args:
        root: folder written by `vidgan.data.preparing.prepare.prepare`.
        split: ``"train"`` or ``"test"``.
        frames: frames T of an item.
        stride: distance of consecutive frames of an item, in stored frames.
        fps: use the frames nearest in time to ticks of 1 / fps seconds instead of a stride, so that motion in clips of
            different or varying rates has the same speed. Slower clips are excluded; `too_slow` counts them.
        flow: load the stored flow too.
        flip: mirror half of the items, redrawn each epoch.
        window: (h, w) of the crop of each frame: at a random position in items, centred in evaluation windows. None
            keeps the full frame.
        conditions: read each clip with its stored condition behind, as frames of six channels.
        captions: give each item a caption of its clip and this many that are wrong for it; None for no captions.
        augment: random changes of the items, names of `vidgan.data.augmentation.AUGMENTATIONS`.
        seed: determines starts, crops, flips and augmentation.

    Attributes:
        index: the whole index.
        entries: the clips in use.
        size: (H, W) of the items.
        category_names, num_categories: the classes.

    Raises:
        DataError: the data set is missing or damaged, or lacks the split, flow, a clock, or a clip long enough.
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
        conditions: bool = False,
        captions: int | None = None,
        seed: int = 0,
    ) -> None:
        self.root = Path(root)
        self._index_version = _version(self.root)
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
            raise DataError(f"fps is {fps}; accepted: a number above 0, or None to use stride")
        if fps is not None and stride > 1:
            raise DataError(f"stride {stride} has no effect with fps {fps}; remove one of them")
        if flow and (stride > 1 or fps is not None):
            chosen = f"stride {stride}" if fps is None else f"fps {fps}"
            raise DataError(
                f"flow with {chosen}: the stored flow is between neighbouring frames; accepted: stride 1 without fps. "
                "Prepare the videos at a lower fps instead"
            )
        check_augmentations(self.augment)
        if flow and self.index.flow is None:
            raise DataError(
                f"{self.root}: prepared without flow; `vidgan prepare --flow` stores it (not with --store video)"
            )
        if conditions and self.augment:
            raise DataError(
                f"conditions with augment {', '.join(self.augment)}: conditions are not augmented; remove one"
            )
        self.conditions = conditions
        self.store = open_store(self.root, self.index, conditions=conditions)
        self._sampling: Sampling = EveryNth(stride)
        self._reported: set[int] = set()  # lengths of windows whose excluded clips were reported
        available = _of_split(self.root, self.index.of_split(split), split)
        self.too_slow = 0
        if fps is not None:
            self._sampling = ticks = AtRate(fps, Clock(self.root, self.index).times)
            available = [entry for entry in available if not ticks.repeats(entry)]
            self.too_slow = len(self.index.of_split(split)) - len(available)
            if not available:
                raise DataError(f"{self.root}: fps {fps} exceeds the frame rate of every clip of the {split} split")
            if self.too_slow:
                logger.warning("%s: excluded %d %s clips of less than %g fps", root, self.too_slow, split, fps)
        self.entries = [entry for entry in available if self._starts(entry)]
        self.too_short = len(available) - len(self.entries)
        if not self.entries:
            raise DataError(self._nothing_fits(available, f"{frames} frames", frames))
        if self.too_short:
            logger.warning("%s", self.usage)
        self.store.check(self.entries, flow=flow)
        self.captions = None if captions is None else CaptionSource(self.root, self.entries, wrong=captions)
        counts = [max(1, len(self._starts(entry)) // self._span(entry)) for entry in self.entries]
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        """Number of items per epoch."""
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> ClipBatch:
        """One item, a ClipBatch without batch axis: clip (T, 3 or 6, H, W), flow (T-1, 2, H, W) or (0, 2, H, W)."""
        if not (isinstance(key, tuple) and len(key) == 2):
            raise TypeError(f"key is {key!r}; accepted: (epoch, item)")
        epoch, item = key
        if not 0 <= item < len(self):
            raise IndexError(f"item is {item}; accepted: 0 to {len(self) - 1}")
        place = bisect_right(self._ends, item)
        entry = self.entries[place]
        starts = self._starts(entry)
        start = starts[derive_seed(self.seed, "start", epoch, item) % len(starts)]
        flip = self.flip and derive_seed(self.seed, "flip", epoch, item) % 2 == 1
        frames = self.store.frames(entry, self._sampling.indices(entry, start, self.frames))  # (T, H, W, 3)
        flow: np.ndarray = np.empty((0, 2, *self.size), np.float32)
        if self.flow:
            flow = self.store.flow(entry, start, self.frames - 1)  # (T-1, 2, H, W)
        if self.augment:
            drawn = derive_seed(self.seed, "augment", epoch, item)
            frames = augment(frames, self.augment, self.size, drawn)
            flow = augment_flow(flow, self.augment, self.size, drawn) if self.flow else flow
        elif self.size != self.index.size:
            corner = derive_seed(self.seed, "window", epoch, item)
            y, x = (whole - part + 1 for part, whole in zip(self.size, self.index.size, strict=True))
            offset = corner % y, corner // y % x
            frames = crop(frames, self.size, offset)
            flow = crop_flow(flow, self.size, offset) if self.flow else flow
        if flip:
            frames, flow = flip_frames(frames), flip_flow(flow)
        caption = torch.empty(1, 0, dtype=torch.int64)
        if self.captions is not None:
            caption = self.captions.draw(place, self.seed, epoch, item)  # (1 + K, L)
        return ClipBatch(
            clip=_as_clip(frames),
            category=torch.tensor(entry.category),
            flow=torch.from_numpy(np.ascontiguousarray(flow)),
            item=torch.tensor(item),
            caption=caption,
        )

    @property
    def usage(self) -> str:
        """How many clips are used, out of how many, and how long a clip must be."""
        total = len(self.index.of_split(self.split))
        need = (self.frames - 1) * self.stride + 1
        length = f"{(self.frames - 1) / self.fps:.2f} s" if self.fps is not None else f"{need} frames"
        text = f"{self.root}: {len(self.entries)} of {total} {self.split} clips are used"
        if self.too_short:
            text += f"; {self.too_short} are shorter than the {length} of an item"
        if self.too_slow:
            text += f"; {self.too_slow} have less than {self.fps:g} fps"
        return text

    def check_enough(self, batch_size: int) -> None:
        """Raise DataError when clips are excluded and fewer than `batch_size` are left."""
        if self.too_short + self.too_slow and len(self.entries) < batch_size:
            raise DataError(
                f"{self.usage}, fewer than the batch of {batch_size}; prepare longer clips, reduce data.frames or "
                "data.stride, or train on these few with data.allow_few=true"
            )

    def check_unchanged(self) -> None:
        """Raise DataError when the data set was prepared again, with another result, since it was opened."""
        version = _version(self.root)
        if version == self._index_version:
            return
        index = load_index(self.root)
        if (index.fingerprint, index.split_hash) != (self.index.fingerprint, self.index.split_hash):
            raise DataError(f"{self.root}: prepared again while it was being read; start again with the new data")
        self._index_version = version

    def clip_of(self, item: int) -> ClipEntry:
        """The clip that contains an item."""
        return self.entries[bisect_right(self._ends, item)]

    @property
    def rates(self) -> tuple[float, float] | None:
        """Lowest and highest frame rate of the items, in frames per second; None if no clip has a clock."""
        rates = [rate for entry in self.entries if (rate := self._sampling.rate(entry)) is not None]
        return (min(rates), max(rates)) if rates else None

    @property
    def shards(self) -> list[list[int]] | None:
        """Items of each shard in reading order; None where the order does not matter."""
        groups = self.store.shards(self.entries)
        if groups is None:
            return None
        starts = [0, *self._ends]
        return [[item for i in group for item in range(starts[i], starts[i + 1])] for group in groups if group]

    def windows(self, length: int, hop: int) -> Iterator[Window]:
        """Windows of `length` frames that start at every `hop`-th frame of each clip of the split.

        Clips shorter than a window, and with `fps` slower clips, are skipped. Raises DataError if no window exists.
        """
        if length < 1 or hop < 1:
            raise DataError(f"length is {length} and hop {hop}; accepted: 1 or more")
        entries = self.index.of_split(self.split)
        if isinstance(self._sampling, AtRate):
            entries = [entry for entry in entries if not self._sampling.repeats(entry)]
        fitting = [entry for entry in entries if self._sampling.starts(entry, length)]
        if not fitting:
            raise DataError(self._nothing_fits(entries, f"windows of {length} frames", length))
        if len(fitting) < len(entries) and length not in self._reported:
            self._reported.add(length)
            text = "%s: %d of %d %s clips have a window of %d frames; the others are too short and are not scored"
            logger.warning(text, self.root, len(fitting), len(entries), self.split, length)
        return self._windows(fitting, length, hop)

    def _windows(self, entries: list[ClipEntry], length: int, hop: int) -> Iterator[Window]:
        for entry in entries:
            for start in self._sampling.starts(entry, length)[::hop]:
                frames = self.store.frames(entry, self._sampling.indices(entry, start, length))
                clip = _as_clip(crop_middle(frames, self.size))
                yield Window(clip, entry.group, entry.source, start, entry.category, self._sampling.rate(entry))

    def _starts(self, entry: ClipEntry) -> range:
        return self._sampling.starts(entry, self.frames)

    def _span(self, entry: ClipEntry) -> int:
        """Number of frames of the clip that its first item spans."""
        return self._sampling.indices(entry, 0, self.frames)[-1] + 1

    def _nothing_fits(self, entries: list[ClipEntry], what: str, length: int) -> str:
        if self.fps is not None:
            duration = f"{(length - 1) / self.fps:.2f} s, longer than any clip of the {self.split} split"
            return f"{self.root}: {what} at {self.fps:g} fps last {duration}"
        span = (length - 1) * self.stride + 1
        longest = max(entry.frames for entry in entries)
        return (
            f"{self.root}: {what} at stride {self.stride} need clips of {span} frames; the longest clip of the"
            f" {self.split} split has {longest}"
        )


def _version(root: Path) -> tuple[int, ...]:
    """Changes whenever the index is written."""
    try:
        status = (root / INDEX_NAME).stat()
    except OSError:
        return ()  # `load_index` explains
    return status.st_ino, status.st_size, status.st_mtime_ns


def _of_split(root: Path, entries: list[ClipEntry], split: str) -> list[ClipEntry]:
    if not entries:
        raise DataError(
            f"{root}: the {split} split is empty; prepare again with another --holdout, --test-pattern or --group-by"
        )
    return entries


def _as_clip(frames: np.ndarray) -> ByteClip:
    """(T, H, W, 3) array -> (T, 3, H, W) uint8 tensor."""
    return torch.from_numpy(np.array(rearrange(frames, "t h w c -> t c h w"), order="C"))
