"""Checksums of FFV1 (RFC 9043): FFmpeg's decoder reports a damaged slice in its log only, and fills it with old pixels.

Since version 3, a packet consists of slices that end with their size (3 bytes) and, if the file is protected, an error
status (1 byte) and a CRC-32 (4 bytes) over the whole slice (RFC 9043, sections 4.6 and 4.9).
"""

import zlib
from typing import Final

__all__ = ["has_damaged_slice"]

_PROTECTED, _PLAIN = 8, 3  # bytes of a slice's footer
# zlib computes the same polynomial with the bits of every byte reversed.
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def has_damaged_slice(packet: bytes) -> bool:
    """Whether a checksum of a packet of version 3 or later is wrong, or its sizes do not add up."""
    slices = _slices(packet, _PROTECTED)
    if slices is None:
        return _slices(packet, _PLAIN) is None
    if all(_is_valid(part) for part in slices):
        return False
    # Without checksums, bytes of the pixels may look like sizes; then they also add up as what they are.
    return _slices(packet, _PLAIN) is None


def _slices(packet: bytes, footer: int) -> list[bytes] | None:
    """The slices with their footers, last one first; None if the sizes do not add up."""
    slices = []
    end = len(packet)
    while end > 0:
        if end < footer:
            return None
        size = int.from_bytes(packet[end - footer : end - footer + 3], "big") + footer
        if size > end:
            return None
        slices.append(packet[end - size : end])
        end -= size
    return slices


def _is_valid(part: bytes) -> bool:
    """Whether the CRC-32 of a slice, its own checksum included, is zero."""
    return zlib.crc32(part.translate(_REVERSED), 0xFFFFFFFF) == 0xFFFFFFFF
