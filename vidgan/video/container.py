"""Opening an untrusted video file; every refusal is a `VideoError`.

Downloaded videos are hostile input: playlists that make FFmpeg open other files or addresses, pipes that never end,
false headers, frames that exhaust memory, decoders that were never hardened. Therefore only containers and decoders on
a short list are used, only the one regular file is read, and sizes are checked before a frame is allocated.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vidgan.errors import VideoError
from vidgan.video.truncation import missing_bytes

__all__ = ["CONTAINERS", "DECODERS", "MAX_PIXELS", "REASONS", "open_video"]

CONTAINERS: Final = (
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2"),
    *("matroska", "webm", "avi", "gif", "mpegts", "mpeg", "ogg", "flv", "h264", "hevc", "yuv4mpegpipe"),
)
"""Accepted containers, by FFmpeg's demuxer name. None of them can refer to another file or an address."""

ACCEPTED: Final = "MP4, MOV, MKV, WebM, AVI, GIF, MPEG, OGG, FLV, Y4M"
"""Accepted containers, for messages."""

DECODERS: Final = (
    *("h264", "hevc", "libdav1d", "vp8", "vp9", "theora", "flv", "gif"),
    *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4", "h263", "cinepak"),
    *("mjpeg", "png", "prores", "ffv1", "huffyuv", "rawvideo"),
)
"""Accepted video decoders, by FFmpeg's name (`msmpeg4` is version 3, `libdav1d` decodes AV1)."""

# Decoders that hide damage unless they are told to fail, and that do not object to undamaged files of common writers.
_CHECKED: Final = frozenset({"mjpeg", "ffv1", "png"})

MAX_PIXELS: Final = 7680 * 4320
"""Largest accepted frame, in pixels: 8K video."""

REASONS: Final = {
    "missing": "no such file",
    "not-a-regular-file": "a folder, pipe, device or socket",
    "empty-file": "zero bytes",
    "unreadable": "the operating system denies reading",
    "truncated": "shorter than its own structure announces",
    "not-a-video": "not an accepted container",
    "no-video-stream": "for example audio only",
    "codec-not-allowed": "not an accepted decoder",
    "too-many-pixels": "frames larger than 8K video",
    "no-frames": "a video stream without frames",
    "corrupt": "damage reported by the decoder",
    "out-of-memory": "decoding needs more memory than the process has",
    "size-changes": "frames of different sizes",
    "time-gap": "a long pause, which a constant frame rate would fill with copies",
    "too-long": "the decoded frames exceed the memory limit",
    "changed": "the file differs from the one that was indexed",
}
"""Every value of `VideoError.reason`, with its meaning."""

# Exceptions that PyAV raised on randomly damaged files; not all of them derive from FFmpegError.
DECODER_ERRORS: Final = (av.error.FFmpegError, ValueError, OSError, EOFError, MemoryError)


@contextmanager
def open_video(path: Path | str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video stream of a file for decoding; the container is closed when the block ends.

    Decoding is single-threaded: on damage, FFmpeg's frame threads return fewer frames where a single thread raises.

    Raises:
        VideoError: the file is refused; see `REASONS`.
    """
    path = Path(path)
    _check_file(path)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(DECODERS),
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        # With an explicit protocol, FFmpeg does not interpret a name such as `http:x.mp4` or `concat:a|b`.
        container = av.open(f"file:{path.absolute()}", options=options, metadata_errors="ignore")
    except DECODER_ERRORS as error:
        detail = f"not a video in an accepted container ({ACCEPTED}): {describe(error)}"
        raise decoder_error(path, "not-a-video", detail, error) from error
    try:
        yield container, _video_stream(container, path)
    finally:
        # Closing may fail on a damaged file, and must not hide the error that is being raised.
        with suppress(*DECODER_ERRORS):
            container.close()


def decoder_error(path: Path, reason: str, detail: str, error: BaseException) -> VideoError:
    """The refusal of a file for an exception of a decoder: `reason`, or ``out-of-memory``."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return VideoError(path, "out-of-memory", "decoding ran out of memory; the process may not use more")
    return VideoError(path, reason, detail)


def describe(error: BaseException) -> str:
    """Type and text of an FFmpeg error, without the path and log lines of its message."""
    text = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(path, "missing", "no such file") from error
    except (OSError, ValueError) as error:  # circular links, a folder without permission, a NUL in the name
        raise VideoError(path, "unreadable", f"cannot be read: {error}") from error
    # Opening a named pipe would block until something writes to it.
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(path, "not-a-regular-file", "not a regular file; expected the path of a video file")
    if status.st_size == 0:
        raise VideoError(path, "empty-file", "the file is empty")
    if not os.access(path, os.R_OK):
        raise VideoError(path, "unreadable", "cannot be read: permission denied")
    try:
        missing = missing_bytes(path)
    except OSError as error:
        raise VideoError(path, "unreadable", f"cannot be read: {error}") from error
    if missing:
        amount = f"{missing} bytes are" if missing > 1 else "data are"
        raise VideoError(path, "truncated", f"{amount} missing at the end of the file; copy or download it again")


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError(path, "no-video-stream", "no video stream")
    stream = streams[0]
    codec = stream.codec_context
    if codec is None or codec.codec is None:
        raise VideoError(path, "codec-not-allowed", "unknown video codec; re-encode the file as H.264")
    if codec.codec.name not in DECODERS:
        raise VideoError(
            path,
            "codec-not-allowed",
            f"codec {codec.codec.name} is not accepted; re-encode as H.264, or use one of {', '.join(DECODERS)}",
        )
    if codec.width * codec.height > MAX_PIXELS:
        raise VideoError(
            path, "too-many-pixels", f"frames of {codec.width}x{codec.height} pixels; the limit is {MAX_PIXELS} pixels"
        )
    codec.thread_type = "NONE"
    codec.thread_count = 1
    # A limit for the decoder too: frames may be larger than the stream's header announces.
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    if codec.codec.name in _CHECKED:
        codec.options = {**codec.options, "err_detect": "crccheck+explode"}
    return stream
