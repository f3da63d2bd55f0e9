"""One pass over the frames of an open video: rejects damage, collects timestamps and determines the orientation."""

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
from vidgan.video.container import DECODER_ERRORS, MAX_PIXELS, decoder_error, describe
from vidgan.video.convert import FrameConverter, is_untagged_hd
from vidgan.video.ffv1 import has_damaged_slice
from vidgan.video.orientation import UPRIGHT, Orientation, orientation_of
from vidgan.video.sampling import presentation_times

__all__ = ["Scan"]

_DEFAULT_RATE: Final = Fraction(25)
_HDR: Final = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


class Scan:
    """Decodes a stream once, from its start. All attributes describe the frames decoded so far."""

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.count = 0
        self.keyframes: list[int] = []  # numbers of the frames that the decoder marked as key frames
        self.interlaced = False  # at least one frame is interlaced
        self._container = container
        self._stream = stream
        self._first: VideoFrame | None = None
        self._orientation = UPRIGHT
        self._pts: list[int | None] = []
        self._dts: list[int | None] = []

    def frames(self) -> Iterator[VideoFrame]:
        """Yield every frame in presentation order.

        Raises:
            VideoError: at the first damage, or if there is no frame.
        """
        decoded = self._decoded()
        while True:
            try:
                frame = next(decoded, None)
            except VideoError:
                raise
            except DECODER_ERRORS as error:
                # FFmpeg does not report the size of a frame above the limit, so that may be the only fault.
                unknown_size = not self.count and not self._stream.codec_context.width
                limit = f", or larger than {MAX_PIXELS} pixels" if unknown_size else ""
                detail = f"damaged after {self.count} frames{limit}: {describe(error)}"
                raise decoder_error(self.path, "corrupt", detail, error) from error
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
            raise VideoError(self.path, "no-frames", "the video stream has no frames")

    def convert(self, frame: VideoFrame, converter: FrameConverter) -> np.ndarray:
        """Convert a frame with this video's orientation to (H, W, 3) uint8.

        Raises:
            VideoError: the pixel format cannot be converted.
        """
        try:
            return converter(frame, self._orientation)
        except DECODER_ERRORS as error:
            detail = f"pixel format {frame.format.name} cannot be converted: {describe(error)}"
            raise decoder_error(self.path, "corrupt", detail, error) from error

    @property
    def size(self) -> tuple[int, int]:
        """Displayed (H, W) in pixels; requires the first frame."""
        first = self._known_first()
        return self._orientation.size(first.height, first.width)

    @property
    def rotation(self) -> int:
        """Rotation of the stored frames, degrees counter-clockwise: 0, 90, 180 or 270."""
        return self._orientation.rotation

    @property
    def codec(self) -> str:
        """Name of the codec, for example h264 or av1."""
        return self._stream.codec_context.codec.canonical_name

    @property
    def has_audio(self) -> bool:
        """Whether the file also has an audio stream."""
        return len(self._container.streams.audio) > 0

    @property
    def rate(self) -> Fraction:
        """Nominal frames per second from the header."""
        return _positive(self._stream.average_rate) or _positive(self._stream.guessed_rate) or _DEFAULT_RATE

    def last_stamp_seconds(self) -> float:
        """Time between the first and the last presentation timestamp of the file; 0 if either is missing."""
        first, last = self._pts[0], self._pts[-1]
        time_base = _positive(self._stream.time_base)
        return 0.0 if first is None or last is None or time_base is None else float((last - first) * time_base)

    @property
    def orientation(self) -> Orientation:
        """Orientation of the frames; upright before the first frame is decoded."""
        return self._orientation

    @property
    def stamps_are_unique(self) -> bool:
        """Whether the file's presentation timestamps are complete and increase, so that they identify frames."""
        return _faults(self._pts) == 0

    def ticks(self) -> tuple[tuple[int, ...], Fraction]:
        """Strictly increasing presentation times as integers, and their unit in seconds.

        The file's own timestamps if they are complete and increase; they may be negative. Otherwise the repaired times
        of `times`, in a unit that divides both the file's time base and its frame interval.
        """
        time_base = _positive(self._stream.time_base)
        stamps = min((self._pts, self._dts), key=_faults)
        if time_base is not None and _faults(stamps) == 0:
            return tuple(stamp for stamp in stamps if stamp is not None), time_base
        unit = Fraction(1, lcm((time_base or Fraction(1)).denominator, (1 / self.rate).denominator))
        return tuple(round(time / unit) for time in self.times()[0]), unit

    def times(self) -> tuple[list[float], int]:
        """Strictly increasing seconds since the first frame, and the number of repaired times.

        In some files presentation times go back and forth, because their writer ignored frame reordering (XviD in AVI,
        H.264 from some cameras). The decoding times of the frames are in order then, and are used instead.
        """
        time_base = _positive(self._stream.time_base)
        if time_base is None:
            return presentation_times([None] * self.count, Fraction(1), self.rate)
        stamps = min((self._pts, self._dts), key=_faults)
        return presentation_times(stamps, time_base, self.rate)

    def notes(self, times: list[float], repaired: int, *, complete: bool) -> tuple[str, ...]:
        """Names of unusual properties, see `VideoInfo.notes`; `complete`: every frame of the file was decoded."""
        intervals = [after - before for before, after in pairwise(times)]
        properties = {
            "hdr": self._known_first().color_trc in _HDR,
            "assumed-bt709": is_untagged_hd(self._known_first()),
            "interlaced": self.interlaced,
            "mirrored": self._orientation.mirrored,
            "non-square-pixels": (_positive(self._stream.sample_aspect_ratio) or 1) != 1,
            # Millisecond time bases alternate between intervals such as 33 and 34, hence the tolerance.
            "variable-frame-rate": bool(intervals) and max(intervals) > 1.5 * min(intervals),
            "timestamps-repaired": repaired > 0,
            "fewer-frames-than-announced": complete and self._stream.frames > self.count,
        }
        return tuple(name for name, holds in properties.items() if holds)

    def _decoded(self) -> Iterator[VideoFrame]:
        has_checksums = self.codec == "ffv1" and bool(self._stream.codec_context.extradata)  # version 3 or later
        for packet in self._container.demux(self._stream):
            # The container may know of missing bytes that the decoder does not notice.
            if packet.is_corrupt:
                raise VideoError(self.path, "corrupt", f"data missing after {self.count} frames")
            if has_checksums and packet.size > 0 and has_damaged_slice(bytes(packet)):
                raise VideoError(self.path, "corrupt", f"checksum mismatch after {self.count} frames")
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
                f"frame {self.count} is {frame.width}x{frame.height} pixels, the first is "
                f"{self._first.width}x{self._first.height}; all frames must have the same size"
            )
            raise VideoError(self.path, "size-changes", detail)
        self.interlaced |= frame.interlaced_frame

    def _known_first(self) -> VideoFrame:
        if self._first is None:
            raise RuntimeError("no frame has been decoded")
        return self._first


def _faults(stamps: list[int | None]) -> int:
    """Number of timestamps that are missing or not later than their predecessor."""
    known = [stamp for stamp in stamps if stamp is not None]
    return len(stamps) - len(known) + sum(after <= before for before, after in pairwise(known))


def _positive(rate: object) -> Fraction | None:
    # PyAV 18 returns a Fraction or None, PyAV 19 its own rational type, which may be 0/0.
    numerator, denominator = getattr(rate, "numerator", 0), getattr(rate, "denominator", 0)
    return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None
