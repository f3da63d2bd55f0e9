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


def test_a_refused_start_leaves_no_lock_file_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    for name in ("new/run", "mine"):
        with pytest.raises(ValueError, match="refused"), RunLock(tmp_path / name, marker="config.yaml"):
            raise ValueError("refused")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]
    with RunLock(tmp_path / "run", marker="config.yaml"):
        (tmp_path / "run" / "config.yaml").write_text("")
    with RunLock(tmp_path / "run", marker="config.yaml"):
        pass
    assert (tmp_path / "run" / ".lock").is_file()


def test_the_lock_of_a_removed_file_protects_nothing(tmp_path: Path) -> None:
    """A start that opened the lock file before a refused start removed it locks the new one."""
    first = RunLock(tmp_path)
    first.__enter__()
    (tmp_path / ".lock").unlink()
    with RunLock(tmp_path) as second, pytest.raises(RunLockedError), RunLock(tmp_path):
        assert second._is_current(second._descriptor or 0)
    first.__exit__(None, None, None)
