"""Experiment trackers: services that receive measurements and preview clips in addition to the journal."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vidgan.types import ByteClip

logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """One tracking service. Only the main process has one."""

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Store the scalars of a step. Steps decrease when a run rolls back to a checkpoint."""
        ...

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """Store a clip, uint8 (T, 3, H, W)."""
        ...

    def close(self) -> None:
        """Send everything that is still buffered."""
        ...


class Trackers:
    """Forwards everything to several trackers. One that raises is disabled with a warning, not fatal to the run."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = list(trackers)

    def add(self, trackers: Sequence[Tracker]) -> None:
        """Forward to these as well from now on."""
        self._trackers += trackers

    def log(self, record: Mapping[str, Any]) -> None:
        """Forward the scalars of a journal record."""
        if "warning" in record:
            return
        scalars = {key: float(value) for key, value in record.items() if isinstance(value, int | float)}
        step = int(scalars.pop("step"))
        if scalars:
            self._call_each("log", step, scalars)

    def media(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """Forward a clip, uint8 (T, 3, H, W)."""
        self._call_each("video", step, name, clip, fps)

    def close(self) -> None:
        """Send everything that is still buffered."""
        self._call_each("close")

    def _call_each(self, method: str, *arguments: Any) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:  # whatever a service's client raises
                logger.warning("tracker %s failed and is disabled: %s", type(tracker).__name__, error)
                self._trackers.remove(tracker)
