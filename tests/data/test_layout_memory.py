"""Memory and open files do not grow with the number of files."""

import gc
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise, npy_bytes, png_bytes_of, write_tar
from layoutfiles import found, put, put_avi, read

OPEN_FILES = Path("/proc/self/fd")


def peak_of(work: Callable[[], object]) -> int:
    """Maximum bytes of Python objects and arrays while `work` runs."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_listing_needs_little_memory_per_file_and_leaves_no_file_open(tmp_path: Path) -> None:
    for i in range(600):
        put(tmp_path / ("few" if i < 100 else "many") / f"c{i % 10}" / f"v_Walk{i}_g{i % 25:02d}_c01.avi", b"")
    before = len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0
    # The garbage collector may run late once, so take the smaller of two measurements.
    few = min(peak_of(lambda: found(tmp_path / "few")) for _ in range(2))
    many = min(peak_of(lambda: found(tmp_path / "many")) for _ in range(2))
    assert (many - few) / 400 < 3000  # bytes per file: 10,000 files need less than 30 MB
    if before:
        assert len(list(OPEN_FILES.iterdir())) <= before + 1


def test_reading_many_files_needs_no_more_memory_than_reading_one(tmp_path: Path) -> None:
    put_avi(tmp_path / "v.avi", [30, 60, 90, 120], size=(48, 64))
    np.save(tmp_path / "a.npy", noise(0, 20))
    write_tar(tmp_path / "t.tar", {f"{i}.npy": npy_bytes(noise(i, 20)) for i in range(20)}, "w")
    sources = list(found(tmp_path).values())
    assert len(sources) == 22

    def read_all(times: int) -> None:
        for _ in range(times):
            for source in sources:
                read(tmp_path, source, size=(16, 16))

    read_all(1)  # allocates what is kept permanently, such as the decoder's tables
    before = len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0
    once, often = peak_of(lambda: read_all(1)), peak_of(lambda: read_all(4))
    assert often - once < 100_000  # over 66 more files
    if before:
        assert len(list(OPEN_FILES.iterdir())) <= before


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_frames_in_an_archive_are_not_all_in_memory_at_once(tmp_path: Path, kind: str) -> None:
    frames = noise(0, 1, 128, 128)[0]
    members = {f"drive/{i:04d}.png": png_bytes_of(frames) for i in range(60)}
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
    else:
        write_tar(tmp_path / "d.tar", members, "w")
    (source,) = found(tmp_path).values()
    read(tmp_path, source, size=(8, 8))
    total = sum(map(len, members.values()))
    assert peak_of(lambda: read(tmp_path, source, size=(8, 8))) < total / 5
