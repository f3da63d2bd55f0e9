"""What the main process records of a run: the journal first, then guards, trackers and the progress display."""

import math
import resource
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from vidgan.training.batches import BatchStream
from vidgan.training.diagnostics import TrainingWarning
from vidgan.training.guards import Guards
from vidgan.training.journal import Journal, read_records
from vidgan.training.progress import Progress
from vidgan.training.run_state import Rollback

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Hooks:
    """Callbacks of the main process.

    Attributes:
        start: takes the step at which training starts, once everything is loaded and nothing can refuse the start.
        preview, evaluate: take the number of finished steps and return metrics. "evaluation/score" (higher is better)
            selects the best weights.
        export: takes the step and whether it is the best so far, and writes the model.
        log: takes each journal record.
        close: called at the end, however the run ends.
    """

    start: Callable[[int], None] = field(default=lambda step: None)
    preview: Callable[[int], Scores] = field(default=lambda step: {})
    evaluate: Callable[[int], Scores] = field(default=lambda step: {})
    export: Callable[[int, bool], None] = field(default=lambda step, best: None)
    log: Callable[[Mapping[str, Any]], None] = field(default=lambda record: None)
    close: Callable[[], None] = field(default=lambda: None)


class Recorder:
    """Records a run from step `start` on; journal records of later steps are removed.

    Args:
        journal: the open journal.
        start: number of finished steps.
        clips_per_step: over all processes.
        hooks: callbacks for previews, evaluations and records.
        progress: the display.
        stop: names of the faults that end the run.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        start: int,
        clips_per_step: int,
        hooks: Hooks,
        progress: Progress,
        stop: Collection[str] = (),
    ) -> None:
        self.journal = journal
        self.hooks = hooks
        self.progress = progress
        self.clips_per_step = clips_per_step
        self._stop = stop
        self._start_from(start)

    def _start_from(self, step: int) -> None:
        self.journal.truncate_after(step)
        history = read_records(self.journal.path)
        self.guards = Guards(stop=self._stop, history=history)
        self._observations = [record for record in history if record["step"] == step and "observed" in record]
        self.restart_clock(step)

    def restart_clock(self, step: int) -> None:
        """Exclude the time since the last record from the training time, because previews and evaluations ran in it."""
        self._clock_time, self._clock_step = time.monotonic(), step

    def rewind(self, rollback: Rollback) -> None:
        """Go back to the checkpoint of a rollback and record the rollback."""
        self._start_from(rollback.to)
        details = {"failed": rollback.failed, "skipped": list(rollback.skipped), "reason": rollback.reason}
        self._append({"step": rollback.to, "rollback": details})
        self.progress.rewind(rollback.to)

    def log_step(
        self, step: int, scalars: Mapping[str, float], rates: Mapping[str, float], batches: BatchStream
    ) -> None:
        """Append a training record: speed, CPU threads, memory, learning rates and the scalars of the step."""
        now = time.monotonic()
        seconds = now - self._clock_time
        wait_seconds, batches.wait_seconds = batches.wait_seconds, 0.0
        record = {
            "step": step,
            "seconds": seconds / (step - self._clock_step),
            "clips_per_second": self.clips_per_step * (step - self._clock_step) / seconds,
            "data_wait_share": min(1.0, wait_seconds / seconds),
            "threads": torch.get_num_threads(),
            **peak_memory(batches.device),
            **{f"lr/{name}": rate for name, rate in rates.items()},
            **scalars,
        }
        self._clock_time, self._clock_step = now, step
        self._append(record)
        self.progress.report(record)
        if self.guards.is_due:
            self.check_guards(step)

    def observe(self, step: int, *, preview: bool, evaluate: bool) -> Scores:
        """Preview and evaluate, and return the scores; what the journal already holds of this step is not repeated."""
        wanted = {"evaluation": evaluate, "preview": preview}
        before = {
            name: record for record in self._observations if record["step"] == step for name in record["observed"]
        }
        names = [name for name, is_due in wanted.items() if is_due and name not in before]
        scores = self.hooks.evaluate(step) if "evaluation" in names else {}
        metrics = {**(self.hooks.preview(step) if "preview" in names else {}), **scores}
        if names:
            finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
            self._append({"step": step, "observed": names, **finite})
        return before["evaluation"] if evaluate and "evaluation" in before else scores

    def check_guards(self, step: int) -> None:
        """Record the faults that started or ended."""
        for record in self.guards.check(step):
            self._append(record)

    @property
    def fatal(self) -> TrainingWarning | None:
        """The fault that ends the run, or None."""
        return self.guards.fatal

    def _append(self, record: Mapping[str, Any]) -> None:
        self.journal.append(record)
        self.guards.add(record)
        self.hooks.log(record)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Peak memory of this process so far in GB, on the host and on its GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"memory/ram_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
    if device.type == "cuda":
        peak["memory/gpu_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    return peak
