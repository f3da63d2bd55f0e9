"""Two runs cannot write into the same directory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidgan.errors import RunLockedError
from vidgan.training.lock import RunLock

ROOT = str(Path(__file__).resolve().parents[2])
HOLD = """
import os, sys, time
from pathlib import Path
from vidgan.training.lock import RunLock
with RunLock(Path(sys.argv[1])):
    if len(sys.argv) == 2:
        print("held", flush=True)
    elif os.fork() == 0:  # a loader worker; it prints, so that it is running when its parent is killed
        print("held", flush=True)
        time.sleep(60)
        os._exit(0)
    sys.stdin.read()
"""


def holder(run_dir: Path, *extra: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_dir), *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with (
            pytest.raises(RunLockedError, match=rf"process {process.pid} on .+20\d\d-"),
            RunLock(tmp_path),
        ):
            pass
    finally:
        process.communicate("")
    with RunLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()
    assert (tmp_path / ".lock").read_text() == ""


def test_a_second_lock_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with RunLock(tmp_path / "new"), pytest.raises(RunLockedError, match="new"), RunLock(tmp_path / "new"):
        pass
    with RunLock(tmp_path / "new"):
        pass


def test_lock_of_a_killed_process_is_released_while_its_forked_worker_lives(tmp_path: Path) -> None:
    process = holder(tmp_path, "with-worker")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        start = time.monotonic()
        with RunLock(tmp_path):
            assert time.monotonic() - start < 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunLockedError, match="file/run"),
        RunLock(tmp_path / "file" / "run"),
    ):
        pass
