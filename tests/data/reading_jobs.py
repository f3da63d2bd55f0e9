"""What tests let the reading processes of `prepare` do in place of, or besides, reading.

A module of its own without torch, as those processes import it.
"""

import ctypes
import gc
import os
import time
from pathlib import Path

from vidgan.data.preparing.reading import ReadTask

from vidgan.data.preparing import worker_processes
from vidgan.data.preparing.cutting import CutSource, read_and_cut


def logged_work(task: Task) -> Outcome:
    """As `work`, with the names of the sources in a file beside the source."""
    with (task.plan.root.parent / "reads.log").open("a") as file:
        file.write(task.source.name + "\n")
    return work(task)


def work_on_a_full_disk(task: Task) -> Outcome:
    """No space left."""
    raise OSError(28, "No space left on device")


def hostile_work(task: Task) -> Outcome:
    """As `work`, but some names do what a decoder may do."""
    stem = Path(task.source.name).stem
    if stem == "hang":
        ctypes.CDLL(None).sleep(3600)  # blocked in C, out of reach of Python
    if stem == "crash":
        ctypes.string_at(0)  # a segmentation fault
    if stem == "slow":
        for _ in range(4):
            time.sleep(0.4)
            worker_processes.still_alive()
    return work(task)


def open_files_and_memory(paths: list[Path]) -> list[tuple[int, float]]:
    """After every tenth part of `paths` is read: open descriptors, and resident memory in KiB."""
    from vidgan.video.decode import read_video

    found = []
    for i, path in enumerate(paths):
        read_video(path, size=(16, 16), fps=5)
        if (i + 1) % (len(paths) // 10) == 0:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            found.append((len(list(Path("/proc/self/fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE") / 1024))
    return found
