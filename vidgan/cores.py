"""Compute with as many threads as there are free cores.

torch's CPU kernels divide their work evenly over the threads and wait for the slowest. If another program takes one of
n cores, n threads run at the speed of the thread that shares its core: on two cores, training and forecasting fall to a
third, and one thread is nearly twice as fast as two. `adapt_threads` keeps the number of threads at the number of free
cores. Training calls it between two steps, `sample` and `predict` at every call.

Linux counts how long each thread was ready to run but had to wait for a core (`/proc/self/task/*/schedstat`), and how
long each core was idle (`/proc/stat`). Waiting lowers the number of threads, idle cores raise it. A measurement takes
less than a millisecond and happens at most four times per second.

The number of threads stays as it is where `OMP_NUM_THREADS` is set (the launcher sets it for each of several processes)
and on systems without these counters. Results of a CPU can differ in the last bits between numbers of threads, so an
exactly repeatable run needs `OMP_NUM_THREADS`.

torch is imported where it is used, because the command line measures while torch is being imported.
"""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ThreadControl", "Usage", "adapt_threads", "adapted_threads", "read_usage", "usable_cores", "watch_start"]

PERIOD = 0.25  # seconds between two measurements
LOST = 0.12  # cores that threads waited for, from which on the machine counts as busy; below it is noise
IDLE = 0.8  # share of a core that has to be idle before it is used
PATIENCE = 1.5, 60.0  # seconds that a core has to be idle: at first, and at most after attempts that failed


@dataclass(frozen=True)
class Usage:
    """Cumulative counters, in seconds.

    Attributes:
        time: of a clock.
        waited: time that threads of this process were ready but waited for a core, summed over threads.
        ran: time that threads of this process ran.
        idle: time that the usable cores were idle, summed over cores.
    """

    time: float
    waited: float
    ran: float
    idle: float


def usable_cores() -> int:
    """Number of cores that this process may use: its CPU affinity, and the CPU quota of its control group."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota())))


def _quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float:
    """CPU quota in cores of this process's control group (v2) and the groups above it; infinite without one."""
    limit = math.inf
    try:
        entry = next(line for line in membership.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return limit
    group = root / entry.removeprefix("0::").strip().lstrip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            break
        try:
            quota, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):  # the root has no such file
            continue
        if quota != "max":
            limit = min(limit, int(quota) / int(period))
    return limit


def read_usage() -> Usage:
    """Read the counters of this process and its cores.

    Raises:
        OSError, ValueError, IndexError: the system has no such counters.
    """
    ran = waited = 0
    for task in os.scandir("/proc/self/task"):
        try:
            fields = Path(task.path, "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            continue
        ran, waited = ran + int(fields[0]), waited + int(fields[1])
    cores = os.sched_getaffinity(0)
    idle = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            idle += int(values[3]) + int(values[4])  # idle, and idle while a disk is busy
    return Usage(time.monotonic(), waited / 1e9, ran / 1e9, idle / os.sysconf("SC_CLK_TCK"))


class ThreadControl:
    """Decides the number of threads from a series of measurements.

    Args:
        limit: largest number of threads.
        first: measurement at the start.

    Attributes:
        count: the number of threads to use now.
    """

    def __init__(self, limit: int, first: Usage) -> None:
        self.limit = self.count = limit
        self._last = first
        self._suspected = False  # the previous measurement looked busy
        self._idle_since: float | None = None
        self._patience = PATIENCE[0]
        self._raised = -math.inf  # time of the last raise

    def begin(self, usage: Usage) -> int:
        """Take the measurement of the first use and return `count`: the cores that other programs left free."""
        seconds = usage.time - self._last.time
        if seconds >= PERIOD:
            others = self.limit - (usage.idle - self._last.idle + usage.ran - self._last.ran) / seconds
            self.count = max(1, self.limit - max(0, round(others)))
        self._last = usage
        return self.count

    def is_due(self, now: float) -> bool:
        """Whether enough time has passed for another measurement."""
        return now - self._last.time >= PERIOD

    def add(self, usage: Usage) -> int:
        """Take a measurement and return the new `count`."""
        seconds = usage.time - self._last.time
        waited, ran, idle = (
            (now - before) / seconds
            for now, before in (
                (usage.waited, self._last.waited),
                (usage.ran, self._last.ran),
                (usage.idle, self._last.idle),
            )
        )
        self._last = usage
        if waited >= LOST:
            self._idle_since = None
            # A short burst of another program is not worth a change, unless it took more than half a core.
            if (self._suspected or waited > 0.5) and self.count > 1:
                self.count = max(1, self.count - max(1, round(waited)))
                self._suspected = False
                if usage.time - self._raised < 10:  # the idle core was not ours to take
                    self._patience = min(PATIENCE[1], 2 * self._patience)
            else:
                self._suspected = True
            return self.count
        self._suspected = False
        free = idle - max(0.0, self.count - ran)  # beyond the cores that our own threads left idle
        if self.count == self.limit or free < IDLE:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = usage.time - seconds
        if self._idle_since is not None and usage.time - self._idle_since >= self._patience:
            self.count = min(self.limit, self.count + max(1, math.floor(free + 1 - IDLE)))
            self._idle_since, self._raised = None, usage.time
        return self.count


class _Process:
    """The control of this process: made by the first call, None where the number of threads is fixed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: ThreadControl | None = None
        self._is_known = self._has_begun = False

    def _find(self) -> ThreadControl | None:
        if not self._is_known:
            self._is_known = True
            cores = usable_cores()
            if cores > 1 and not os.environ.get("OMP_NUM_THREADS"):
                with suppress(OSError, ValueError, IndexError, AttributeError):  # a system without these counters
                    self._control = ThreadControl(cores, read_usage())
        return self._control

    def watch(self) -> None:
        """Take the first measurement."""
        with self._lock:
            self._find()

    def count(self) -> int | None:
        """The number of threads to use now; None: as many as torch uses."""
        with self._lock:
            control = self._find()
            if control is None:
                return None
            if not self._has_begun:
                self._has_begun = True
                return control.begin(read_usage())
            if control.is_due(time.monotonic()):
                return control.add(read_usage())
            return control.count


_process = _Process()


def watch_start() -> None:
    """Start to measure. What other programs use while a command imports torch sets its first number of threads."""
    _process.watch()


def adapt_threads(ceiling: int | None = None) -> int:
    """Set torch's number of threads, for the calling thread, to the number of free cores.

    Args:
        ceiling: largest number of threads; default: all usable cores.

    Returns:
        The number of threads that torch uses now.
    """
    import torch

    before = torch.get_num_threads()
    count = _process.count()
    if count is None:
        return before
    if ceiling is not None:
        count = min(count, ceiling)
    if count != before:
        torch.set_num_threads(count)
    return count


@contextmanager
def adapted_threads() -> Iterator[int]:
    """Inside, `adapt_threads` with the caller's number of threads as ceiling, which is yielded; after, that number."""
    import torch

    before = torch.get_num_threads()
    adapt_threads(ceiling=before)
    try:
        yield before
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
