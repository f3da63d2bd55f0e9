"""Which frames of a clip are shown: every n-th one, or those nearest in time to the ticks of a target rate."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from vidgan.data.store.index import ClipEntry, Index
from vidgan.data.store.videos import VideoFacts, source_name
from vidgan.errors import DataError
from vidgan.video.sampling import clip_starts, resample_indices

_TIE_SECONDS: Final = 1e-9  # as in `vidgan.video.sampling`: times are ratios of whole numbers stored as floats
_SLOWER: Final = 0.99  # NTSC rates (29.97) pass for the whole ones (30)


class Sampling(Protocol):
    """A rule that turns a start and a number of frames into frame numbers within a clip."""

    def starts(self, entry: ClipEntry, frames: int) -> range:
        """Every frame at which a clip of `frames` frames can start; empty where it is too short."""
        ...

    def indices(self, entry: ClipEntry, start: int, frames: int) -> Sequence[int]:
        """The frame numbers shown."""
        ...

    def rate(self, entry: ClipEntry) -> float | None:
        """Frames per second of what is shown, None for a clip without a clock."""
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
    """At every tick, k / fps seconds after the first frame, the frame that is nearest in time (of two, the earlier)."""

    def __init__(self, fps: float, times: Callable[[ClipEntry], np.ndarray]) -> None:
        self.fps = fps
        self._read = times
        self._times: dict[str, np.ndarray] = {}

    def starts(self, entry: ClipEntry, frames: int) -> range:
        """See `Sampling`."""
        times = self._of(entry)
        latest = times[-1] - (frames - 1) / self.fps + _TIE_SECONDS
        return range(int(np.searchsorted(times, latest, side="right")))

    def indices(self, entry: ClipEntry, start: int, frames: int) -> Sequence[int]:
        """See `Sampling`."""
        times = self._of(entry)
        ticks = times[start] + np.arange(frames) / self.fps
        after = np.clip(np.searchsorted(times, ticks), 0, len(times) - 1)
        before = np.maximum(after - 1, 0)
        nearer = times[after] - ticks < ticks - times[before] - _TIE_SECONDS
        return np.where(nearer, after, before).tolist()

    def rate(self, entry: ClipEntry) -> float:
        """See `Sampling`."""
        return self.fps

    def repeats(self, entry: ClipEntry) -> bool:
        """Whether the clip is slower than the ticks, so that frames would be shown twice."""
        times = self._of(entry)
        return len(times) > 1 and (len(times) - 1) / (times[-1] - times[0]) < _SLOWER * self.fps

    def _of(self, entry: ClipEntry) -> np.ndarray:
        if entry.id not in self._times:
            self._times[entry.id] = self._read(entry)
        return self._times[entry.id]


class Clock:
    """When the stored frames of a data set are shown, in seconds from some zero of each clip's own.

    Args:
        root: folder of the data set.
        index: its index.
    """

    def __init__(self, root: Path, index: Index) -> None:
        self._steady = index.fps is not None
        self._every = int(index.settings["every"])
        self._root = root
        self._videos = VideoFacts(root)

    def times(self, entry: ClipEntry) -> np.ndarray:
        """(T,) float64 of a clip: the file's own presentation times, or even ones where only the rate is known.

        Raises:
            DataError: the clip has no clock.
        """
        if entry.fps is None:
            raise DataError(
                f"{self._root}: {entry.source} has no clock (images and arrays have none), so that it cannot be sampled"
                " at a rate; leave fps out and choose a stride"
            )
        name = source_name(entry)
        if self._steady or name not in self._videos:
            return np.arange(entry.frames) / entry.fps
        facts = self._videos.of(name)
        shown = as_read(facts, None, self._every)[entry.start : entry.start + entry.frames]
        return np.asarray(_seconds(facts))[shown]


def as_read(facts: Mapping[str, Any], fps: float | None, every: int) -> np.ndarray:
    """Numbers, in a video, of the frames that `prepare` reads of it: resampled to `fps`, then every `every`-th.

    `facts` is the video's line of ``videos.jsonl``; with a ``span`` in it only frames from the first to below the
    second number are read.
    """
    times = _seconds(facts)
    start, end = facts.get("span", (0, len(times)))
    numbers = range(start, end) if fps is None else [start + i for i in resample_indices(times[start:end], fps)]
    return np.asarray(numbers, np.int64)[::every]


def _seconds(facts: Mapping[str, Any]) -> list[float]:
    """Presentation times since the first frame."""
    stamps, unit = facts["pts"], Fraction(*facts["time_base"])
    return [float((stamp - stamps[0]) * unit) for stamp in stamps]
