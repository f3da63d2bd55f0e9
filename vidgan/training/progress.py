"""Live progress on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

PLAIN_SECONDS = 15.0  # a line at most this often where there is no terminal


class Progress:
    """Context manager around the loop: `advance` each step, `report` with each journal record."""

    def __init__(self, *, total: int, start: int = 0, show: bool = True) -> None:
        self.total, self.done, self.show = total, start, show
        self._live: RichProgress | None = None
        self._first, self._began, self._spoke = start, time.monotonic(), -PLAIN_SECONDS

    def __enter__(self) -> "Progress":
        console = Console(stderr=True)
        if self.show and console.is_terminal:
            self._live = RichProgress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[facts]}"),
                console=console,
            )
            self._live.start()
            self._task = self._live.add_task("train", total=self.total, completed=self.done, facts="")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def advance(self) -> None:
        """One step is finished."""
        self.done += 1
        if self._live is not None:
            self._live.update(self._task, completed=self.done)

    def rewind(self, step: int) -> None:
        """The run went back to `step`."""
        self.done = step
        if self._live is not None:
            self._live.update(self._task, completed=step)

    def report(self, record: Mapping[str, Any]) -> None:
        """Show the newest measurements."""
        losses = " ".join(f"{k[5:]} {v:.3g}" for k, v in record.items() if k.startswith("loss/"))
        facts = f"{record['clips_per_second']:.1f} clips/s, data wait {record['data_wait_share']:.0%}, {losses}"
        if self._live is not None:
            self._live.update(self._task, facts=facts)
            return
        now = time.monotonic()
        last = record["step"] >= self.total
        if self.show and (last or now - self._began - self._spoke >= PLAIN_SECONDS):
            self._spoke = now - self._began
            steps = max(1, record["step"] - self._first)
            left = (self.total - record["step"]) * self._spoke / steps
            print(f"step {record['step']}/{self.total}  {facts}  left {left:.0f} s", file=sys.stderr, flush=True)
