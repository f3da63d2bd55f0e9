"""Reading videos: exact frames, in presentation order, from files that nobody vouches for.

Frames come as RGB uint8 the way a player shows them: turned and mirrored as the file asks, at the times that the file
gives. Sound, transparency and the pixel's aspect ratio are left out (pixels are taken as square). High dynamic range
video is converted without tone mapping and looks washed out; `VideoInfo.notes` says so.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from av.video.frame import VideoFrame

from vidgan.errors import VideoError
from vidgan.video.container import open_video
from vidgan.video.convert import FrameConverter
from vidgan.video.resize import Fit, Resample, fit_image, resize_frames
from vidgan.video.sampling import resample_indices
from vidgan.video.scan import Scan

__all__ = [
    "MAX_BYTES",
    "MAX_GAP_SECONDS",
    "VideoError",
    "VideoFrames",
    "VideoInfo",
    "fit_image",
    "probe",
    "read_frames",
    "read_video",
    "resize_frames",
]

MAX_BYTES: Final = 4 * 1024**3
"""The most that the frames of one call may take in memory."""

MAX_GAP_SECONDS: Final = 10.0
"""The longest pause between two frames that resampling to a steady rate fills with copies."""

# How far behind the newest timestamp a frame may still turn up in a file with timestamps out of order.
_REORDERING_SECONDS: Final = 1.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds, found by decoding it: headers are not believed.

    Attributes:
        path: the file.
        frames: how many were decoded.
        fps: mean frames per second by presentation time; of a single frame, the rate that the header gives.
        width: in pixels, as shown: after rotation.
        height: in pixels, as shown.
        rotation: degrees counter-clockwise by which the stored picture was turned: 0, 90, 180 or 270.
        codec: name of the codec, such as h264.
        notes: what a person should know, from: hdr, interlaced, mirrored, non-square-pixels,
            variable-frame-rate, timestamps-repaired, fewer-frames-than-announced.
        pts: presentation time of every frame, increasing, in units of `time_base`: as the file gives them (perhaps
            below zero), or counted from the first frame where the file's own had to be repaired.
        keyframes: which frames the file marks as key frames.
        time_base: seconds in one unit of `pts`.
    """

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    rotation: int
    codec: str
    notes: tuple[str, ...] = ()
    pts: tuple[int, ...] = field(default=(), repr=False)
    keyframes: tuple[int, ...] = field(default=(), repr=False)
    time_base: Fraction = Fraction(1)


class VideoFrames(NamedTuple):
    """The frames of a video and when they are shown."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    times: np.ndarray  # (T,) float64, seconds since the first frame as the file gives them, also after resampling
    fps: float  # frames per second of `frames`: the rate asked for, or the mean rate of the video
    repeated: int  # how many frames are copies of the one before, where a higher rate was asked for than there is
    info: VideoInfo  # of the frames that were decoded: all, or with `max_frames` as many as were needed


def probe(path: Path | str) -> VideoInfo:
    """Decode a video once, to its end, and say what it holds.

    A file that passes can be read by `read_frames`. Raises VideoError, whose `reason` says why the file is refused.
    """
    info, _ = _examine(Path(path), until=math.inf)
    return info


def read_frames(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    max_frames: int | None = None,
) -> np.ndarray:
    """Read a video as (T, H, W, 3) uint8 RGB; arguments and errors as in `read_video`."""
    return read_video(path, size=size, fit=fit, resample=resample, fps=fps, max_frames=max_frames).frames


def read_video(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    max_frames: int | None = None,
) -> VideoFrames:
    """Read a video, each frame resized as soon as it is decoded, so that memory holds the result and one frame.

    Args:
        path: a regular file; never an address.
        size: (H, W) of the result in pixels; None keeps the size as shown.
        fit: what becomes of the aspect ratio, see `vidgan.video.resize.Fit`.
        resample: the filter, see `vidgan.video.resize.Resample`. It is run by FFmpeg on the stored planes; the same
            filter on RGB pictures (`resize_frames`) differs by rounding and at sharp edges of colour.
        fps: steady rate to sample at, nearest frame in time; None keeps every frame, however they are spaced. The
            video is then decoded twice: all times have to be known before the nearest frame is.
        max_frames: stop after so many frames of the result; None reads to the end.

    Raises:
        VideoError: the file is refused; its `reason` says why.
        ValueError: an argument is not valid.
    """
    convert = FrameConverter(size, fit, resample)
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a number above 0, got {fps}")
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    path = Path(path)
    if fps is None:
        return _read_all(path, convert, max_frames)
    info, times = _examine(path, until=math.inf if max_frames is None else max_frames / fps + _REORDERING_SECONDS)
    _check_gaps(path, times)
    indices = resample_indices(times, fps)[:max_frames]
    wanted = sorted(set(indices))
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        numbered = enumerate(islice(scan.frames(), wanted[-1] + 1))
        chosen = set(wanted)
        pictures = _convert((frame for index, frame in numbered if index in chosen), scan, convert)
    repeats = list(Counter(indices).values())  # in order, since the indices never decrease
    _check_memory(path, len(indices), pictures[0])
    frames = _stack(pictures, repeats)  # (T, H, W, 3)
    return VideoFrames(frames, np.array(times)[indices], float(fps), len(indices) - len(wanted), info)


def _read_all(path: Path, convert: FrameConverter, max_frames: int | None) -> VideoFrames:
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        pictures = _convert(islice(scan.frames(), max_frames), scan, convert)
        info, times = _describe(scan, complete=max_frames is None)
    return VideoFrames(_stack(pictures, [1] * len(pictures)), np.array(times), info.fps, 0, info)


def _convert(frames: Iterable[VideoFrame], scan: Scan, convert: FrameConverter) -> list[np.ndarray]:
    """RGB pictures (H, W, 3) in the wanted size, as long as they fit into the memory limit."""
    pictures: list[np.ndarray] = []
    for frame in frames:
        pictures.append(scan.picture(frame, convert))  # (H, W, 3)
        _check_memory(scan.path, len(pictures), pictures[-1])
    return pictures


def _stack(pictures: list[np.ndarray], repeats: list[int]) -> np.ndarray:
    """(T, H, W, 3), each picture as often as asked; empties the list on the way, so that memory holds them once."""
    frames = np.empty((sum(repeats), *pictures[0].shape), np.uint8)
    end = len(frames)
    for count in reversed(repeats):
        frames[end - count : end] = pictures.pop()
        end -= count
    return frames


def _examine(path: Path, *, until: float) -> tuple[VideoInfo, list[float]]:
    """Decode up to about `until` seconds without keeping a picture: the description, and the time of every frame."""
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        complete = True
        for _ in scan.frames():
            if scan.last_stamp_seconds() > until:
                complete = False
                break
        return _describe(scan, complete=complete)


def _describe(scan: Scan, *, complete: bool) -> tuple[VideoInfo, list[float]]:
    times, repaired = scan.times()
    pts, time_base = scan.ticks()
    height, width = scan.size
    info = VideoInfo(
        path=scan.path,
        frames=scan.count,
        fps=(scan.count - 1) / times[-1] if scan.count > 1 else float(scan.rate),
        width=width,
        height=height,
        rotation=scan.rotation,
        codec=scan.codec,
        notes=scan.notes(times, repaired, complete=complete),
        pts=pts,
        keyframes=tuple(scan.keyframes),
        time_base=time_base,
    )
    return info, times


def _check_memory(path: Path, count: int, picture: np.ndarray) -> None:
    if count * picture.nbytes > MAX_BYTES:
        height, width = picture.shape[:2]
        detail = (
            f"{count} frames or more of {width}x{height} pixels do not fit into {MAX_BYTES // 1024**2} MiB; "
            "give a smaller size, a lower fps, or max_frames"
        )
        raise VideoError(path, "too-long", detail)


def _check_gaps(path: Path, times: list[float]) -> None:
    # One damaged timestamp could otherwise ask for hours of copies.
    for before, after in pairwise(times):
        if after - before > MAX_GAP_SECONDS:
            detail = (
                f"shows no new frame for {after - before:.1f} s after {before:.1f} s; a steady rate fills at most "
                f"{MAX_GAP_SECONDS:.0f} s with copies. Leave fps out to read the frames as they are"
            )
            raise VideoError(path, "time-gap", detail)
