"""Functions that tests run in the worker processes of `prepare`.

A separate module without torch, since worker processes import it.
"""

import ctypes
import gc
import os
import time
from pathlib import Path

from vidgan.data.preparing import worker_processes
from vidgan.data.preparing.cutting import CutSource, read_and_cut
from vidgan.data.preparing.reading import ReadTask


def read_and_log(task: ReadTask) -> CutSource:
    """As `read_and_cut`, and append the name of the source to ``reads.log`` beside the source folder."""
    with (task.plan.root.parent / "reads.log").open("a") as file:
        file.write(task.source.name + "\n")
    return read_and_cut(task)


def fail_with_full_disk(task: ReadTask) -> CutSource:
    """Fail as on a full disk."""
    raise OSError(28, "No space left on device")


def misbehave_by_name(task: ReadTask) -> CutSource:
    """As `read_and_cut`, but sources of some names hang, crash or take long, as in a decoder."""
    stem = Path(task.source.name).stem
    if stem == "hang":
        ctypes.CDLL(None).sleep(3600)  # blocked in C, out of reach of Python
    if stem == "crash":
        ctypes.string_at(0)  # a segmentation fault
    if stem == "slow":
        for _ in range(4):
            time.sleep(0.4)
            worker_processes.still_alive()
    return read_and_cut(task)


def open_files_and_memory(paths: list[Path]) -> list[tuple[int, float]]:
    """Read all `paths`; after each tenth of them: number of open descriptors, and resident memory in KiB."""
    from vidgan.video.decode import read_video

    measurements = []
    for i, path in enumerate(paths):
        read_video(path, size=(16, 16), fps=5)
        if (i + 1) % (len(paths) // 10) == 0:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            measurements.append((len(list(Path("/proc/self/fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE") / 1024))
    return measurements
