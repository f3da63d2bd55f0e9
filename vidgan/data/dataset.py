"""Clips of a prepared data set as training items and as evaluation windows.

What an item shows is a function of (seed, epoch, item) alone: no state, no global random numbers. Worker count, process
count and a resume in between therefore change nothing.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from vidgan.data.index import ClipEntry, clip_path, flow_path, load_index
from vidgan.data.names import DataError
from vidgan.data.transforms import flip_flow, flip_frames
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip, ClipBatch
from vidgan.video.sampling import clip_starts, windows


class Window(NamedTuple):
    """A piece of a clip for evaluation."""

    clip: ByteClip  # (T, 3, H, W) uint8
    group: str  # clips of one group are not independent: resample groups, not windows
    source: str
    start: int  # index of the first frame within the source
    category: int


class ClipDataset(Dataset[ClipBatch]):
    """The clips of one split, cut at random places.

    A clip of many frames counts as several items, one for each full span of frames, so that an epoch sees about every
    frame once. Clips shorter than a span are left out; `too_short` counts them.

    Args:
        root: folder written by `vidgan.data.prepare.prepare`.
        split: ``"train"`` or ``"test"``.
        frames: frames T of an item.
        stride: every how many-th frame is taken.
        flow: give the stored flow too.
        flip: mirror half of the items, drawn anew each epoch.
        seed: of starts and flips.

    Attributes:
        index: the whole index; `entries`: the clips in use; `size`: (H, W); `category_names`, `num_categories`.

    Raises:
        DataError: the data set is missing or damaged, or has no such split, no flow, or no clip that is long enough.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        split: str = "train",
        frames: int = 16,
        stride: int = 1,
        flow: bool = False,
        flip: bool = False,
        seed: int = 0,
    ) -> None:
        self.root = Path(root)
        self.index = load_index(self.root)
        self.split, self.frames, self.stride = split, frames, stride
        self.flow, self.flip, self.seed = flow, flip, seed
        self.size = self.index.size
        self.category_names = list(self.index.categories)
        self.num_categories = len(self.category_names)
        if frames < 1 or stride < 1:
            raise DataError(f"frames is {frames} and stride {stride}; accepted: 1 or more")
        if flow and stride > 1:
            raise DataError(
                f"flow with stride {stride}: the stored flow joins neighbouring frames and cannot be added up over "
                "several; use stride=1, or prepare the videos at a lower fps"
            )
        if flow and self.index.flow is None:
            raise DataError(f"{self.root}: was prepared without flow; run `vidgan prepare` with --flow")
        self.span = (frames - 1) * stride + 1
        available = _of_split(self.root, self.index.of_split(split), split)
        self.entries = [entry for entry in available if entry.frames >= self.span]
        self.too_short = len(available) - len(self.entries)
        if not self.entries:
            raise DataError(
                f"{self.root}: {frames} frames at stride {stride} need clips of {self.span} frames, the longest of the "
                f"{split} split has {max(entry.frames for entry in available)}"
            )
        for entry in self.entries:
            _check_files(self.root, entry, flow)
        self._ends = list(accumulate(max(1, len(self._starts(entry)) // self.span) for entry in self.entries))

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
        entry = self.entries[bisect_right(self._ends, item)]
        starts = self._starts(entry)
        start = starts[derive_seed(self.seed, "start", epoch, item) % len(starts)]
        flip = self.flip and derive_seed(self.seed, "flip", epoch, item) % 2 == 1
        frames = self._read(entry, start, self.span, self.stride)  # (T, H, W, 3)
        if self.flow:
            path = flow_path(self.root, entry)
            stored = _open(path, (entry.frames - 1, 2, *self.size), np.float16)
            flow = stored[start : start + self.frames - 1].astype(np.float32)  # (T-1, 2, H, W)
        else:
            flow = np.empty((0, 2, *self.size), np.float32)
        if flip:
            frames, flow = flip_frames(frames), flip_flow(flow)
        return ClipBatch(
            clip=_as_clip(frames),
            category=torch.tensor(entry.category),
            flow=torch.from_numpy(np.ascontiguousarray(flow)),
            item=torch.tensor(item),
        )

    def windows(self, length: int, hop: int) -> Iterator[Window]:
        """All windows of `length` frames, `stride` apart, that start every `hop` frames of each clip of the split.

        Clips shorter than a window are passed over. Raises DataError when there is no window at all.
        """
        if length < 1 or hop < 1:
            raise DataError(f"length is {length} and hop {hop}; accepted: 1 or more")
        span = (length - 1) * self.stride + 1
        entries = self.index.of_split(self.split)
        longest = max(entry.frames for entry in entries)
        if longest < span:
            raise DataError(
                f"{self.root}: windows of {length} frames at stride {self.stride} need clips of {span} frames, the "
                f"longest of the {self.split} split has {longest}"
            )
        return self._windows(entries, span, hop)

    def _windows(self, entries: list[ClipEntry], span: int, hop: int) -> Iterator[Window]:
        for entry in entries:
            for start in windows(entry.frames, span, hop):
                clip = _as_clip(self._read(entry, start, span, self.stride))
                yield Window(clip, entry.group, entry.source, start, entry.category)

    def _starts(self, entry: ClipEntry) -> range:
        return clip_starts(entry.frames, self.frames, self.stride)

    def _read(self, entry: ClipEntry, start: int, span: int, stride: int) -> np.ndarray:
        """Frames of a clip, (T, H, W, 3); only these are read from disk."""
        frames = _open(clip_path(self.root, entry), (entry.frames, *self.size, 3), np.uint8)
        return frames[start : start + span : stride]


DATASETS: Final[dict[str, type[ClipDataset]]] = {"clips": ClipDataset}


def _of_split(root: Path, entries: list[ClipEntry], split: str) -> list[ClipEntry]:
    if not entries:
        raise DataError(f"{root}: the {split} split is empty; prepare with another holdout, test_pattern or group_by")
    return entries


def _check_files(root: Path, entry: ClipEntry, flow: bool) -> None:
    for path in (clip_path(root, entry), *([flow_path(root, entry)] if flow else [])):
        if not path.is_file():
            raise DataError(f"{path}: missing, though the index lists it; run `vidgan prepare` again")


def _open(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """The array on disk, mapped, and checked against the index."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run `vidgan prepare` again") from error
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype} {array.shape}"
        raise DataError(f"{path}: holds {found} where the index says {np.dtype(dtype)} {shape}; prepare again")
    return array


def _as_clip(frames: np.ndarray) -> ByteClip:
    """(T, H, W, 3) mapped array -> (T, 3, H, W) uint8 tensor in memory of its own."""
    return torch.from_numpy(np.array(frames.transpose(0, 3, 1, 2), order="C"))
