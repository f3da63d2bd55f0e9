"""Where measurements go beside the journal: anything that keeps scalars and videos by step."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vidgan.types import ByteClip

logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """One tracking service. Only the main process holds one."""

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Keep measurements of a step. Steps fall when a run goes back to a checkpoint."""
        ...

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """Keep a clip, uint8 (T, 3, H, W)."""
        ...

    def close(self) -> None:
        """Send what is still held back."""
        ...


class Trackers:
    """Hands everything to several trackers. One that fails is told of and left out: it must not end a training."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = list(trackers)

    def log(self, record: Mapping[str, Any]) -> None:
        """A journal record; only its measurements are passed on."""
        if "warning" in record:
            return
        scalars = {key: float(value) for key, value in record.items() if isinstance(value, int | float)}
        step = int(scalars.pop("step"))
        if scalars:
            self._each("log", step, scalars)

    def media(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """A clip, uint8 (T, 3, H, W)."""
        self._each("video", step, name, clip, fps)

    def close(self) -> None:
        """Send what is still held back."""
        self._each("close")

    def _each(self, method: str, *arguments: Any) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:  # whatever a service's client raises
                logger.warning("%s is left out from now on: %s", type(tracker).__name__, error)
                self._trackers.remove(tracker)
