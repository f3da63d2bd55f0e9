"""A stretch of a video, as a manifest lists it, without decoding the whole video for each.

What is known of a file (its times, the places where decoding can start) is found once in a process and kept for the
last few files, so that a thousand stretches of one film cost little more than their own frames.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidgan.data.sources.entries import Source
from vidgan.data.sources.spans import Chosen, check_memory, span
from vidgan.video.decode import VideoInfo, probe, read_video
from vidgan.video.random_access import VideoIndex, VideoReader, index_video
from vidgan.video.resize import Fit, Resample
from vidgan.video.sampling import resample_indices

_SHORT_FRAMES = 512  # a stretch that ends by then is read from the start of the file


class Stretch(NamedTuple):
    """Frames (T, H, W, 3), their rate, the first frame and end of the stretch in the file, what is known of the file.

    Of a file that was not read to its end, `info` describes the part up to the end of the stretch.
    """

    frames: np.ndarray
    fps: float
    span: tuple[int, int]
    info: VideoInfo
    notes: tuple[str, ...]


def read_stretch(
    path: Path, source: Source, size: tuple[int, int] | None, fit: Fit, resample: Resample, fps: float | None
) -> Stretch:
    """The stretch of `path` that `source` asks for; size and so on as in `read_video`.

    Raises VideoError, or SourceError where the video is shorter than the stretch or the stretch too long for memory.
    """
    if source.end is not None and source.end <= _SHORT_FRAMES:
        video = read_video(path, size=size, fit=fit, resample=resample, max_frames=source.end)
        start, end = span(source, len(video.frames), None)
        chosen = _at_rate(video.times[start:end].tolist(), fps)
        return _stretch(video.frames[start:end][chosen.indices], chosen, (start, end), video.info)
    found = path.stat()
    info, index = _known(path, found.st_size, found.st_mtime_ns)
    times = [float((stamp - index.pts[0]) * index.time_base) for stamp in index.pts]
    start, end = span(source, len(index), times)
    chosen = _at_rate(times[start:end], fps)
    check_memory(len(chosen.indices), size or (info.height, info.width))
    with VideoReader(path, size=size, fit=fit, resample=resample, index=index) as reader:
        return _stretch(reader.frames([start + i for i in chosen.indices]), chosen, (start, end), info)


def _at_rate(times: list[float], fps: float | None) -> Chosen:
    """Which frames of the stretch to show."""
    return Chosen(list(range(len(times))) if fps is None else resample_indices(times, fps), fps)


def _stretch(frames: np.ndarray, chosen: Chosen, where: tuple[int, int], info: VideoInfo) -> Stretch:
    rate = info.fps if chosen.fps is None else chosen.fps
    return Stretch(frames, rate, where, info, (*info.notes, *chosen.notes))


@lru_cache(maxsize=4)
def _known(path: Path, size: int, mtime_ns: int) -> tuple[VideoInfo, VideoIndex]:
    """What is known of the file of this size and time of change."""
    return probe(path), index_video(path)
