"""Rows of .npy arrays, read in place: from a file of their own or from the middle of a larger one.

Plain reads rather than a memory map: a file that is cut short while it is mapped kills the process that touches it.
"""

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Final, NamedTuple

import numpy as np

HEADER_BYTES: Final = 4096
"""What is read to find the header; that of a clip takes 128 bytes."""


class NpyArray(NamedTuple):
    """A C-ordered array in a file; `offset` is where its first row begins."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int

    def read(self, handle: int, rows: Sequence[int]) -> np.ndarray:
        """Rows of the first axis, (len(rows), ...), from a file descriptor; neighbours come in one read.

        Raises EOFError when the file is too short for them, OSError when it cannot be read.
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
            while done < len(part):  # one call reads 2 GiB at most
                count = os.preadv(handle, [part[done:]], self.offset + row * step + done)
                if count == 0:
                    raise EOFError("the file is too short")
                done += count
        return out


def parse_header(start: bytes, offset: int = 0) -> NpyArray:
    """The array whose .npy file begins with the bytes `start`, which lie at `offset`. Raises ValueError."""
    file = BytesIO(start)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f".npy version {version}")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject or fortran:
        raise ValueError("holds Python objects" if dtype.hasobject else "is in Fortran order")
    return NpyArray(shape, dtype, offset + file.tell())
