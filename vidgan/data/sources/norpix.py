"""Norpix StreamPix sequences (``.seq``) of JPEG frames, the files of Caltech Pedestrian.

Layout, little-endian, as in Piotr Dollar's toolbox (``seqIo``): a header of 1024 bytes with 0xFEED at 0, "Norpix seq"
in UTF-16 at 4, and from 548 nine uint32: width, height, bits, real bits, bytes of an image, format (102 and 201 are
JPEG), frames, 0, true size; the frames a second as float64 at 584. Each frame is a uint32 size that counts itself, the
JPEG, a time stamp of 8 bytes, in some files 8 bytes more. Sizes that lead nowhere are not followed: the JPEG markers
are searched instead. The number of frames in the header is not believed.
"""

import struct
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from vidgan.errors import DataError

_HEADER: Final = 1024
_MAGIC: Final = struct.pack("<I", 0xFEED) + "Norpix seq".encode("utf-16le")
_JPEG_FORMATS: Final = (102, 201)
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_PADDINGS: Final = (8, 16, 6, 12)  # bytes after an image that were seen or are announced by the time stamp's size
_MAX_FRAME: Final = 64 << 20
_CHUNK: Final = 1 << 20


class SequenceHeader(NamedTuple):
    """What the header says: size in pixels, frames a second, number of frames (0 where it was never written)."""

    width: int
    height: int
    fps: float
    frames: int


def read_header(file: IO[bytes]) -> SequenceHeader:
    """The header at the start of an open file. Raises DataError."""
    file.seek(0)
    head = file.read(_HEADER)
    if len(head) < _HEADER or not head.startswith(_MAGIC):
        raise DataError("no Norpix sequence: its header does not start with 0xFEED and 'Norpix seq'")
    width, height, _, _, _, image_format, frames, _, _ = struct.unpack_from("<9I", head, 548)
    (fps,) = struct.unpack_from("<d", head, 584)
    if image_format not in _JPEG_FORMATS:
        raise DataError(f"images of format {image_format}; accepted: JPEG ({', '.join(map(str, _JPEG_FORMATS))})")
    return SequenceHeader(width, height, fps if 0 < fps < 1000 else 0.0, frames)


def frame_spans(file: IO[bytes]) -> list[tuple[int, int]]:
    """Offset and length in bytes of every JPEG of an open sequence. Raises DataError where there is none."""
    spans = list(_by_size(file))
    file.seek(0, 2)
    end = file.tell()
    reached = spans[-1][0] + spans[-1][1] if spans else _HEADER
    if end - reached > max(_PADDINGS) + len(_START):
        spans += _by_marker(file, reached)  # the sizes stop making sense before the file does
    if not spans:
        raise DataError("a Norpix sequence without a frame")
    return spans


def _by_size(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Frames as their sizes lead from one to the next; ends where they do not lead to a JPEG."""
    position = _HEADER
    padding: int | None = None
    while (size := _size_at(file, position)) is not None:
        yield position + 4, size - 4
        after = position + size
        if padding is None:
            padding = next((some for some in _PADDINGS if _size_at(file, after + some) is not None), _PADDINGS[0])
        position = after + padding


def _size_at(file: IO[bytes], position: int) -> int | None:
    """The size that stands at `position`, if a whole JPEG follows it."""
    file.seek(position)
    head = file.read(7)
    if len(head) < 7 or head[4:] != _START:
        return None
    size = int(struct.unpack_from("<I", head)[0])
    if not 8 <= size <= _MAX_FRAME:
        return None
    file.seek(position + size - 2)
    tail = file.read(2)
    # Some cameras pad the JPEG after its end; a size that leads beyond the file is wrong.
    return size if len(tail) == 2 else None


def _by_marker(file: IO[bytes], position: int) -> Iterator[tuple[int, int]]:
    """Frames from a start marker to the next end marker, which JPEG data cannot hold by chance."""
    file.seek(position)
    held, offset = b"", position
    while chunk := file.read(_CHUNK):
        held += chunk
        while True:
            start = held.find(_START)
            if start < 0:
                held, offset = held[-2:], offset + max(0, len(held) - 2)
                break
            end = held.find(_END, start + len(_START))
            if end < 0:
                held, offset = held[start:], offset + start
                break
            end += len(_END)
            yield offset + start, end - start
            held, offset = held[end:], offset + end
        if len(held) > _MAX_FRAME:
            return
