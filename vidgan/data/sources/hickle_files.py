"""Arrays and lists of strings in hickle files (telegraphic/hickle, versions 1 to 5), read with h5py.

hickle itself unpickles file contents; this module reads plain numbers and strings only. Observed structure: the object
is ``data`` (versions 1, 4, 5) or ``data_0`` (2, 3). A list of strings is one dataset of strings. In version 5 it is a
group ``data`` of datasets ``data0``, ``data1``, ..., each the bytes of one string or a reference to an equal earlier
one. Links to other files are refused.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import ModuleType
from typing import Any, Final

import numpy as np

from vidgan.data.sources.blobs import Blob
from vidgan.errors import DataError
from vidgan.files import natural_key

_ROOTS: Final = ("data", "data_0")
_MAX_BYTES: Final = 1 << 28  # of a frame, of an HDF5 chunk, of all strings
_ERRORS: Final = (OSError, KeyError, ValueError, RuntimeError, TypeError)  # raised by h5py on damaged files


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise DataError("hickle files need h5py: pip install 'vidgan[hdf5]'") from error
    return h5py


@contextmanager
def _open_object(blob: Blob) -> Iterator[Any]:
    """The dataset or group that contains the object."""
    h5py = _h5py()
    try:
        with h5py.File(BytesIO(blob) if isinstance(blob, bytes) else blob, "r") as file:
            name = next((name for name in _ROOTS if name in file), None)
            if name is None:
                raise DataError(f"not a hickle file: no object {' or '.join(_ROOTS)}")
            yield _local_member(h5py, file, name)
    except DataError:
        raise
    except _ERRORS as error:
        raise DataError(f"not a readable hickle file ({type(error).__name__}: {error})") from error


def _local_member(h5py: ModuleType, group: Any, name: str) -> Any:
    """The member `name`, if it is stored in this file; HDF5 members can also refer to other files."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DataError(f"{name} is a link; links are not followed")
    member = group[name]
    if isinstance(member, h5py.Dataset):
        if member.external or member.is_virtual:
            raise DataError(f"{name} is stored in another file, which is not opened")
        if math.prod(member.chunks or ()) * member.dtype.itemsize > _MAX_BYTES:
            raise DataError(f"{name} has chunks of {member.chunks}; accepted: chunks of at most {_MAX_BYTES} bytes")
    return member


@contextmanager
def hickle_frames(blob: Blob) -> Iterator[Any]:
    """The open dataset of uint8 (N, H, W, 3) frames, to be read by slices. Raises DataError."""
    with _open_object(blob) as data:
        shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
        if dtype != np.uint8 or shape is None or len(shape) != 4 or shape[-1] != 3 or 0 in shape:
            raise DataError(f"object is {dtype} {shape}; expected frames, uint8 (N, H, W, 3)")
        if math.prod(shape[1:]) > _MAX_BYTES:
            raise DataError(f"frames of {shape[2]}x{shape[1]} pixels; accepted: at most {_MAX_BYTES} bytes each")
        yield data


def hickle_strings(blob: Blob) -> list[str]:
    """A list of strings. Raises DataError."""
    h5py = _h5py()
    with _open_object(blob) as data:
        if isinstance(data, h5py.Dataset):
            return [_text(item) for item in np.asarray(_bounded(data)[()]).ravel()]
        texts: list[str] = []
        for name in sorted(data, key=natural_key):
            value = _bounded(_local_member(h5py, data, name))[()]
            if isinstance(value, h5py.Reference):
                value = _bounded(data.file[value])[()]
            texts.append(_text(value))
        return texts


def _bounded(data: Any) -> Any:
    """The dataset, if its size in the header is within the bound."""
    if data.nbytes > _MAX_BYTES:
        raise DataError(f"{data.name} has {data.nbytes} bytes; accepted for strings: at most {_MAX_BYTES}")
    return data


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    array = np.asarray(value)
    if array.dtype.kind in "SO" and all(isinstance(part, bytes) for part in array.ravel().tolist()):
        return b"".join(array.ravel().tolist()).decode("utf-8", "replace")
    raise DataError(f"item is {array.dtype}; expected a string")
