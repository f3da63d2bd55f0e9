"""Reading untrusted videos: exact frames in presentation order.

Frames are RGB uint8 as a player displays them: rotated, mirrored and timed as the file specifies. Audio, transparency
and the pixel aspect ratio are ignored (pixels are treated as square). High dynamic range video is converted without
tone mapping and looks washed out; `VideoInfo.notes` reports it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from av.video.frame import VideoFrame

from vidgan.errors import VideoError
from vidgan.video.container import open_video
from vidgan.video.convert import FrameConverter
from vidgan.video.resize import Fit, Resample, fit_image, resize_frames
from vidgan.video.sampling import check_gaps, resample_indices
from vidgan.video.scan import Scan

__all__ = [
    "MAX_BYTES",
    "VideoError",
    "VideoFrames",
    "VideoInfo",
    "fit_image",
    "iterate_all",
    "iterate_frames",
    "probe",
    "probe_rate",
    "read_frames",
    "read_video",
    "resize_frames",
]

MAX_BYTES: Final = 4 * 1024**3
"""Memory limit for the frames of one call, in bytes."""

LEAST_FRAME_BYTES: Final = 1 << 15
"""What a small frame counts for under a limit below `MAX_BYTES`: later stages need this much per frame."""

_PROGRESS_FRAMES: Final = 16

# Where timestamps are out of order, a frame may come this long after a later timestamp.
_REORDERING_SECONDS: Final = 1.0


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video, determined by decoding it, because headers may be wrong.

    Attributes:
        path: the file.
        frames: number of decoded frames.
        fps: mean frames per second by presentation time; for a single frame, the rate in the header.
        width: displayed width in pixels, after rotation.
        height: displayed height in pixels, after rotation.
        rotation: rotation of the stored frames, degrees counter-clockwise: 0, 90, 180 or 270.
        codec: name of the codec, for example h264.
        has_audio: whether the file has an audio stream, which is ignored.
        notes: unusual properties: hdr, assumed-bt709, interlaced, mirrored, non-square-pixels, variable-frame-rate,
            timestamps-repaired, fewer-frames-than-announced.
        pts: presentation time of every frame, increasing, in units of `time_base`. These are the file's timestamps
            (possibly negative), or times since the first frame if the timestamps had to be repaired.
        keyframes: numbers of the key frames.
        time_base: seconds per unit of `pts`.
    """

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    rotation: int
    codec: str
    has_audio: bool = False
    notes: tuple[str, ...] = ()
    pts: tuple[int, ...] = field(default=(), repr=False)
    keyframes: tuple[int, ...] = field(default=(), repr=False)
    time_base: Fraction = Fraction(1)


class VideoFrames(NamedTuple):
    """The frames of a video and their presentation times.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        times: (T,) float64, the original times of the frames in seconds since the first one, also after resampling.
        fps: frames per second of `frames`: the requested rate, or the mean rate of the video.
        repeated: number of frames that are copies of their predecessor, because the requested rate is higher.
        info: properties of the decoded frames: all of them, or with `max_frames` only as many as were needed.
    """

    frames: np.ndarray
    times: np.ndarray
    fps: float
    repeated: int
    info: VideoInfo


def probe(path: Path | str, *, progress: Callable[[], None] | None = None) -> VideoInfo:
    """Decode a video to its end and return its properties. `read_frames` accepts every file that passes.

    Args:
        path: a regular file.
        progress: called after every few frames.

    Raises:
        VideoError: the file is refused; `reason` names the fault.
    """
    info, _ = _examine(Path(path), until=math.inf, progress=progress)
    return info


def probe_rate(path: Path | str) -> float | None:
    """Frames per second that the header of a video announces, None if it has no rate; nothing is decoded.

    Raises:
        VideoError: the file is refused.
    """
    with open_video(path) as (_, stream):
        return float(stream.average_rate) if stream.average_rate else None


def iterate_frames(
    path: Path | str,
    numbers: Iterable[int],
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
) -> Iterator[np.ndarray]:
    """Decode a video once and yield frames (H, W, 3) uint8 RGB by number; memory holds one frame.

    Args:
        path: a regular file.
        numbers: frame numbers, never decreasing; repeated numbers yield the same array again.
        size, fit, resample: as in `read_video`.

    Raises:
        VideoError: the file is refused, or has fewer frames.
        ValueError: an argument is invalid.
    """
    path = Path(path)
    converter = FrameConverter(size, fit, resample)
    wanted = iter(numbers)
    number = next(wanted, None)
    if number is None:
        return
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        for place, frame in enumerate(scan.frames()):
            if place < number:
                continue
            image = scan.convert(frame, converter)
            while number == place:
                yield image
                number = next(wanted, None)
            if number is None:
                return
    raise VideoError(path, "changed", f"frame {number} is missing; the file changed while it was read")


def iterate_all(path: Path | str, *, count: int | None = None) -> Iterator[np.ndarray]:
    """Decode a video once and yield its frames (H, W, 3) uint8 RGB at their displayed size; memory holds one frame.

    Args:
        path: a regular file.
        count: maximum number of frames; None: all.

    Raises:
        VideoError: the file is refused, at the first damage.
    """
    path = Path(path)
    converter = FrameConverter(None, "crop", "area")
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        for frame in islice(scan.frames(), count):
            yield scan.convert(frame, converter)


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
    max_bytes: int | None = None,
) -> VideoFrames:
    """Read a video. Each frame is resized when it is decoded, so that memory holds the result and one full frame.

    Args:
        path: a regular file, not an address.
        size: (H, W) of the result in pixels; None keeps the displayed size.
        fit: treatment of the aspect ratio, see `vidgan.video.resize.Fit`.
        resample: filter, see `vidgan.video.resize.Resample`. FFmpeg applies it to the stored planes. The same filter on
            RGB frames (`resize_frames`) differs by rounding and at sharp colour edges.
        fps: resample to this constant rate, nearest frame in time. The video is then decoded twice, because all times
            must be known first. None keeps every frame, whatever the intervals.
        max_frames: maximum number of frames of the result; None reads to the end.
        max_bytes: memory limit for the result, counting `LEAST_FRAME_BYTES` or more per frame; None for `MAX_BYTES`.
            A longer video is refused as ``too-long``.

    Raises:
        VideoError: the file is refused; `reason` names the fault.
        ValueError: an argument is invalid.
    """
    converter = FrameConverter(size, fit, resample)
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number, got {fps}")
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    path = Path(path)
    if fps is None:
        return _read_all(path, converter, max_frames, max_bytes)
    info, times = _examine(path, until=math.inf if max_frames is None else max_frames / fps + _REORDERING_SECONDS)
    check_gaps(path, times)
    indices = resample_indices(times, fps)[:max_frames]
    wanted = sorted(set(indices))
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        numbered = enumerate(islice(scan.frames(), wanted[-1] + 1))
        chosen = set(wanted)
        images = _convert((frame for index, frame in numbered if index in chosen), scan, converter, max_bytes)
    repeats = list(Counter(indices).values())  # in order, because the indices never decrease
    _check_memory(path, len(indices), images[0], max_bytes)
    frames = _stack(images, repeats)  # (T, H, W, 3)
    return VideoFrames(frames, np.array(times)[indices], float(fps), len(indices) - len(wanted), info)


def _read_all(path: Path, converter: FrameConverter, max_frames: int | None, max_bytes: int | None) -> VideoFrames:
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        images = _convert(islice(scan.frames(), max_frames), scan, converter, max_bytes)
        info, times = _describe(scan, complete=max_frames is None)
    return VideoFrames(_stack(images, [1] * len(images)), np.array(times), info.fps, 0, info)


def _convert(
    frames: Iterable[VideoFrame], scan: Scan, converter: FrameConverter, max_bytes: int | None
) -> list[np.ndarray]:
    """RGB images (H, W, 3) in the requested size; raises VideoError once they exceed the memory limit."""
    images: list[np.ndarray] = []
    for frame in frames:
        images.append(scan.convert(frame, converter))  # (H, W, 3)
        _check_memory(scan.path, len(images), images[-1], max_bytes)
    return images


def _stack(images: list[np.ndarray], repeats: list[int]) -> np.ndarray:
    """(T, H, W, 3), image i repeated `repeats[i]` times. Empties the list, so that memory holds each image once."""
    frames = np.empty((sum(repeats), *images[0].shape), np.uint8)
    end = len(frames)
    for count in reversed(repeats):
        frames[end - count : end] = images.pop()
        end -= count
    return frames


def _examine(path: Path, *, until: float, progress: Callable[[], None] | None = None) -> tuple[VideoInfo, list[float]]:
    """Decode up to about `until` seconds without keeping frames; returns the properties and the time of every frame."""
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        complete = True
        for _ in scan.frames():
            if progress is not None and scan.count % _PROGRESS_FRAMES == 0:
                progress()
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
        has_audio=scan.has_audio,
        notes=scan.notes(times, repaired, complete=complete),
        pts=pts,
        keyframes=tuple(scan.keyframes),
        time_base=time_base,
    )
    return info, times


def _check_memory(path: Path, count: int, image: np.ndarray, max_bytes: int | None) -> None:
    limit = MAX_BYTES if max_bytes is None else max_bytes
    if count * (image.nbytes if max_bytes is None else max(image.nbytes, LEAST_FRAME_BYTES)) > limit:
        height, width = image.shape[:2]
        detail = (
            f"at least {count} frames of {width}x{height} pixels exceed the limit of {limit // 1024**2} MiB in memory; "
            "cut the file into shorter ones"
        )
        raise VideoError(path, "too-long", detail)
