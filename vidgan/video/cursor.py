"""A place in a video that moves from entry point to entry point and knows every frame that it passes."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from av.packet import Packet
from av.video.frame import VideoFrame

from vidgan.errors import VideoError
from vidgan.video.container import DECODER_ERRORS, describe, open_video
from vidgan.video.file_index import VideoIndex, packet_identity

__all__ = ["Cursor"]

# Up to so many frames ahead, passing over packets is quicker than asking the container to seek.
_NEAR: Final = 32
_MOST_PASSED: Final = 4 * _NEAR


class Cursor:
    """An opened video with an index; the file stays open until `close`.

    Raises:
        VideoError: the file is refused.
    """

    def __init__(self, path: Path, index: VideoIndex) -> None:
        self.path = path
        self.index = index
        self._places = {stamp: place for place, stamp in enumerate(index.pts)} if index.stamped else {}
        self._keyframes = index.keyframes
        self._numbers = {(e.position, e.size, e.pts, e.dts): number for number, e in enumerate(index.entries)}
        self._closing = ExitStack()
        self._wanted_stamps: set[int] | None = None  # where pictures may be left out: the ones that may not
        self._pending: Iterator[VideoFrame] = iter(())  # pictures that the decoder has given already
        self._next = 0  # the frame that the decoder is to give next
        self._entry = -1  # the last entry point whose packet was sent to the decoder
        self._sent = -1  # the last frame whose packet was sent while pictures were left out
        self._left_out = -1  # up to this frame, pictures may have been left out for an earlier call
        self.restart()

    def close(self) -> None:
        """Close the file; harmless when it is closed already."""
        self._closing.close()

    def restart(self) -> None:
        """Open the file anew, before its first frame."""
        self._closing.close()
        self._container, self._stream = self._closing.enter_context(open_video(self.path))
        self._codec = self._stream.codec_context
        self._packets = self._container.demux(self._stream)
        self._begin(place=0, entry=-1)

    def frames(self, wanted: list[int], *, seeking: bool) -> Iterator[VideoFrame]:
        """The frames with these numbers, which increase; without `seeking`, by decoding on from where it is.

        Raises:
            VideoError: of reason ``changed``, where the file does not give what the index says.
        """
        self._wanted_stamps = {self.index.pts[place] for place in wanted} if seeking and self.index.skips else None
        self._left_out = self._sent
        for place in wanted:
            try:
                if seeking:
                    self._approach(place)
                found, frame = self._next_frame()
                while found < place:
                    found, frame = self._next_frame()
            except VideoError:
                raise
            except DECODER_ERRORS as error:
                raise self._lost(place, describe(error)) from error
            if found > place:
                raise self._lost(place, "it is left out")
            yield frame

    def _approach(self, place: int) -> None:
        """Go to the last entry point at or before a frame, unless decoding on leads there or to the frame itself."""
        number = bisect_right(self._keyframes, place) - 1
        if self._next <= place and place > self._left_out and number <= self._entry:
            return
        if number < 0:
            self.restart()
            return
        entry = self.index.entries[number]
        if number > self._entry and self._next <= entry.frame <= self._next + _NEAR:
            self._codec.flush_buffers()
            passed = _MOST_PASSED
        else:
            self._container.seek(entry.seek, stream=self._stream)
            self._packets = self._container.demux(self._stream)
            passed = entry.skip
        for _ in range(passed + 1):
            packet = next(self._packets, None)
            if packet is None or packet.size == 0:
                break
            if packet.is_keyframe and packet_identity(packet) == (entry.position, entry.size, entry.pts, entry.dts):
                self._begin(place=entry.frame - entry.leading, entry=number)
                self._pending = iter(self._send(packet))
                return
        raise self._lost(place, "no seek leads there")

    def _begin(self, *, place: int, entry: int) -> None:
        self._next, self._entry, self._sent, self._left_out = place, entry, -1, -1
        self._pending = iter(())

    def _next_frame(self) -> tuple[int, VideoFrame]:
        """The next picture that the decoder gives, and which frame it is."""
        while True:
            for frame in self._pending:
                place = self._next
                if self.index.stamped:
                    known = None if frame.pts is None else self._places.get(frame.pts)
                    if known is None:
                        raise self._lost(place, f"unknown presentation time {frame.pts}")
                    if known < place:  # of an open group of pictures, from before its key frame
                        continue
                    place = known
                if frame.is_corrupt or (frame.height, frame.width) != (self.index.height, self.index.width):
                    raise self._lost(place, "it is damaged or of another size")
                self._next = place + 1
                return place, frame
            packet = next(self._packets, None)
            if packet is None:
                raise self._lost(self._next, "the video ends before it")
            self._pending = iter(self._send(packet))

    def _send(self, packet: Packet) -> Iterable[VideoFrame]:
        if packet.size > 0:
            if packet.is_keyframe:
                self._entry = self._numbers.get(packet_identity(packet), self._entry)
            skip = False
            if self._wanted_stamps is not None and packet.pts is not None:
                skip = packet.pts not in self._wanted_stamps
                self._sent = max(self._sent, self._places.get(packet.pts, -1))
            self._codec.skip_frame = "NONREF" if skip else "DEFAULT"
        return self._codec.decode(packet)

    def _lost(self, place: int, why: str) -> VideoError:
        return VideoError(self.path, "changed", f"does not give frame {place} as indexed ({why}); index it again")
