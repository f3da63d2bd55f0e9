"""Progress through files, clips or steps: a bar with rate and remaining time on a terminal, plain lines elsewhere."""

import sys
import time
from collections import deque
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vidgan.files import escape_controls

PLAIN_SECONDS: Final = 15.0
"""Minimum seconds between two plain lines."""

WINDOW_SECONDS: Final = 120.0
"""The rate is that of the last two minutes: finished files of an earlier run arrive at once, and listing takes time."""

MIN_SECONDS, MIN_FILES = 10.0, 3
"""No remaining time is shown before this much has been observed."""


class PrepareProgress:
    """Context manager around a preparation; pass `show` as its `progress`.

    Args:
        console: where the bar is drawn.
        unit: what is counted.
        waiting: what happens before the number is known.
    """

    def __init__(self, console: Console, *, unit: str = "files", waiting: str = "listing the source") -> None:
        self._bar: Progress | None = None
        self._unit, self._waiting = unit, waiting
        if console.is_terminal:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} left", markup=False),
                TimeRemainingColumn(),
            )
            self._bar = Progress(TextColumn("{task.description}", markup=False), *columns, console=console)
        self._printed = time.monotonic()
        self._finished: deque[tuple[float, int]] = deque()  # time, and number of files finished then

    def __enter__(self) -> "PrepareProgress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._waiting, total=None, rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int, name: str) -> None:
        """Report that `done` of `total` are finished, the last of them called `name`."""
        now = time.monotonic()
        if self._finished and self._finished[-1][0] > now - 1e-3:
            self._finished.pop()  # files of an earlier run, all at once: only the last one counts
        self._finished.append((now, done))
        while len(self._finished) > 2 and self._finished[0][0] < now - WINDOW_SECONDS:
            self._finished.popleft()
        since, before = self._finished[0]
        seconds, files = now - since, done - before
        rate = files / seconds if seconds > 0 else 0.0
        is_known = seconds >= MIN_SECONDS and files >= MIN_FILES
        if self._bar is not None:
            shown = escape_controls(name[-40:])
            self._bar.update(
                self._task, completed=done, total=total, description=shown, rate=f"{rate:.1f} {self._unit}/s,"
            )
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            left = f", {rate:.1f} {self._unit}/s, {(total - done) / rate:.0f} s left" if is_known else ""
            print(f"{done}/{total} {self._unit}{left}", file=sys.stderr, flush=True)
