"""`FrameStore`: the frames of each clip in one .npy file, read by rows.

Rows are read with plain reads instead of a memory map: if a mapped file is truncated, access kills the process.
"""

import math
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.index import ClipEntry, Index, clip_path, flow_path
from vidgan.errors import DataError
from vidgan.files import atomic_file, explain_full_disk

HEADER_BYTES: Final = 4096
"""Bytes read to parse a .npy header; the header of a clip has 128."""


@dataclass(frozen=True)
class NpyArray:
    """A C-ordered array in a file.

    Attributes:
        shape, dtype: of the array.
        offset: position of its first row in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int

    def read(self, handle: int, rows: Sequence[int]) -> np.ndarray:
        """Rows of the first axis, (len(rows), ...), from a file descriptor; a range is one read.

        Raises EOFError when the file is too short, OSError when it cannot be read.
        """
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if out.nbytes == 0:
            return out
        memory, step = memoryview(out.reshape(-1).view(np.uint8).data), out[0].nbytes
        if isinstance(rows, range) and rows.step == 1:
            parts = [(memory, rows.start)]
        else:
            parts = [(memory[i * step : (i + 1) * step], row) for i, row in enumerate(rows)]
        for part, row in parts:
            done = 0
            while done < len(part):  # one call reads at most 2 GiB
                count = os.preadv(handle, [part[done:]], self.offset + row * step + done)
                if count == 0:
                    raise EOFError("the file is too short")
                done += count
        return out


def parse_header(start: bytes, offset: int = 0) -> NpyArray:
    """The array of a .npy file that begins with the bytes `start`, located at `offset`. Raises ValueError."""
    file = BytesIO(start)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f".npy version {version}")
    try:
        shape, fortran, dtype = readers[version](file)
    except RecursionError as error:
        raise ValueError("header nested too deeply") from error
    if dtype.hasobject or fortran:
        raise ValueError("array of Python objects" if dtype.hasobject else "array in Fortran order")
    return NpyArray(shape, dtype, offset + file.tell())


def save_array(path: Path, array: np.ndarray) -> int:
    """Write a .npy file atomically. Returns its size in bytes."""
    with explain_full_disk(path, array.nbytes), atomic_file(path) as file:
        np.save(file, array, allow_pickle=False)
    return path.stat().st_size


class ArrayWriter:
    """Writes a C-ordered .npy file row by row, atomically; the same bytes as `save_array`. A context manager."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type) -> None:
        self._path, self._shape, self._dtype = path, shape, np.dtype(dtype)
        self._resources = ExitStack()

    def __enter__(self) -> "ArrayWriter":
        nbytes = math.prod(self._shape) * self._dtype.itemsize
        self._resources.enter_context(explain_full_disk(self._path, nbytes))
        self._file = self._resources.enter_context(atomic_file(self._path))
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, value, trace)

    def write(self, rows: np.ndarray) -> None:
        """Append one or more rows."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)


class FrameStore(ClipStore):
    """Frames in ``clips/<id>.npy``, flow in ``flow/<id>.npy``. Only requested frames are read; no file stays open."""

    def __init__(self, root: Path, index: Index) -> None:
        super().__init__(root, index)
        # path -> size, modification time and array; parsing a header takes longer than reading an item
        self._headers: dict[str, tuple[int, int, NpyArray]] = {}

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        for entry in entries:
            for path in (clip_path(self.root, entry), *([flow_path(self.root, entry)] if flow else [])):
                try:
                    status = path.stat()
                except OSError as error:
                    raise DataError(
                        f"{path}: missing, although the index lists it ({error.strerror}); run `vidgan prepare` again"
                    ) from error
                if not stat.S_ISREG(status.st_mode):
                    raise DataError(f"{path}: not a regular file; run `vidgan prepare` again")
                least = max(1, entry.frames - 1) * 4 if path.parent.name == "flow" else entry.frames * 3
                if status.st_size < least * self.size[0] * self.size[1] and entry.frames > 1:
                    raise DataError(
                        f"{path}: {status.st_size} bytes are too few for the {entry.frames} frames in the index; run "
                        "`vidgan prepare` again"
                    )

    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """See `ClipStore`."""
        return self._rows(str(clip_path(self.root, entry)), self._frames_shape(entry), np.dtype(np.uint8), indices)

    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """See `ClipStore`."""
        path, dtype = str(flow_path(self.root, entry)), np.dtype(np.float16)
        return self._rows(path, self._flow_shape(entry), dtype, range(start, start + count)).astype(np.float32)

    def _rows(self, path: str, shape: tuple[int, ...], dtype: np.dtype, rows: Sequence[int]) -> np.ndarray:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would block
            try:
                return self._array(path, handle, shape, dtype).read(handle, rows)
            finally:
                os.close(handle)
        except (ValueError, OSError, EOFError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: cannot be read ({error}); run `vidgan prepare` again") from error

    def _array(self, path: str, handle: int, shape: tuple[int, ...], dtype: np.dtype) -> NpyArray:
        """Location of the array, compared with the index once per version of the file."""
        status = os.fstat(handle)
        size, mtime_ns, array = self._headers.get(path, (None, None, None))
        if array is None or (size, mtime_ns) != (status.st_size, status.st_mtime_ns):
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path}: not a regular file; run `vidgan prepare` again")
            array = parse_header(os.pread(handle, HEADER_BYTES, 0))
            if array.shape != shape or array.dtype != dtype:
                actual = f"{array.dtype} {array.shape}"
                raise DataError(
                    f"{path}: array is {actual}, expected {dtype} {shape} as in the index; run `vidgan prepare` again"
                )
            self._headers[path] = status.st_size, status.st_mtime_ns, array
        return array
