"""Opening a video file that nobody vouches for, and the one error that every refusal becomes.

A folder of downloaded videos is hostile input: playlists that make FFmpeg fetch other files or addresses, pipes that
never end, headers that lie, pictures that fill the memory, codecs that nobody has tested. What is not on a short list
of containers and decoders is not opened, nothing but the one regular file is read, and sizes are checked before a frame
is allocated.
"""

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
"""Containers that are opened, by FFmpeg's demuxer name. None of them can name a second file or an address."""

ACCEPTED: Final = "MP4, MOV, MKV, WebM, AVI, GIF, MPEG, OGG, FLV, Y4M"
"""The same for people."""

DECODERS: Final = (
    *("h264", "hevc", "libdav1d", "vp8", "vp9", "theora", "flv", "gif"),
    *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4", "h263", "cinepak"),
    *("mjpeg", "png", "prores", "ffv1", "huffyuv", "rawvideo"),
)
"""Video decoders that are run, by FFmpeg's name (`msmpeg4` is version 3, `libdav1d` is AV1)."""

MAX_PIXELS: Final = 7680 * 4320
"""The largest frame that is decoded: 8K video."""

REASONS: Final = {
    "missing": "there is no such file",
    "not-a-regular-file": "a folder, pipe, device or socket",
    "empty-file": "zero bytes",
    "unreadable": "the operating system does not let it be read",
    "truncated": "the file ends before its own structure does",
    "not-a-video": "not one of the containers that are opened",
    "no-video-stream": "for example sound only",
    "codec-not-allowed": "not one of the decoders that are run",
    "too-many-pixels": "frames larger than 8K video",
    "no-frames": "a video stream without a frame",
    "corrupt": "damage that the decoder noticed",
    "size-changes": "frames of different sizes",
    "time-gap": "a hole in the presentation times that a steady frame rate would fill with copies",
    "too-long": "the decoded frames would not fit the memory limit",
    "changed": "the file is not the one that was indexed",
}
"""Every `VideoError.reason`, with what it means."""

# What PyAV was seen to raise on mutated files: FFmpegError and, outside that tree, the rest.
DECODER_ERRORS: Final = (av.error.FFmpegError, ValueError, OSError, EOFError, MemoryError)


@contextmanager
def open_video(path: Path | str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video stream of a file for decoding in one thread; the container is closed on every way out.

    One thread because FFmpeg's frame threads hide damage: they return fewer frames where one thread raises.

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
        # The explicit protocol keeps a name such as `http:x.mp4` or `concat:a|b` a plain file name.
        container = av.open(f"file:{path.absolute()}", options=options, metadata_errors="ignore")
    except DECODER_ERRORS as error:
        detail = f"is not a video in one of the containers that are opened ({ACCEPTED}): {describe(error)}"
        raise VideoError(path, "not-a-video", detail) from error
    try:
        yield container, _video_stream(container, path)
    finally:
        # Closing can fail on a damaged file; the error that is already on its way says more.
        with suppress(*DECODER_ERRORS):
            container.close()


def describe(error: BaseException) -> str:
    """What went wrong in FFmpeg, without the path and the log lines that its own message carries."""
    text = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(path, "missing", "there is no such file") from error
    except (OSError, ValueError) as error:  # a loop of links, a forbidden folder, a NUL in the name
        raise VideoError(path, "unreadable", f"cannot be read: {error}") from error
    # Opening a named pipe would wait for a writer for ever.
    if not stat.S_ISREG(found.st_mode):
        raise VideoError(path, "not-a-regular-file", "is not a regular file; give the path of a video file")
    if found.st_size == 0:
        raise VideoError(path, "empty-file", "the file is empty")
    if not os.access(path, os.R_OK):
        raise VideoError(path, "unreadable", "cannot be read: permission denied")
    try:
        missing = missing_bytes(path)
    except OSError as error:
        raise VideoError(path, "unreadable", f"cannot be read: {error}") from error
    if missing:
        amount = f"{missing} bytes" if missing > 1 else "part"
        raise VideoError(path, "truncated", f"{amount} of the file are missing at its end; copy or download it again")


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    pictures = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not pictures:
        raise VideoError(path, "no-video-stream", "has no video stream")
    stream = pictures[0]
    codec = stream.codec_context
    if codec is None or codec.codec is None:
        raise VideoError(path, "codec-not-allowed", "its video codec is unknown; re-encode it as H.264")
    if codec.codec.name not in DECODERS:
        raise VideoError(
            path,
            "codec-not-allowed",
            f"its codec {codec.codec.name} is not read; re-encode it as H.264, or use one of: {', '.join(DECODERS)}",
        )
    if codec.width * codec.height > MAX_PIXELS:
        raise VideoError(
            path, "too-many-pixels", f"frames of {codec.width}x{codec.height} pixels; the limit is {MAX_PIXELS} pixels"
        )
    codec.thread_type = "NONE"
    codec.thread_count = 1
    # The decoder's own limit: a stream may announce one size and carry another.
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    return stream
