"""One action under way: its progress, its cancellation, and how long the next one like it will take."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from vidgan.errors import UserError

__all__ = ["CancelledError", "Job", "Pace"]

SMOOTHING: Final = 0.5  # weight of the newest measurement


class CancelledError(UserError):
    """The user cancelled the action."""


class Job:
    """One action under way. Another thread may cancel it.

    Args:
        report: called with the share that is done, 0 to 1, and what is being done.
    """

    def __init__(self, report: Callable[[float, str], None] = lambda share, text: None) -> None:
        self._report = report
        self._cancelled = threading.Event()
        self.is_over = False

    def cancel(self) -> None:
        """Stop at the next `step`."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Stop here if the job was cancelled. Any thread may call it.

        Raises:
            CancelledError: the job was cancelled.
        """
        if self._cancelled.is_set():
            raise CancelledError("cancelled; nothing was kept")

    def step(self, share: float, text: str) -> None:
        """Report progress.

        Raises:
            CancelledError: the job was cancelled.
        """
        self.check()
        self._report(share, text)


class Pace:
    """Seconds that a unit of work takes, by action and model, as measured in this process."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, *key: str, units: float) -> Iterator[None]:
        """Time the block, which does `units` units of work; a block that raises is not counted."""
        started = time.monotonic()
        yield
        self.note(*key, seconds=time.monotonic() - started, units=units)

    def note(self, *key: str, seconds: float, units: float) -> None:
        """Add a measurement."""
        each = seconds / units
        with self._lock:
            before = self._seconds.get(key, each)
            self._seconds[key] = (1 - SMOOTHING) * before + SMOOTHING * each

    def estimate(self, *key: str, units: float) -> float | None:
        """Seconds that this many units will take; None before the first measurement."""
        with self._lock:
            each = self._seconds.get(key)
        return None if each is None else each * units

    def is_known(self, *key: str) -> bool:
        """Whether a unit of this work was measured."""
        with self._lock:
            return key in self._seconds
