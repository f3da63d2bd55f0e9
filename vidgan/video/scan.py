"""One pass over the frames of an opened video: refuses damage, keeps the timestamps, turns pictures upright."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import lcm
from pathlib import Path
from typing import Final

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc
from av.video.stream import VideoStream

from vidgan.errors import VideoError
from vidgan.video.container import DECODER_ERRORS, MAX_PIXELS, describe
from vidgan.video.convert import FrameConverter
from vidgan.video.orientation import UPRIGHT, Orientation, orientation_of
from vidgan.video.sampling import presentation_times

__all__ = ["Scan"]

_DEFAULT_RATE: Final = Fraction(25)
_HDR: Final = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


class Scan:
    """Decodes a stream once, from its start; what it knows afterwards covers the frames that were taken from it."""

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.count = 0
        self.keyframes: list[int] = []  # which frames the decoder marked as such
        self.interlaced = False  # whether any frame is
        self._container = container
        self._stream = stream
        self._first: VideoFrame | None = None
        self._orientation = UPRIGHT
        self._pts: list[int | None] = []
        self._dts: list[int | None] = []

    def frames(self) -> Iterator[VideoFrame]:
        """Every frame in presentation order; VideoError at the first damage, or where there is no frame at all."""
        decoded = self._decoded()
        while True:
            try:
                frame = next(decoded, None)
            except VideoError:
                raise
            except DECODER_ERRORS as error:
                # FFmpeg withholds the size of a picture above the limit: then this may be all that there is wrong.
                unknown_size = not self.count and not self._stream.codec_context.width
                limit = f", or larger than {MAX_PIXELS} pixels" if unknown_size else ""
                detail = f"damaged after {self.count} frames{limit}: {describe(error)}"
                raise VideoError(self.path, "corrupt", detail) from error
            if frame is None:
                break
            self._check(frame)
            self._pts.append(frame.pts)
            self._dts.append(frame.dts)
            if frame.key_frame:
                self.keyframes.append(self.count)
            self.count += 1
            yield frame
        if self._first is None:
            raise VideoError(self.path, "no-frames", "its video stream holds no frame")

    def picture(self, frame: VideoFrame, convert: FrameConverter) -> np.ndarray:
        """(H, W, 3) uint8, turned as the file asks, of the converter's size."""
        try:
            return convert(frame, self._orientation)
        except DECODER_ERRORS as error:
            detail = f"its pixel format {frame.format.name} cannot be converted: {describe(error)}"
            raise VideoError(self.path, "corrupt", detail) from error

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) as shown, known from the first frame on."""
        first = self._known_first()
        return self._orientation.size(first.height, first.width)

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise by which the stored picture is turned: 0, 90, 180 or 270."""
        return self._orientation.rotation

    @property
    def codec(self) -> str:
        """Name of the codec, such as h264 or av1."""
        return self._stream.codec_context.codec.canonical_name

    @property
    def rate(self) -> Fraction:
        """The nominal frames per second, as the header gives them."""
        return _positive(self._stream.average_rate) or _positive(self._stream.guessed_rate) or _DEFAULT_RATE

    def last_stamp_seconds(self) -> float:
        """The last presentation time as the file gives it, since the first; 0 where it gives none."""
        first, last = self._pts[0], self._pts[-1]
        time_base = _positive(self._stream.time_base)
        return 0.0 if first is None or last is None or time_base is None else float((last - first) * time_base)

    @property
    def orientation(self) -> Orientation:
        """How the pictures are turned, known from the first frame on."""
        return self._orientation

    @property
    def stamps_are_unique(self) -> bool:
        """Whether the presentation times in the file increase from frame to frame, so that they name the frames."""
        return _faults(self._pts) == 0

    def ticks(self) -> tuple[tuple[int, ...], Fraction]:
        """Presentation times as whole numbers, always increasing, and the seconds that one of them lasts.

        As the file gives them, also below zero, where they can be trusted; otherwise the times that `times` makes up,
        in a unit that both the file's clock and its frame rate are multiples of.
        """
        time_base = _positive(self._stream.time_base)
        stamps = min((self._pts, self._dts), key=_faults)
        if time_base is not None and _faults(stamps) == 0:
            return tuple(stamp for stamp in stamps if stamp is not None), time_base
        unit = Fraction(1, lcm((time_base or Fraction(1)).denominator, (1 / self.rate).denominator))
        return tuple(round(time / unit) for time in self.times()[0]), unit

    def times(self) -> tuple[list[float], int]:
        """Seconds since the first frame, always increasing, and how many of them had to be made up.

        Some files carry presentation times that go back and forth, because their writer did not know of reordered
        frames (XviD in AVI, H.264 from some cameras). The decoding times that come with the frames are then in order
        and are taken instead.
        """
        time_base = _positive(self._stream.time_base)
        if time_base is None:
            return presentation_times([None] * self.count, Fraction(1), self.rate)
        stamps = min((self._pts, self._dts), key=_faults)
        return presentation_times(stamps, time_base, self.rate)

    def notes(self, times: list[float], repaired: int, *, complete: bool) -> tuple[str, ...]:
        """What a person should know; `complete` says that every frame of the file was taken."""
        intervals = [after - before for before, after in pairwise(times)]
        found = {
            "hdr": self._known_first().color_trc in _HDR,
            "interlaced": self.interlaced,
            "mirrored": self._orientation.mirrored,
            "non-square-pixels": (_positive(self._stream.sample_aspect_ratio) or 1) != 1,
            # Millisecond clocks alternate between intervals of 33 and 34: only more than half a frame counts.
            "variable-frame-rate": bool(intervals) and max(intervals) > 1.5 * min(intervals),
            "timestamps-repaired": repaired > 0,
            "fewer-frames-than-announced": complete and self._stream.frames > self.count,
        }
        return tuple(name for name, holds in found.items() if holds)

    def _decoded(self) -> Iterator[VideoFrame]:
        for packet in self._container.demux(self._stream):
            # The container knows of bytes that are missing where the decoder may not.
            if packet.is_corrupt:
                raise VideoError(self.path, "corrupt", f"data are missing after {self.count} frames")
            yield from packet.decode()

    def _check(self, frame: VideoFrame) -> None:
        if frame.is_corrupt:
            raise VideoError(self.path, "corrupt", f"frame {self.count} is damaged")
        if self._first is None:
            if frame.height * frame.width > MAX_PIXELS:
                raise VideoError(self.path, "too-many-pixels", f"frames of {frame.width}x{frame.height} pixels")
            self._first, self._orientation = frame, orientation_of(frame)
        elif (frame.height, frame.width) != (self._first.height, self._first.width):
            detail = (
                f"frame {self.count} is {frame.width}x{frame.height} pixels, the first "
                f"{self._first.width}x{self._first.height}; all frames must have one size"
            )
            raise VideoError(self.path, "size-changes", detail)
        self.interlaced |= frame.interlaced_frame

    def _known_first(self) -> VideoFrame:
        if self._first is None:
            raise RuntimeError("no frame was decoded yet")
        return self._first


def _faults(stamps: list[int | None]) -> int:
    """How many timestamps are missing or do not come after the one before."""
    known = [stamp for stamp in stamps if stamp is not None]
    return len(stamps) - len(known) + sum(after <= before for before, after in pairwise(known))


def _positive(rate: object) -> Fraction | None:
    # PyAV 18 gives a Fraction or None, PyAV 19 a rational of its own that may be 0/0.
    numerator, denominator = getattr(rate, "numerator", 0), getattr(rate, "denominator", 0)
    return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None
