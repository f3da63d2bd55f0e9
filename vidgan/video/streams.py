"""Frames of a source that is still being recorded or received: a camera, standard input, or a file read in order."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import numpy as np

from vidgan.errors import VideoError
from vidgan.video.container import CONTAINERS, DECODER_ERRORS, DECODERS, MAX_PIXELS, describe
from vidgan.video.convert import FrameConverter
from vidgan.video.decode import iterate_all, probe_rate
from vidgan.video.orientation import orientation_of

__all__ = ["STANDARD_INPUT", "FrameStream", "open_stream"]

STANDARD_INPUT: Final = "-"
_CAMERAS: Final = "/dev/video"
_LIMITS: Final = {"codec_whitelist": ",".join(DECODERS), "max_pixels": str(MAX_PIXELS)}


class FrameStream(NamedTuple):
    """Frames in the order of their arrival.

    Attributes:
        frames: (H, W, 3) uint8 RGB, each decoded when it is asked for.
        fps: the rate that the source announces, None without one.
    """

    frames: Iterator[np.ndarray]
    fps: float | None


@contextmanager
def open_stream(source: str) -> Iterator[FrameStream]:
    """Open a source of frames; it is closed when the block ends.

    Args:
        source: a video file; ``-`` for a video on standard input (for example Matroska or Y4M from FFmpeg); a camera,
            ``/dev/video0`` (Linux).

    Raises:
        VideoError: no such source, or it holds no video.
    """
    if source != STANDARD_INPUT and not source.startswith(_CAMERAS):
        yield FrameStream(iterate_all(source), probe_rate(source))
        return
    path = Path("standard input" if source == STANDARD_INPUT else source)
    try:
        if source == STANDARD_INPUT:
            options = _LIMITS | {"format_whitelist": ",".join(CONTAINERS)}
            container = av.open(sys.stdin.buffer, options=options, metadata_errors="ignore")
        else:
            container = av.open(source, format="v4l2", options=_LIMITS)
    except DECODER_ERRORS as error:
        raise VideoError(path, "not-a-video", f"cannot be opened as a video: {describe(error)}") from error
    try:
        if not container.streams.video:
            raise VideoError(path, "no-video-stream", "no video stream")
        rate = container.streams.video[0].average_rate
        yield FrameStream(_decoded(container, path), None if not rate else float(rate))
    finally:
        with suppress(*DECODER_ERRORS):
            container.close()


def _decoded(container: Any, path: Path) -> Iterator[np.ndarray]:
    try:
        converter = FrameConverter(None, "crop", "area")
        for frame in container.decode(video=0):
            yield converter(frame, orientation_of(frame))
    except DECODER_ERRORS as error:
        raise VideoError(path, "corrupt", f"cannot be decoded: {describe(error)}") from error
