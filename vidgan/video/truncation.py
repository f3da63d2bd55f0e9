"""Does a file hold all the bytes that its own structure announces?

A decoder mostly cannot tell a file that was cut from one that ends: Matroska, WebM and GIF files cut anywhere, and some
AVI and fragmented MP4 files, decode without an error to fewer frames. Their outer structure gives it away. Streams made
to be cut (MPEG-TS, MPEG-PS, FLV, Ogg, Y4M, raw H.264), recordings that were written live, without a length, and
fragmented MP4 cut exactly between two fragments have nothing to check.
"""

import mmap
import os
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["missing_bytes"]

# Top-level boxes that hold pictures or describe them. Others may be cut, or be junk after the end, without harm.
_MP4_VITAL: Final = {b"moov", b"mdat", b"moof"}
_MP4_BOXES: Final = _MP4_VITAL | {b"ftyp", b"styp", b"sidx", b"free", b"skip", b"wide", b"uuid", b"meta", b"pnot"}
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
# Some writers count the eight bytes of the RIFF header itself.
_RIFF_SLACK: Final = 8


def missing_bytes(path: Path) -> int:
    """How many bytes the file lacks at its end; 0 where it is whole or its kind has nothing to check.

    For a GIF, whose length is announced nowhere, 1 stands for an unknown amount. Raises OSError.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in _MP4_BOXES:
            return max(0, _mp4_end(file, size) - size)
        if head[:4] == _EBML:
            return max(0, _matroska_end(file) - size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return max(0, _avi_end(head) - size)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return 0 if _gif_is_whole(file) else 1
    return 0


def _mp4_end(file: BinaryIO, size: int) -> int:
    """Where the last vital box ends (ISO/IEC 14496-12, 4.2)."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:  # the real length follows in eight bytes
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end of the file, however long
            return size
        if length < 8 or kind not in _MP4_BOXES:
            return size
        if kind in _MP4_VITAL and start + length > size:
            return start + length
        start += length
    # A rest of less than one header: part of the next box.
    return start + 8 if start < size and start > 0 else size


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment ends (RFC 8794, 6 and RFC 9559, 5.1); 0 for a live recording of unknown length."""
    file.seek(4)
    header = _ebml_length(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _ebml_length(file)
    return 0 if length is None else file.tell() + length


def _ebml_length(file: BinaryIO) -> int | None:
    """A variable-length integer: the leading zero bits of its first byte say how many bytes follow."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> extra)]) + file.read(extra), "big")
    unknown = (1 << 7 * (extra + 1)) - 1
    return None if value == unknown else value


def _avi_end(head: bytes) -> int:
    """Where the first RIFF chunk ends; 0 where the writer never came back to fill it in."""
    length = int.from_bytes(head[4:8], "little")
    return 0 if length in (0, 0xFFFFFFFF) else length + 8 - _RIFF_SLACK


def _gif_is_whole(file: BinaryIO) -> bool:
    """Walk the blocks of a GIF up to its end mark (GIF89a specification, appendix A)."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            place = 13 + _colour_table(data[10])
            while data[place] != 0x3B:
                if data[place] == 0x21:  # an extension: its label, then sub-blocks
                    place += 2
                elif data[place] == 0x2C:  # a picture: its place and colours, the code size, then sub-blocks
                    place += 11 + _colour_table(data[place + 9])
                else:
                    return True  # not a cut but damage, which is the decoder's to judge
                while data[place] != 0:
                    place += 1 + data[place]
                place += 1
        except IndexError:
            return False
    return True


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
