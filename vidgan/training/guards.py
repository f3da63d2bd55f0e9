"""Guards: what `diagnostics` finds is told once when it begins and once when it ends, and may stop the training.

They look at the journal alone, and what they tell goes into the journal, so a resumed run warns at the same steps.
"""

import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from vidgan.training.diagnostics import WINDOW, TrainingWarning, warnings

logger = logging.getLogger(__name__)

HISTORY = 2000  # records looked back on
# Faults that more training does not mend. The others may pass, or are no fault of the training.
FATAL = (
    "mode_collapse",
    "frozen_clips",
    "saturation",
    "discriminator_wins",
    "exploding_gradient",
    "evaluation_worsens",
)
# How fast data comes differs between two equal runs, so it is told but not written down.
UNRECORDED = ("waiting_for_data",)


class Guards:
    """Watches one run's journal.

    Args:
        stop: names of warnings that stop the training (of FATAL).
        history: the journal's records so far, after a resume.
    """

    def __init__(self, *, stop: Collection[str] = (), history: Iterable[Mapping[str, Any]] = ()) -> None:
        self.stop = frozenset(stop)
        self._records: deque[Mapping[str, Any]] = deque(maxlen=HISTORY)
        self._told: set[str] = set()
        self._logged = 0
        self.fatal: TrainingWarning | None = None  # the oldest that held at the last look and stops the training
        for record in history:
            self.note(record)

    def note(self, record: Mapping[str, Any]) -> None:
        """Take a journal record in."""
        if "warning" in record:
            (self._told.add if record["holds"] else self._told.discard)(record["warning"])
            return
        self._records.append(record)
        self._logged += "seconds" in record

    @property
    def due(self) -> bool:
        """Whether enough was logged since for another look."""
        return self._logged > 0 and self._logged % WINDOW == 0

    def look(self, step: int) -> Iterator[dict[str, Any]]:
        """Tell what has changed; the journal records of it, to be appended (and noted) by the caller."""
        found = {warning.name: warning for warning in warnings(list(self._records))}
        self.fatal = next((warning for name, warning in found.items() if name in self.stop), None)
        for name, warning in found.items():
            if name not in self._told:
                logger.warning("step %d: %s (since step %d): %s", step, name, warning.step, warning.message)
                if name in UNRECORDED:
                    self._told.add(name)
                else:
                    record = {"step": step, "warning": name, "holds": True, "since": warning.step}
                    yield record | {"message": warning.message}
        for name in sorted(self._told - found.keys()):
            if name in UNRECORDED:
                self._told.discard(name)
            else:
                yield {"step": step, "warning": name, "holds": False}
