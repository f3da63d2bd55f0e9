"""Guards: report the faults that `diagnostics` finds when they start and when they end, and optionally stop the run.

They read only the journal and write their reports into it, so a resumed run reports the same faults at the same steps.
"""

import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from vidgan.training.diagnostics import WINDOW, TrainingWarning, diagnose

logger = logging.getLogger(__name__)

MAX_RECORDS = 2000  # most recent journal records that are examined
# Faults that further training does not cure. The others may pass or are not faults of the training.
FATAL = (
    "mode_collapse",
    "frozen_clips",
    "saturation",
    "discriminator_wins",
    "exploding_gradient",
    "evaluation_worsens",
)
# Logged but not written to the journal: loading speed differs between two identical runs.
UNRECORDED = ("waiting_for_data",)


class Guards:
    """Watches the journal of one run.

    Args:
        stop: names of the faults that stop the training (from FATAL).
        history: existing records of the journal, after a resume.

    Attributes:
        fatal: the oldest fault in `stop` that was active at the last check, or None.
    """

    def __init__(self, *, stop: Collection[str] = (), history: Iterable[Mapping[str, Any]] = ()) -> None:
        self.stop = frozenset(stop)
        self.fatal: TrainingWarning | None = None
        self._records: deque[Mapping[str, Any]] = deque(maxlen=MAX_RECORDS)
        self._active: set[str] = set()
        self._num_logged = 0
        for record in history:
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take a journal record into account."""
        if "warning" in record:
            (self._active.add if record["holds"] else self._active.discard)(record["warning"])
            return
        self._records.append(record)
        self._num_logged += "seconds" in record

    @property
    def is_due(self) -> bool:
        """Whether enough training records were added for the next check."""
        return self._num_logged > 0 and self._num_logged % WINDOW == 0

    def check(self, step: int) -> Iterator[dict[str, Any]]:
        """Log faults that started or ended, and yield their journal records; the caller appends and `add`s them."""
        faults = {fault.name: fault for fault in diagnose(list(self._records))}
        self.fatal = next((fault for name, fault in faults.items() if name in self.stop), None)
        for name, fault in faults.items():
            if name not in self._active:
                logger.warning("step %d: %s (since step %d): %s", step, name, fault.step, fault.message)
                if name in UNRECORDED:
                    self._active.add(name)
                else:
                    record = {"step": step, "warning": name, "holds": True, "since": fault.step}
                    yield record | {"message": fault.message}
        for name in sorted(self._active - faults.keys()):
            if name in UNRECORDED:
                self._active.discard(name)
            else:
                yield {"step": step, "warning": name, "holds": False}
