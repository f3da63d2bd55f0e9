"""How a process that a launcher started differs from one that was started by hand. No heavy imports here."""

import json
import os
import signal
import threading
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPORTS = "VIDGAN_REPORTS"  # folder in which the processes of one attempt leave their errors for `vidgan train`


class Report(NamedTuple):
    """How one process failed.

    Attributes:
        rank: which process.
        told: the message, as one process alone would print it.
        code: its exit code.
        again: whether another attempt may succeed.
    """

    rank: int
    told: str
    code: int
    again: bool


def launched() -> int | None:
    """How many processes a launcher (torchrun, accelerate launch) started, None when none did."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return None


@cache
def stop_with_the_launcher() -> None:
    """Where a launcher started this process and is gone, stop as by SIGTERM: nobody else would ever stop it."""
    if launched() is None and REPORTS not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def leave_report(told: str, code: int, *, again: bool, killed: int | None = None) -> bool:
    """Leave an error for `vidgan train --processes`, which prints the first one alone; False if that did not start us.

    The processes that lose their connection to the first one that fails are then not heard.

    Args:
        killed: the process that this is about, if it can no longer speak; it comes before all that lost it.
    """
    folder = os.environ.get(REPORTS)
    if folder is None:
        return False
    rank = int(os.environ.get("RANK", "0")) if killed is None else killed
    report = Report(rank, told, code, again)
    temporary = Path(folder) / f".{os.getpid()}"
    temporary.write_text(json.dumps(report))
    moment = time.time_ns() if killed is None else 0
    temporary.rename(Path(folder) / f"{moment:020d}-{rank}.json")
    return True


def first_report(folder: Path) -> Report | None:
    """The earliest error that was left."""
    paths = sorted(folder.glob("*.json"))
    return Report(*json.loads(paths[0].read_text())) if paths else None
