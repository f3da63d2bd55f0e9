"""What the main process tells of a run: the journal first, then guards, trackers and the progress display."""

import math
import resource
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from vidgan.training.diagnostics import TrainingWarning
from vidgan.training.feed import Feed
from vidgan.training.guards import Guards
from vidgan.training.journal import Journal, read
from vidgan.training.progress import Progress
from vidgan.training.state import Rollback

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Hooks:
    """What is called on the main process.

    Attributes:
        preview, evaluate: get the number of finished steps, return measurements. "evaluation/score" (higher is better)
            chooses the best weights.
        export: gets the step and whether it is the best so far; writes the model.
        log: gets each journal record.
        close: called at the end, however the run ends.
    """

    preview: Callable[[int], Scores] = field(default=lambda step: {})
    evaluate: Callable[[int], Scores] = field(default=lambda step: {})
    export: Callable[[int, bool], None] = field(default=lambda step, best: None)
    log: Callable[[Mapping[str, Any]], None] = field(default=lambda record: None)
    close: Callable[[], None] = field(default=lambda: None)


class Watch:
    """The run's chronicle, from step `start` on; what the journal holds of later steps is cut off.

    Args:
        clips: of one step, over all processes.
        stop: names of the guards' warnings that end the run.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        start: int,
        clips: int,
        hooks: Hooks,
        progress: Progress,
        stop: Collection[str] = (),
    ) -> None:
        self.journal = journal
        self.hooks = hooks
        self.progress = progress
        self.clips = clips
        self._stop = stop
        self._begin(start)

    def _begin(self, step: int) -> None:
        self.journal.truncate_after(step)
        history = read(self.journal.path)
        self.guards = Guards(stop=self._stop, history=history)
        self._observed = [record for record in history if record["step"] == step and "observed" in record]
        self.restart_clock(step)

    def restart_clock(self, step: int) -> None:
        """What was due at this step is not training time."""
        self._mark, self._since = time.monotonic(), step

    def rewind(self, rollback: Rollback) -> None:
        """The run went back."""
        self._begin(rollback.to)
        told = {"failed": rollback.failed, "skipped": list(rollback.skipped), "reason": rollback.reason}
        self._append({"step": rollback.to, "rollback": told})
        self.progress.rewind(rollback.to)

    def log(self, step: int, measured: Mapping[str, float], rates: Mapping[str, float], feed: Feed) -> None:
        """A training record."""
        now = time.monotonic()
        seconds = now - self._mark
        waited, feed.waited = feed.waited, 0.0
        record = {
            "step": step,
            "seconds": seconds / (step - self._since),
            "clips_per_second": self.clips * (step - self._since) / seconds,
            "data_wait_share": min(1.0, waited / seconds),
            **memory(feed.device),
            **{f"lr/{name}": rate for name, rate in rates.items()},
            **measured,
        }
        self._mark, self._since = now, step
        self._append(record)
        self.progress.report(record)
        if self.guards.due:
            self.look(step)

    def observe(self, step: int, *, preview: bool, evaluate: bool) -> Scores:
        """Preview and evaluate; returns the evaluation. What the journal already holds of this step is not repeated."""
        wanted = {"evaluation": evaluate, "preview": preview}
        before = {name: record for record in self._observed if record["step"] == step for name in record["observed"]}
        names = [name for name, due in wanted.items() if due and name not in before]
        scores = self.hooks.evaluate(step) if "evaluation" in names else {}
        seen = {**(self.hooks.preview(step) if "preview" in names else {}), **scores}
        if names:
            finite = {name: value for name, value in seen.items() if math.isfinite(value)}
            self._append({"step": step, "observed": names, **finite})
        return before["evaluation"] if evaluate and "evaluation" in before else scores

    def look(self, step: int) -> None:
        """Let the guards look at the journal."""
        for record in self.guards.look(step):
            self._append(record)

    @property
    def fatal(self) -> TrainingWarning | None:
        """The warning that ends the run, if one does."""
        return self.guards.fatal

    def _append(self, record: Mapping[str, Any]) -> None:
        self.journal.append(record)
        self.guards.note(record)
        self.hooks.log(record)


def memory(device: torch.device) -> dict[str, float]:
    """The most memory in use so far, in GB: of this process, and on its GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    used = {"memory/ram_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
    if device.type == "cuda":
        used["memory/gpu_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    return used
