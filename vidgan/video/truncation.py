"""Detecting truncated files by the lengths in their own structure.

Decoders often cannot detect truncation: Matroska, WebM and GIF files cut anywhere, and some AVI and fragmented MP4
files, decode to fewer frames without an error. The structure of the container reveals it. Not detectable: streamable
formats (MPEG-TS, MPEG-PS, FLV, Ogg, Y4M, raw H.264), live recordings without a length, and fragmented MP4 cut exactly
between two fragments.
"""

import mmap
import os
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["missing_bytes"]

# Top-level boxes with frames or their description. Truncation of other boxes, and junk at the end, does no harm.
_MP4_VITAL: Final = {b"moov", b"mdat", b"moof"}
_MP4_BOXES: Final = _MP4_VITAL | {b"ftyp", b"styp", b"sidx", b"free", b"skip", b"wide", b"uuid", b"meta", b"pnot"}
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
# Some writers include the eight bytes of the RIFF header in the length.
_RIFF_SLACK: Final = 8


def missing_bytes(path: Path) -> int:
    """Number of bytes missing at the end of a file; 0 if it is complete or its format cannot be checked.

    A GIF does not contain its length: 1 then means an unknown number.

    Raises:
        OSError: the file cannot be read.
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
    """End of the last vital box (ISO/IEC 14496-12, section 4.2)."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:  # a 64-bit length follows
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # the box extends to the end of the file
            return size
        if length < 8 or kind not in _MP4_BOXES:
            return size
        if kind in _MP4_VITAL and start + length > size:
            return start + length
        start += length
    # Less than one header is left: the beginning of another box.
    return start + 8 if start < size and start > 0 else size


def _matroska_end(file: BinaryIO) -> int:
    """End of the segment (RFC 8794, section 6; RFC 9559, section 5.1); 0 for a live recording of unknown length."""
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
    """Read a variable-length integer; leading zero bits of the first byte give the number of further bytes.

    None for an invalid integer and for the reserved value of an unknown length.
    """
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> extra)]) + file.read(extra), "big")
    unknown = (1 << 7 * (extra + 1)) - 1
    return None if value == unknown else value


def _avi_end(head: bytes) -> int:
    """End of the first RIFF chunk; 0 if the writer did not fill in its length."""
    length = int.from_bytes(head[4:8], "little")
    return 0 if length in (0, 0xFFFFFFFF) else length + 8 - _RIFF_SLACK


def _gif_is_whole(file: BinaryIO) -> bool:
    """Follow the blocks of a GIF to its trailer (GIF89a specification, appendix A)."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            place = 13 + _colour_table(data[10])
            while data[place] != 0x3B:
                if data[place] == 0x21:  # extension: label, then sub-blocks
                    place += 2
                elif data[place] == 0x2C:  # image: descriptor, colour table, code size, then sub-blocks
                    place += 11 + _colour_table(data[place + 9])
                else:
                    return True  # damage, which the decoder detects
                while data[place] != 0:
                    place += 1 + data[place]
                place += 1
        except IndexError:
            return False
    return True


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
