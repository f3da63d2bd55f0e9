"""Clips in .npy and .npz files. Nothing is unpickled; sizes in headers are checked against the bytes present."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Final

import numpy as np

from vidgan.data.sources.archives import ARCHIVE_ERRORS, MAX_MEMBER, max_decompressed
from vidgan.data.sources.blobs import Blob
from vidgan.errors import DataError

_SHAPES: Final = "uint8 (T, H, W, 3|1) or (N, T, H, W, 3|1)"
_TIME_FIRST: Final = "uint8 (T, N, H, W) or (T, N, H, W, 3|1)"


def labelled_clips(name: str, blob: Blob) -> Iterator[tuple[str, np.ndarray]]:
    """Label and (T, h, w, 3|1) uint8 frames of every clip of a .npy or .npz file; memory-mapped for a .npy on disk.

    Raises DataError for another format, type or shape.
    """
    arrays = _npz_arrays(blob) if name.lower().endswith(".npz") else iter([("", _npy_array(blob))])
    for label, array in arrays:
        if array.dtype != np.uint8 or array.ndim not in (4, 5) or array.shape[-1] not in (1, 3) or 0 in array.shape:
            raise DataError(f"{label} is {array.dtype} {array.shape}; accepted: {_SHAPES}".strip())
        for i, clip in enumerate(array if array.ndim == 5 else array[None]):
            yield (f"{label}#{i}" if array.ndim == 5 else label), clip


def time_first_clips(blob: Blob) -> Iterator[tuple[str, np.ndarray]]:
    """Label and (T, h, w, 3|1) uint8 frames of every clip of a time-first .npy file, such as Moving MNIST's.

    Raises DataError for another format, type or shape.
    """
    array = _npy_array(blob)
    if array.ndim == 4:
        array = array[..., None]  # (T, N, h, w, 1)
    if array.dtype != np.uint8 or array.ndim != 5 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise DataError(f"is {array.dtype} {array.shape}; accepted: {_TIME_FIRST}")
    for i in range(array.shape[1]):
        yield f"#{i}", array[:, i]


def _npy_array(blob: Blob) -> np.ndarray:
    """The array of a .npy file; memory-mapped if on disk, so that only the current clip is in memory."""
    try:
        if isinstance(blob, bytes):
            return _parse_npy(blob)
        return np.load(blob, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        # numpy's own message recommends options that no command has.
        reason = "another format, or Python objects" if "pickle" in str(error) else error
        raise DataError(f"not a plain .npy file ({reason})") from error


def _npz_arrays(blob: Blob) -> Iterator[tuple[str, np.ndarray]]:
    """(``#name``, array) of every member; the label is empty where there is only one."""
    try:
        with zipfile.ZipFile(BytesIO(blob) if isinstance(blob, bytes) else blob) as file:
            members = [member for member in file.infolist() if member.filename.endswith(".npy")]
            for member in members:
                nbytes = len(blob) if isinstance(blob, bytes) else blob.stat().st_size
                if member.file_size > max_decompressed(nbytes):
                    detail = f"decompresses to {member.file_size} bytes, from a file of {nbytes} bytes"
                    raise DataError(f"{member.filename}: {detail}; save it as a .npy file")
                with file.open(member) as content:
                    data = content.read(MAX_MEMBER + 1)
                if len(data) > MAX_MEMBER:
                    raise DataError(
                        f"{member.filename}: too large; accepted: at most {MAX_MEMBER} bytes, or a .npy file"
                    )
                yield f"#{member.filename[:-4]}" if len(members) > 1 else "", _parse_npy(data)
    except DataError:
        raise
    except ARCHIVE_ERRORS as error:
        raise DataError(f"not a plain .npz file ({error})") from error


def _parse_npy(data: bytes) -> np.ndarray:
    """A .npy file in memory, without a copy; numpy's own reader would first allocate the size in the header."""
    file: IO[bytes] = BytesIO(data)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f".npy version {version}")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("array of Python objects")
    array = np.frombuffer(data, dtype, offset=file.tell())
    return array.reshape(shape, order="F" if fortran else "C")
