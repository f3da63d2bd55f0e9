"""Norpix StreamPix sequences (``.seq``) of JPEG frames, the files of Caltech Pedestrian.

Layout, little-endian, as in Piotr Dollar's toolbox (``seqIo``): a 1024-byte header with 0xFEED at byte 0 and "Norpix
seq" in UTF-16 at 4. Nine uint32 follow at 548: width, height, bits, real bits, bytes of an image, format (102 and 201
are JPEG), frames, 0, true size. The frame rate is a float64 at 584. Each frame is a uint32 size (including itself), the
JPEG, an 8-byte timestamp and in some files 8 more bytes. Where a size does not lead to the next frame, the JPEG markers
are searched instead. The frame count in the header is not trusted.
"""

import struct
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from vidgan.errors import DataError

_HEADER: Final = 1024
_MAGIC: Final = struct.pack("<I", 0xFEED) + "Norpix seq".encode("utf-16le")
_JPEG_FORMATS: Final = (102, 201)
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_PADDINGS: Final = (8, 16, 6, 12)  # bytes after an image, as observed or implied by the timestamp's size
_MAX_FRAME: Final = 64 << 20
_CHUNK: Final = 1 << 20


class SequenceHeader(NamedTuple):
    """Header fields: size in pixels, frames per second (0 if unknown), number of frames (0 if never written)."""

    width: int
    height: int
    fps: float
    frames: int


def read_header(file: IO[bytes]) -> SequenceHeader:
    """The header at the start of an open file. Raises DataError."""
    file.seek(0)
    head = file.read(_HEADER)
    if len(head) < _HEADER or not head.startswith(_MAGIC):
        raise DataError("not a Norpix sequence: the header does not start with 0xFEED and 'Norpix seq'")
    width, height, _, _, _, image_format, frames, _, _ = struct.unpack_from("<9I", head, 548)
    (fps,) = struct.unpack_from("<d", head, 584)
    if image_format not in _JPEG_FORMATS:
        raise DataError(f"image format {image_format}; accepted: JPEG ({', '.join(map(str, _JPEG_FORMATS))})")
    return SequenceHeader(width, height, fps if 0 < fps < 1000 else 0.0, frames)


def frame_spans(file: IO[bytes]) -> list[tuple[int, int]]:
    """Offset and length in bytes of every JPEG of an open sequence. Raises DataError where there is none."""
    spans = list(_by_size(file))
    file.seek(0, 2)
    end = file.tell()
    reached = spans[-1][0] + spans[-1][1] if spans else _HEADER
    if end - reached > max(_PADDINGS) + len(_START):
        spans += _by_marker(file, reached)  # the sizes became invalid before the end of the file
    if not spans:
        raise DataError("Norpix sequence without frames")
    return spans


def _by_size(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Frames located by following the sizes; ends where a size does not lead to a JPEG."""
    position = _HEADER
    padding: int | None = None
    while (size := _size_at(file, position)) is not None:
        yield position + 4, size - 4
        after = position + size
        if padding is None:
            padding = next((some for some in _PADDINGS if _size_at(file, after + some) is not None), _PADDINGS[0])
        position = after + padding


def _size_at(file: IO[bytes], position: int) -> int | None:
    """The size stored at `position`, if a complete JPEG follows it."""
    file.seek(position)
    head = file.read(7)
    if len(head) < 7 or head[4:] != _START:
        return None
    size = int(struct.unpack_from("<I", head)[0])
    if not 8 <= size <= _MAX_FRAME:
        return None
    file.seek(position + size - 2)
    tail = file.read(2)
    # Some cameras pad the JPEG, so its last bytes need not be the end marker. A size beyond the file is invalid.
    return size if len(tail) == 2 else None


def _by_marker(file: IO[bytes], position: int) -> Iterator[tuple[int, int]]:
    """Frames from a start marker to the next end marker, which cannot occur inside JPEG data."""
    file.seek(position)
    buffer, offset = b"", position
    while chunk := file.read(_CHUNK):
        buffer += chunk
        while True:
            start = buffer.find(_START)
            if start < 0:
                buffer, offset = buffer[-2:], offset + max(0, len(buffer) - 2)
                break
            end = buffer.find(_END, start + len(_START))
            if end < 0:
                buffer, offset = buffer[start:], offset + start
                break
            end += len(_END)
            yield offset + start, end - start
            buffer, offset = buffer[end:], offset + end
        if len(buffer) > _MAX_FRAME:
            return
