"""Which frames of a clip are taken: its stretch, its rate, its stride; and whether they fit into memory."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidgan.data.sources.entries import Source
from vidgan.errors import SourceError
from vidgan.video.decode import MAX_BYTES
from vidgan.video.sampling import resample_indices

_TIE_SECONDS = 1e-6  # a time written with six decimals means the frame that it was rounded from
_SLACK_SECONDS = 0.5  # durations are often written rounded up, or with the sound's length


class Chosen(NamedTuple):
    """Indices of the frames of a clip to take, in order, perhaps repeated, and their rate where there is a clock."""

    indices: list[int]
    fps: float | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: whether frames are repeated, as a higher rate was asked for than there is."""
        return ("frames-repeated",) if len(set(self.indices)) < len(self.indices) else ()


def choose_frames(source: Source, count: int, *, fps: float | None, every: int) -> Chosen:
    """Of a clip of `count` frames without times of its own; `fps` resamples where ``source.fps`` gives a clock.

    Raises SourceError.
    """
    times = None if source.fps is None else np.arange(count) / source.fps
    start, end = span(source, count, None if times is None else times.tolist())
    indices, rate = list(range(start, end)), source.fps
    if fps is not None and times is not None:
        indices = [start + i for i in resample_indices(times[: end - start].tolist(), fps)]
        rate = fps
    return Chosen(indices[::every], None if rate is None else rate / every)


def span(source: Source, count: int, times: Sequence[float] | None) -> tuple[int, int]:
    """First frame and end (exclusive) of the stretch; `times` are seconds after the first frame. Raises SourceError."""
    start, end = source.start or 0, source.end
    if source.start_time is not None or source.end_time is not None:
        if times is None:
            raise SourceError("no-clock", "seconds are asked for, but its frames have no times; give fps, or frames")
        start = bisect_left(times, (source.start_time or 0.0) - _TIE_SECONDS)
        end = None if source.end_time is None else bisect_left(times, source.end_time - _TIE_SECONDS)
        last = times[-1] + (times[-1] / (count - 1) if count > 1 else 0.0)  # when the last frame gives way
        if source.end_time is not None and source.end_time > last + _SLACK_SECONDS:
            raise SourceError("too-short", f"it ends after {last:g} s, asked for up to {source.end_time:g} s")
    if start >= count or (end is not None and end > count):
        wanted = f"{start} to {'the end' if end is None else end}"
        raise SourceError("too-short", f"it has {count} frames, asked for {wanted}")
    end = count if end is None else end
    if end <= start:
        raise SourceError("too-short", "no frame lies in the stretch asked for")
    return start, end


def check_memory(frames: int, size: tuple[int, int]) -> None:
    """SourceError where so many (H, W) frames would not fit into memory."""
    most = MAX_BYTES // (3 * size[0] * size[1])
    if frames > most:
        raise SourceError("too-long", f"{frames} frames, at most {most} of this size fit in memory; cut it")
