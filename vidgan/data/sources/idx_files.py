"""IDX files of images, the format of MNIST, plain or gzip."""

import gzip
import struct
import zlib
from typing import IO, Final

import numpy as np

from vidgan.data.sources.archives import max_decompressed
from vidgan.data.sources.blobs import Blob, open_blob
from vidgan.errors import DataError

_MAGIC: Final = 0x00000803  # unsigned bytes, three dimensions
_MAX_BYTES: Final = 1 << 30


def read_idx_images(blob: Blob) -> np.ndarray:
    """uint8 (N, H, W) images of an IDX file; gzip is recognised by content. Raises DataError."""
    try:
        with open_blob(blob) as file:
            nbytes = file.seek(0, 2)
            file.seek(0)
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not is_gzip:
                return _parse_idx(file, _MAX_BYTES)
            with gzip.GzipFile(fileobj=file) as content:
                return _parse_idx(content, max_decompressed(nbytes))
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"not an IDX file of images ({type(error).__name__}: {error})") from error


def _parse_idx(file: IO[bytes] | gzip.GzipFile, most: int) -> np.ndarray:
    magic, count, height, width = struct.unpack(">4I", file.read(16))  # big-endian
    if magic != _MAGIC:
        raise DataError(f"not an IDX file of images: starts with 0x{magic:08x}, expected 0x{_MAGIC:08x}")
    size = count * height * width
    if not 0 < size <= min(_MAX_BYTES, most):
        raise DataError(f"IDX file of {count} images of {width}x{height}; accepted: 1 to {min(_MAX_BYTES, most)} bytes")
    data = file.read(size)
    if len(data) < size:
        raise DataError(f"IDX file truncated: {len(data)} of {size} bytes of images")
    if file.read(1):  # also makes gzip compare its checksum
        raise DataError(f"IDX file has extra bytes after its {count} images")
    return np.frombuffer(data, np.uint8).reshape(count, height, width)
