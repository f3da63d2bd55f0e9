"""Reading processes: a job that kills, hangs or overfills its process costs itself alone."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vidgan.data.preparing import worker_processes
from vidgan.data.preparing import worker_processes
from vidgan.data.preparing.worker_processes import run_jobs

LIMITS: dict[str, Any] = {"time_limit": 60.0, "memory_limit": 4 << 30}


def square_or_die(number: int) -> int:
    if number == 13:
        os._exit(9)
    if number == 11:
        time.sleep(60)
    return number * number


def died(number: int, why: str) -> str:
    return f"{number} {why}"


def process_id(number: int) -> int:
    return os.getpid()


def beat(number: int) -> int:
    """Works for longer than the limit, but says so on the way."""
    for _ in range(number):
        time.sleep(0.2)
        worker_processes.still_alive()
    return number


def spin(number: int) -> int:
    """Blocks the alarm's Python handler, if there were one, as a decoder does that never comes back from C."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return sum(range(10**12))


def fill(size: int) -> str:
    try:
        return str(len(bytes(size)))
    except MemoryError:
        return "refused"


def spool_and_die(told: Path) -> None:
    told.write_text(tempfile.mkdtemp(prefix="vidgan-"))
    os._exit(9)


def soft_core_limit(number: int) -> int:
    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def full_disk(number: int) -> int:
    raise OSError(28, "No space left on device")


def test_jobs_are_drawn_as_processes_become_free() -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[int]:
        for i in range(6):
            drawn.append(i)
            yield i

    results = run_jobs(square_or_die, jobs(), workers=1, crashed=died, **LIMITS)
    assert next(results) == 0
    assert drawn == [0]
    assert list(results) == [1, 4, 9, 16, 25]


def test_a_deadly_job_is_reported_and_all_others_are_done() -> None:
    results = list(run_jobs(square_or_die, [1, 13, 3, 13, 5], workers=2, crashed=died, **LIMITS))
    assert sorted(map(str, results)) == ["1", "13 worker-died", "13 worker-died", "25", "9"]


def test_a_hanging_job_is_ended_by_its_time_limit() -> None:
    limits = LIMITS | {"time_limit": 0.5}
    started = time.monotonic()
    results = list(run_jobs(square_or_die, [11, 2], workers=1, crashed=died, **limits))
    assert results == ["11 timed-out", 4]
    assert list(run_jobs(spin, [1], workers=1, crashed=died, **limits)) == ["1 timed-out"]
    assert time.monotonic() - started < 20
    assert list(run_jobs(beat, [4], workers=1, crashed=died, **limits)) == [4]


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is bounded on Linux only")
def test_memory_is_bounded_and_can_be_raised_again() -> None:
    limits = LIMITS | {"memory_limit": 1 << 30}
    assert list(run_jobs(fill, [3 << 29, 10], workers=1, crashed=died, **limits)) == ["refused", "10"]
    assert list(run_jobs(fill, [3 << 29], workers=1, crashed=died, **LIMITS)) == [str(3 << 29)]
    assert list(run_jobs(soft_core_limit, [1], workers=1, crashed=died, **LIMITS)) == [0]


def test_what_a_job_raises_is_raised_here_and_a_process_is_used_again() -> None:
    (first,) = run_jobs(process_id, [1], workers=1, crashed=died, **LIMITS)
    with pytest.raises(OSError, match="No space left"):
        list(run_jobs(full_disk, [1], workers=1, crashed=died, **LIMITS))
    assert list(run_jobs(process_id, [1, 2], workers=1, crashed=died, **LIMITS)) == [first, first]
    assert first != os.getpid()


def test_a_process_that_went_to_rest_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = run_jobs(process_id, [1], workers=1, crashed=died, **LIMITS)
    (worker,) = worker_processes._idle
    monkeypatch.setattr(worker.process, "poll", lambda: None)  # it ends just after it was looked at
    worker.connection.send("not a job")  # any fault outside a job ends it; here with a code that is not 0
    worker.process.wait()
    monkeypatch.setattr(worker, "wait_for_exit", lambda: 0)
    (second,) = run_jobs(process_id, [1], workers=1, crashed=died, **LIMITS)
    assert second != first


def test_no_jobs() -> None:
    assert list(run_jobs(square_or_die, [], workers=2, crashed=died, **LIMITS)) == []


def test_a_script_needs_no_guard_and_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from vidgan.data.preparing.worker_processes import run_jobs\n"
        "print('main')\n"
        "print(*run_jobs(str, [1, 2], workers=2, time_limit=60, memory_limit=1 << 32, crashed=None))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() in (["main", "1", "2"], ["main", "2", "1"])


def test_temporary_files_go_with_their_process(tmp_path: Path) -> None:
    told = tmp_path / "told"
    assert list(run_jobs(spool_and_die, [told], workers=1, **LIMITS, crashed=lambda job, why: why)) == ["worker-died"]
    assert told.read_text() and not Path(told.read_text()).exists()
