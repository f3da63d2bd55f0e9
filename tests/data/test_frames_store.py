"""Rows of .npy arrays, read in place."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from vidgan.data.store.frames import parse_header


@pytest.mark.parametrize("before", [0, 700])
@pytest.mark.parametrize("rows", [range(2, 5), range(1, 7, 2), [6, 0, 0, 3], [], range(0)])
def test_rows_equal_those_of_the_array(tmp_path: Path, before: int, rows: list[int]) -> None:
    array = np.random.default_rng(0).normal(size=(7, 3, 2)).astype(np.float16)
    file = BytesIO()
    np.save(file, array)
    path = tmp_path / "x"
    path.write_bytes(bytes(before) + file.getvalue() + b"after")
    header = parse_header(file.getvalue()[:200], before)
    assert (header.shape, header.dtype, header.offset) == ((7, 3, 2), np.float16, before + 128)
    handle = os.open(path, os.O_RDONLY)
    try:
        np.testing.assert_array_equal(header.read(handle, rows), array[np.asarray(rows, int)])
        os.truncate(path, before + 128 + 6 * 12)
        with pytest.raises(EOFError, match="too short"):
            header.read(handle, [6])
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("array", "message"),
    [(np.asfortranarray(np.ones((3, 4))), "Fortran order"), (np.array([None]), "Python objects")],
)
def test_other_arrays_are_refused(array: np.ndarray, message: str) -> None:
    file = BytesIO()
    np.save(file, array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        parse_header(file.getvalue())
    with pytest.raises(ValueError, match="magic"):
        parse_header(b"garbage")
