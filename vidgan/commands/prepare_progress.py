"""Progress of a preparation: a bar with rate and remaining time on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_SECONDS: Final = 15.0
"""Minimum seconds between two plain lines."""


class PrepareProgress:
    """Context manager around a preparation; pass `show` as its `progress`."""

    def __init__(self, console: Console) -> None:
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} left"), TimeRemainingColumn())
            self._bar = Progress(TextColumn("{task.description}"), *columns, console=console)
        self._began = self._printed = time.monotonic()
        self._calls = 0

    def __enter__(self) -> "PrepareProgress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("listing the source", total=None, rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int, name: str) -> None:
        """Report that `done` of `total` files are finished, the last of them called `name`."""
        now = time.monotonic()
        self._calls += 1
        rate = self._calls / max(now - self._began, 1e-6)
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, total=total, description=name[-40:], rate=f"{rate:.1f} files/s,"
            )
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            remaining = (total - done) / rate
            print(f"{done}/{total} files, {rate:.1f} files/s, {remaining:.0f} s left", file=sys.stderr, flush=True)
