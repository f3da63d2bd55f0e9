"""Which frames of a source are read: segment, frame rate, stride. Segments of a video are read without decoding it all.

The presentation times and seek points of a video are computed once per process and kept for the last few files. A
thousand segments of one film therefore cost little more than their own frames.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from vidgan.data.sources.source import Source
from vidgan.errors import SourceError
from vidgan.video.decode import LEAST_FRAME_BYTES, MAX_BYTES, VideoInfo, probe, read_video
from vidgan.video.random_access import VideoIndex, VideoReader, index_video
from vidgan.video.resize import Fit, Resample
from vidgan.video.sampling import resample_indices

_TIE_SECONDS: Final = 1e-6  # a time written with six decimals means the frame that it was rounded from
_SLACK_SECONDS: Final = 0.5  # durations are often rounded up, or are those of the audio track
_SHORT_FRAMES: Final = 512  # a segment that ends before this frame is decoded from the start of the file


@dataclass(frozen=True)
class ChosenFrames:
    """Frames of a clip to read.

    Attributes:
        indices: frame numbers in order; repeated where the requested rate exceeds the source's.
        fps: their rate, None without a clock.
    """

    indices: list[int]
    fps: float | None

    @property
    def notes(self) -> tuple[str, ...]:
        """``("frames-repeated",)`` if any frame occurs twice, else empty."""
        return ("frames-repeated",) if len(set(self.indices)) < len(self.indices) else ()


def choose_frames(source: Source, count: int, *, fps: float | None, every: int) -> ChosenFrames:
    """Frames to read of a clip of `count` frames that has no timestamps of its own.

    Args:
        source: its segment bounds apply; ``source.fps`` serves as the clock, if known.
        count: frames available.
        fps: target rate; ignored without a clock.
        every: stride, applied after resampling.

    Raises:
        SourceError: the segment does not fit into the clip.
    """
    times = None if source.fps is None else np.arange(count) / source.fps
    start, end = segment_bounds(source, count, None if times is None else times.tolist())
    indices, rate = list(range(start, end)), source.fps
    if fps is not None and times is not None:
        indices = [start + i for i in resample_indices(times[: end - start].tolist(), fps)]
        rate = fps
    return ChosenFrames(indices[::every], None if rate is None else rate / every)


def segment_bounds(source: Source, count: int, times: Sequence[float] | None) -> tuple[int, int]:
    """First frame and end (exclusive) of the requested segment of `count` frames.

    `times` are seconds after the first frame, None without a clock. Raises SourceError where the segment does not fit.
    """
    start, end = source.start or 0, source.end
    if source.start_time is not None or source.end_time is not None:
        if times is None:
            raise SourceError(
                "no-clock",
                "start_time and end_time need frames with timestamps; set fps, or use start and end (frame numbers)",
            )
        start = bisect_left(times, (source.start_time or 0.0) - _TIE_SECONDS)
        end = None if source.end_time is None else bisect_left(times, source.end_time - _TIE_SECONDS)
        duration = times[-1] + (times[-1] / (count - 1) if count > 1 else 0.0)
        if source.end_time is not None and source.end_time > duration + _SLACK_SECONDS:
            raise SourceError("too-short", f"duration {duration:g} s, requested up to {source.end_time:g} s")
    if start >= count or (end is not None and end > count):
        requested = f"{start} to {'the end' if end is None else end}"
        raise SourceError("too-short", f"{count} frames, requested {requested}")
    end = count if end is None else end
    if end <= start:
        raise SourceError("too-short", "the requested segment contains no frame")
    return start, end


def check_memory(num_frames: int, size: tuple[int, int], max_bytes: int | None = None) -> None:
    """Raise SourceError where `num_frames` RGB frames of `size` (H, W) exceed the memory bound of one clip.

    `max_bytes` as in `vidgan.video.decode.read_video`.
    """
    frame_bytes = 3 * size[0] * size[1]
    most = MAX_BYTES // frame_bytes if max_bytes is None else max_bytes // max(frame_bytes, LEAST_FRAME_BYTES)
    if num_frames > most:
        detail = f"{num_frames} frames; accepted: at most {most} of this size. Cut the file into shorter ones"
        raise SourceError("too-long", detail)


@dataclass(frozen=True)
class VideoSegment:
    """A decoded segment of a video.

    Attributes:
        frames: (T, H, W, 3) uint8.
        fps: rate of `frames`.
        bounds: first frame and end (exclusive) of the segment in the file.
        info: the file; if decoding stopped early, the part up to the end of the segment.
        notes: see `vidgan.data.sources.readers.ReadClip`.
    """

    frames: np.ndarray
    fps: float
    bounds: tuple[int, int]
    info: VideoInfo
    notes: tuple[str, ...]


def read_video_segment(
    path: Path,
    source: Source,
    size: tuple[int, int] | None,
    fit: Fit,
    resample: Resample,
    fps: float | None,
    max_bytes: int | None = None,
) -> VideoSegment:
    """Decode the segment of `path` that `source` requests; the other arguments as in `vidgan.video.decode.read_video`.

    Raises:
        VideoError: the file cannot be decoded.
        SourceError: the video is shorter than the segment, or the segment exceeds the memory bound.
    """
    if source.end is not None and source.end <= _SHORT_FRAMES:
        video = read_video(path, size=size, fit=fit, resample=resample, max_frames=source.end)
        start, end = segment_bounds(source, len(video.frames), None)
        chosen = _resample(video.times[start:end].tolist(), fps)
        return _segment(video.frames[start:end][chosen.indices], chosen, (start, end), video.info)
    stat = path.stat()
    info, index = _probe_and_index(path, stat.st_size, stat.st_mtime_ns)
    times = [float((stamp - index.pts[0]) * index.time_base) for stamp in index.pts]
    start, end = segment_bounds(source, len(index), times)
    chosen = _resample(times[start:end], fps)
    check_memory(len(chosen.indices), size or (info.height, info.width), max_bytes)
    with VideoReader(path, size=size, fit=fit, resample=resample, index=index) as reader:
        return _segment(reader.frames([start + i for i in chosen.indices]), chosen, (start, end), info)


def _resample(times: list[float], fps: float | None) -> ChosenFrames:
    return ChosenFrames(list(range(len(times))) if fps is None else resample_indices(times, fps), fps)


def _segment(frames: np.ndarray, chosen: ChosenFrames, bounds: tuple[int, int], info: VideoInfo) -> VideoSegment:
    rate = info.fps if chosen.fps is None else chosen.fps
    return VideoSegment(frames, rate, bounds, info, (*info.notes, *chosen.notes))


@lru_cache(maxsize=4)
def _probe_and_index(path: Path, size: int, mtime_ns: int) -> tuple[VideoInfo, VideoIndex]:
    """Properties and seek index of the file with this size and modification time."""
    return probe(path), index_video(path)
