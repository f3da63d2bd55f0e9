"""Which frames of a clip form an item: every n-th frame, or the frames nearest in time to ticks of a target rate."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from vidgan.data.store.index import ClipEntry, Index, stride_of
from vidgan.data.store.video import VideosFile, presentation_times, read_frame_numbers, source_name
from vidgan.errors import DataError
from vidgan.video.sampling import clip_starts

_TIE_SECONDS: Final = 1e-9  # as in `vidgan.video.sampling`: times are ratios of integers stored as floats
_RATE_TOLERANCE: Final = 0.99  # NTSC rates (29.97) count as the integer ones (30)


class Sampling(Protocol):
    """Maps a start frame and a number of frames to frame numbers within a clip."""

    def starts(self, entry: ClipEntry, frames: int) -> range:
        """The frames at which `frames` frames can start; empty if the clip is too short."""
        ...

    def indices(self, entry: ClipEntry, start: int, frames: int) -> Sequence[int]:
        """The frame numbers of an item."""
        ...

    def rate(self, entry: ClipEntry) -> float | None:
        """Frames per second of an item, None for a clip without a clock."""
        ...


class EveryNth:
    """Every `stride`-th frame."""

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def starts(self, entry: ClipEntry, frames: int) -> range:
        """See `Sampling`."""
        return clip_starts(entry.frames, frames, self.stride)

    def indices(self, entry: ClipEntry, start: int, frames: int) -> range:
        """See `Sampling`."""
        return range(start, start + (frames - 1) * self.stride + 1, self.stride)

    def rate(self, entry: ClipEntry) -> float | None:
        """See `Sampling`."""
        return None if entry.fps is None else entry.fps / self.stride


class AtRate:
    """For each tick, k / fps seconds after the first frame, the frame nearest in time; ties go to the earlier one."""

    def __init__(self, fps: float, times: Callable[[ClipEntry], np.ndarray]) -> None:
        self.fps = fps
        self._read_times = times
        self._times: dict[str, np.ndarray] = {}

    def starts(self, entry: ClipEntry, frames: int) -> range:
        """See `Sampling`."""
        times = self._times_of(entry)
        latest = times[-1] - (frames - 1) / self.fps + _TIE_SECONDS
        return range(int(np.searchsorted(times, latest, side="right")))

    def indices(self, entry: ClipEntry, start: int, frames: int) -> Sequence[int]:
        """See `Sampling`."""
        times = self._times_of(entry)
        ticks = times[start] + np.arange(frames) / self.fps
        after = np.clip(np.searchsorted(times, ticks), 0, len(times) - 1)
        before = np.maximum(after - 1, 0)
        nearer = times[after] - ticks < ticks - times[before] - _TIE_SECONDS
        return np.where(nearer, after, before).tolist()

    def rate(self, entry: ClipEntry) -> float:
        """See `Sampling`."""
        return self.fps

    def repeats(self, entry: ClipEntry) -> bool:
        """Whether the clip is slower than the ticks, so that frames would be repeated."""
        times = self._times_of(entry)
        return len(times) > 1 and (len(times) - 1) / (times[-1] - times[0]) < _RATE_TOLERANCE * self.fps

    def _times_of(self, entry: ClipEntry) -> np.ndarray:
        if entry.id not in self._times:
            self._times[entry.id] = self._read_times(entry)
        return self._times[entry.id]


class Clock:
    """Presentation times of the stored frames of a data set, in seconds; the zero differs between clips.

    Args:
        root: folder of the data set.
        index: its index.
    """

    def __init__(self, root: Path, index: Index) -> None:
        self._steady = index.fps is not None
        self._every = stride_of(index)
        self._root = root
        self._videos = VideosFile(root)

    def times(self, entry: ClipEntry) -> np.ndarray:
        """(T,) float64 seconds of a clip: the file's presentation times, or multiples of 1 / fps if none are known.

        Raises:
            DataError: the clip has no clock.
        """
        if entry.fps is None:
            raise DataError(
                f"{self._root}: {entry.source} has no clock (images and arrays have none) and cannot be sampled at a "
                "frame rate; set a stride instead of fps"
            )
        name = source_name(entry)
        if self._steady or name not in self._videos:
            return np.arange(entry.frames) / entry.fps
        metadata = self._videos.checked(name)
        shown = read_frame_numbers(metadata, None, self._every)[entry.start : entry.start + entry.frames]
        if len(shown) < entry.frames:
            raise DataError(
                f"{self._videos.path}: {name} has fewer frames than clip {entry.source} in the index; run "
                "`vidgan prepare` again"
            )
        return np.asarray(presentation_times(metadata))[shown]
