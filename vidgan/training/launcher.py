"""What a process shares with the launcher that started it: its existence and its failures. No heavy imports here."""

import json
import os
import signal
import threading
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPORTS = "VIDGAN_REPORTS"  # variable with the folder where the processes of one attempt write their failures


class FailureReport(NamedTuple):
    """How one process failed.

    Attributes:
        rank: the process.
        message: the error as a single process would print it.
        code: exit code.
        can_retry: whether another attempt may succeed.
    """

    rank: int
    message: str
    code: int
    can_retry: bool


def num_launched() -> int | None:
    """Number of processes that a launcher (torchrun, accelerate launch) started; None without a launcher."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return None


@cache
def exit_with_launcher() -> None:
    """Send this process SIGTERM when its launcher is gone, because nothing else would stop it then."""
    if num_launched() is None and REPORTS not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def report_failure(message: str, code: int, *, can_retry: bool, killed_rank: int | None = None) -> bool:
    """Write a failure for `vidgan train --processes`, which prints only the first one.

    The first failure is the cause; the other processes then merely lose their connection to that one.

    Args:
        message: the error as a single process would print it.
        code: exit code.
        can_retry: whether another attempt may succeed.
        killed_rank: the process that failed, when it was killed and cannot report for itself. Such a report precedes
            all others.

    Returns:
        False if `vidgan train` did not start this process; nothing is written then.
    """
    folder = os.environ.get(REPORTS)
    if folder is None:
        return False
    rank = int(os.environ.get("RANK", "0")) if killed_rank is None else killed_rank
    report = FailureReport(rank, message, code, can_retry)
    temporary = Path(folder) / f".{os.getpid()}"
    temporary.write_text(json.dumps(report))
    moment = time.time_ns() if killed_rank is None else 0
    temporary.rename(Path(folder) / f"{moment:020d}-{rank}.json")
    return True


def first_failure(folder: Path) -> FailureReport | None:
    """Read the earliest failure that was reported, None if there is none."""
    paths = sorted(folder.glob("*.json"))
    return FailureReport(*json.loads(paths[0].read_text())) if paths else None
