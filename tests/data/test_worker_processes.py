"""Worker processes: a job that crashes, hangs or exhausts its process costs only itself."""

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
from vidgan.data.preparing.worker_processes import run_jobs

LIMITS: dict[str, Any] = {"time_limit": 60.0, "memory_limit": 4 << 30}


def square_or_die(number: int) -> int:
    if number == 13:
        os._exit(9)
    if number == 11:
        time.sleep(60)
    return number * number


def died(number: int, reason: str) -> str:
    return f"{number} {reason}"


def process_id(number: int) -> int:
    return os.getpid()


def work_slowly(number: int) -> int:
    """Exceed the time limit in total, with calls of `still_alive`."""
    for _ in range(number):
        time.sleep(0.2)
        worker_processes.still_alive()
    return number


def spin(number: int) -> int:
    """Never return to Python code, as in a decoder that hangs, so that a Python signal handler could not run."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return sum(range(10**12))


def fill(size: int) -> str:
    try:
        return str(len(bytes(size)))
    except MemoryError:
        return "refused"


def make_temporary_folder_and_die(report: Path) -> None:
    report.write_text(tempfile.mkdtemp(prefix="vidgan-temporary-0-"))
    os._exit(9)


def soft_core_limit(number: int) -> int:
    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def full_disk(number: int) -> int:
    raise OSError(28, "No space left on device")


def test_jobs_are_consumed_as_processes_become_free() -> None:
    consumed: list[int] = []

    def jobs() -> Iterator[int]:
        for i in range(6):
            consumed.append(i)
            yield i

    results = run_jobs(square_or_die, jobs(), workers=1, crashed=died, **LIMITS)
    assert next(results) == 0
    assert consumed == [0]
    assert list(results) == [1, 4, 9, 16, 25]


def test_a_crashing_job_is_reported_and_all_others_finish() -> None:
    results = list(run_jobs(square_or_die, [1, 13, 3, 13, 5], workers=2, crashed=died, **LIMITS))
    assert sorted(map(str, results)) == ["1", "13 worker-died", "13 worker-died", "25", "9"]


def test_a_hanging_job_is_ended_by_its_time_limit() -> None:
    limits = LIMITS | {"time_limit": 0.5}
    started = time.monotonic()
    results = list(run_jobs(square_or_die, [11, 2], workers=1, crashed=died, **limits))
    assert results == ["11 timed-out", 4]
    assert list(run_jobs(spin, [1], workers=1, crashed=died, **limits)) == ["1 timed-out"]
    assert time.monotonic() - started < 20
    assert list(run_jobs(work_slowly, [4], workers=1, crashed=died, **limits)) == [4]


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is bounded on Linux only")
def test_memory_is_bounded_and_the_bound_can_be_raised_again() -> None:
    limits = LIMITS | {"memory_limit": 1 << 30}
    assert list(run_jobs(fill, [3 << 29, 10], workers=1, crashed=died, **limits)) == ["refused", "10"]
    assert list(run_jobs(fill, [3 << 29], workers=1, crashed=died, **LIMITS)) == [str(3 << 29)]
    assert list(run_jobs(soft_core_limit, [1], workers=1, crashed=died, **LIMITS)) == [0]


def test_exceptions_of_a_job_are_raised_and_its_process_is_reused() -> None:
    (first,) = run_jobs(process_id, [1], workers=1, crashed=died, **LIMITS)
    with pytest.raises(OSError, match="No space left"):
        list(run_jobs(full_disk, [1], workers=1, crashed=died, **LIMITS))
    assert list(run_jobs(process_id, [1, 2], workers=1, crashed=died, **LIMITS)) == [first, first]
    assert first != os.getpid()


def test_a_process_that_ended_as_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = run_jobs(process_id, [1], workers=1, crashed=died, **LIMITS)
    (worker,) = worker_processes._idle
    monkeypatch.setattr(worker.process, "poll", lambda: None)  # it ends just after the check
    worker.connection.send("not a job")  # any error outside a job ends it, here with an exit code other than 0
    worker.process.wait()
    monkeypatch.setattr(worker, "wait_for_exit", lambda: 0)
    (second,) = run_jobs(process_id, [1], workers=1, crashed=died, **LIMITS)
    assert second != first


def test_no_jobs() -> None:
    assert list(run_jobs(square_or_die, [], workers=2, crashed=died, **LIMITS)) == []


def test_a_script_needs_no_main_guard_and_leaves_no_process(tmp_path: Path) -> None:
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


def test_temporary_files_are_removed_with_their_process(tmp_path: Path) -> None:
    report = tmp_path / "report"
    results = run_jobs(make_temporary_folder_and_die, [report], workers=1, **LIMITS, crashed=lambda job, reason: reason)
    assert list(results) == ["worker-died"]
    assert report.read_text() and not Path(report.read_text()).exists()
