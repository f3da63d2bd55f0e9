"""Training progress on stderr: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

PLAIN_SECONDS = 15.0  # shortest time between two plain lines


class Progress:
    """Context manager around the training loop: call `advance` after each step, `report` with each training record.

    Args:
        total: steps of the whole training.
        start: steps already done.
        show: False prints nothing.
    """

    def __init__(self, *, total: int, start: int = 0, show: bool = True) -> None:
        self.total, self.done, self.show = total, start, show
        self._live: RichProgress | None = None
        self._first_step, self._start_time, self._last_print = start, time.monotonic(), -PLAIN_SECONDS

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
        """Count one finished step."""
        self.done += 1
        if self._live is not None:
            self._live.update(self._task, completed=self.done)

    def rewind(self, step: int) -> None:
        """Go back to `step`, after a rollback."""
        self.done = step
        if self._live is not None:
            self._live.update(self._task, completed=step)

    def report(self, record: Mapping[str, Any]) -> None:
        """Display the speed and the losses of a training record."""
        losses = " ".join(f"{k[5:]} {v:.3g}" for k, v in record.items() if k.startswith("loss/"))
        facts = f"{record['clips_per_second']:.1f} clips/s, data wait {record['data_wait_share']:.0%}, {losses}"
        if self._live is not None:
            self._live.update(self._task, facts=facts)
            return
        elapsed = time.monotonic() - self._start_time
        is_last = record["step"] >= self.total
        if self.show and (is_last or elapsed - self._last_print >= PLAIN_SECONDS):
            self._last_print = elapsed
            steps = max(1, record["step"] - self._first_step)
            left = (self.total - record["step"]) * elapsed / steps
            print(f"step {record['step']}/{self.total}  {facts}  left {left:.0f} s", file=sys.stderr, flush=True)
