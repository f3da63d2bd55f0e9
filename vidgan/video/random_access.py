"""Random access to the frames of a video, bit for bit equal to decoding from the start.

`VideoReader` seeks to the last entry point of the file's index before each requested frame, checks that the seek
reached it, and decodes from there. Where the file deviates from its index, it decodes from the start instead.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from vidgan.errors import VideoError
from vidgan.video.container import DECODER_ERRORS, decoder_error, describe, open_video
from vidgan.video.convert import FrameConverter
from vidgan.video.index import VideoIndex, fingerprint, index_video, packet_identity
from vidgan.video.resize import Fit, Resample

__all__ = ["Cursor", "VideoIndex", "VideoReader", "index_video"]

# For an entry point at most this many frames ahead, dropping packets is faster than a seek.
_NEAR: Final = 32
_MAX_DROPPED: Final = 4 * _NEAR  # packets


class VideoReader:
    """Reads frames of one file by number. Keeps the file open, and continues decoding where that is faster than a seek.

    Not safe to share between threads or processes: create it where it is used.

    Args:
        path: a regular file.
        size: (H, W) of the frames in pixels; None keeps the displayed size.
        fit: see `vidgan.video.resize.Fit`.
        resample: see `vidgan.video.resize.Resample`.
        index: result of `index_video`; None computes it, which decodes the file twice.

    Raises:
        VideoError: the file is refused, or has changed since it was indexed.
        ValueError: an argument is invalid.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size: tuple[int, int] | None = None,
        fit: Fit = "crop",
        resample: Resample = "area",
        index: VideoIndex | None = None,
    ) -> None:
        self.path = Path(path)
        self._convert = FrameConverter(size, fit, resample)
        if index is None:
            index = index_video(self.path)
        else:
            _check_unchanged(self.path, index)
        self.index = index
        self._cursor = Cursor(self.path, index)

    def __len__(self) -> int:
        """Number of frames of the video."""
        return len(self.index)

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._cursor.close()

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Read frames by number, in any order and with repetitions.

        Returns:
            (N, H, W, 3) uint8 RGB, equal to ``read_video(path, ...).frames[indices]`` with the same size, fit and
            resample.

        Raises:
            ValueError: `indices` is empty, or contains a number outside the video.
            VideoError: the file has changed since it was indexed, or can no longer be read.
        """
        wanted = sorted({int(index) for index in indices})
        if not wanted or wanted[0] < 0 or wanted[-1] >= len(self):
            raise ValueError(f"{self.path}: frame numbers must be from 0 to {len(self) - 1}, got {list(indices)}")
        try:
            converted = self._read(wanted, seeking=True)
        except VideoError as error:
            if error.reason != "changed":
                raise
            self._cursor.restart()
            converted = self._read(wanted, seeking=False)
        return np.stack([converted[int(index)] for index in indices])  # (N, H, W, 3)

    def _read(self, wanted: list[int], *, seeking: bool) -> dict[int, np.ndarray]:
        frames = self._cursor.frames(wanted, seeking=seeking)
        try:
            # (H, W, 3) each. Frames are converted one by one, so that memory holds a single frame of full size.
            return {
                number: self._convert(frame, self.index.orientation)
                for number, frame in zip(wanted, frames, strict=True)
            }
        except VideoError:
            raise
        except DECODER_ERRORS as error:
            detail = f"pixels cannot be converted: {describe(error)}"
            raise decoder_error(self.path, "corrupt", detail, error) from error


class Cursor:
    """Decodes an indexed file from entry point to entry point and keeps track of the frame number.

    The file stays open until `close`.

    Raises:
        VideoError: the file is refused.
    """

    def __init__(self, path: Path, index: VideoIndex) -> None:
        self.path = path
        self.index = index
        self._numbers = {stamp: number for number, stamp in enumerate(index.pts)} if index.stamped else {}
        self._keyframes = index.keyframes
        self._entry_of = {(e.position, e.size, e.pts, e.dts): entry for entry, e in enumerate(index.entries)}
        self._closing = ExitStack()
        self._wanted_stamps: set[int] | None = None  # times of the wanted frames while other frames may be skipped
        self._pending: Iterator[VideoFrame] = iter(())  # decoded frames that were not consumed yet
        self._next = 0  # number of the next frame from the decoder
        self._entry = -1  # last entry point whose packet was sent to the decoder
        self._sent = -1  # last frame whose packet was sent while skipping was on
        self._skipped = -1  # frames up to this one may have been skipped for an earlier call
        self.restart()

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._closing.close()

    def restart(self) -> None:
        """Reopen the file at its first frame."""
        self._closing.close()
        self._container, self._stream = self._closing.enter_context(open_video(self.path))
        self._codec = self._stream.codec_context
        self._packets = self._container.demux(self._stream)
        self._begin(number=0, entry=-1)

    def frames(self, wanted: list[int], *, seeking: bool) -> Iterator[VideoFrame]:
        """Yield the frames with these increasing numbers.

        Args:
            seeking: seek to entry points; otherwise decode every frame from the present position.

        Raises:
            VideoError: with reason ``changed``, if the file deviates from the index.
        """
        self._wanted_stamps = {self.index.pts[number] for number in wanted} if seeking and self.index.skips else None
        self._skipped = self._sent
        for number in wanted:
            try:
                if seeking:
                    self._approach(number)
                decoded, frame = self._next_frame()
                while decoded < number:
                    decoded, frame = self._next_frame()
            except VideoError:
                raise
            except DECODER_ERRORS as error:
                changed = self._deviation(number, describe(error))
                raise decoder_error(self.path, changed.reason, changed.detail, error) from error
            if decoded > number:
                raise self._deviation(number, "missing")
            yield frame

    def _approach(self, number: int) -> None:
        """Go to the last entry point at or before a frame, unless decoding on reaches that or the frame itself."""
        target = bisect_right(self._keyframes, number) - 1
        if self._next <= number and number > self._skipped and target <= self._entry:
            return
        if target < 0:
            self.restart()
            return
        entry = self.index.entries[target]
        if target > self._entry and self._next <= entry.frame <= self._next + _NEAR:
            self._codec.flush_buffers()
            max_dropped = _MAX_DROPPED
        else:
            self._container.seek(entry.seek, stream=self._stream)
            self._packets = self._container.demux(self._stream)
            max_dropped = entry.skip
        for _ in range(max_dropped + 1):
            packet = next(self._packets, None)
            if packet is None or packet.size == 0:
                break
            if packet.is_keyframe and packet_identity(packet) == (entry.position, entry.size, entry.pts, entry.dts):
                self._begin(number=entry.frame - entry.leading, entry=target)
                self._pending = iter(self._send(packet))
                return
        raise self._deviation(number, "a seek does not reach its entry point")

    def _begin(self, *, number: int, entry: int) -> None:
        self._next, self._entry, self._sent, self._skipped = number, entry, -1, -1
        self._pending = iter(())

    def _next_frame(self) -> tuple[int, VideoFrame]:
        """Decode the next frame; returns its number and the frame."""
        while True:
            for frame in self._pending:
                number = self._next
                if self.index.stamped:
                    known = None if frame.pts is None else self._numbers.get(frame.pts)
                    if known is None:
                        raise self._deviation(number, f"unknown presentation time {frame.pts}")
                    if known < number:  # a leading frame of an open group of pictures
                        continue
                    number = known
                if frame.is_corrupt or (frame.height, frame.width) != (self.index.height, self.index.width):
                    raise self._deviation(number, "damaged, or of another size")
                self._next = number + 1
                return number, frame
            packet = next(self._packets, None)
            if packet is None:
                raise self._deviation(self._next, "the video ends before it")
            self._pending = iter(self._send(packet))

    def _send(self, packet: Packet) -> Iterable[VideoFrame]:
        if packet.size > 0:
            if packet.is_keyframe:
                self._entry = self._entry_of.get(packet_identity(packet), self._entry)
            skip = False
            if self._wanted_stamps is not None and packet.pts is not None:
                skip = packet.pts not in self._wanted_stamps
                self._sent = max(self._sent, self._numbers.get(packet.pts, -1))
            self._codec.skip_frame = "NONREF" if skip else "DEFAULT"
        return self._codec.decode(packet)

    def _deviation(self, number: int, why: str) -> VideoError:
        return VideoError(self.path, "changed", f"frame {number} deviates from the index ({why}); index the file again")


def _check_unchanged(path: Path, index: VideoIndex) -> None:
    """Compare size and content only: a copy of the file may have another modification time."""
    current = fingerprint(path)
    if (current.size, current.digest) != (index.file.size, index.file.digest):
        detail = f"{current.size} bytes differ from the {index.file.size} bytes that were indexed; prepare it again"
        raise VideoError(path, "changed", detail)
