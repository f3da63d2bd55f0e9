"""The training loop: take a batch, step, journal; when due, preview, evaluate and save a checkpoint.

The loop does not know which model it trains. Everything that is due happens between two steps, and a checkpoint holds
the number of finished steps, so the same command resumes with the next one. All processes run the loop in parallel;
`ranks` holds their communication, which must never depend on the rank.
"""

import math
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from accelerate import Accelerator

from vidgan.cores import adapt_threads, adapted_threads
from vidgan.errors import CollapseError, NonFiniteError
from vidgan.training.batches import BatchLoader, BatchStream
from vidgan.training.checkpoint import Checkpoint
from vidgan.training.failures import explain_lost_processes
from vidgan.training.journal import JOURNAL, Journal, read_records
from vidgan.training.progress import Progress
from vidgan.training.ranks import Ranks
from vidgan.training.recorder import Hooks, Recorder
from vidgan.training.run_state import Algorithm, RunState
from vidgan.types import Terms

STOPPED_BY_GUARD = 1000  # a stop reason, besides the numbers of signals


@dataclass(frozen=True)
class Periods:
    """Periods in steps, and the number of checkpoints to keep.

    Attributes:
        log: between training records.
        preview: between previews.
        checkpoint: between checkpoints.
        evaluate: between evaluations; None for none.
        keep: number of most recent checkpoints that are kept, besides the best one.
    """

    log: int
    preview: int
    checkpoint: int
    evaluate: int | None = None
    keep: int = 2


@dataclass(frozen=True)
class Protection:
    """How a run reacts to faults.

    Attributes:
        stop: names of the guards' faults that end the run, after it was saved.
        rollbacks: number of times in a row that a non-finite value may send the run back to the same checkpoint, to
            continue without the batch. 0: a non-finite value ends the run.
    """

    stop: tuple[str, ...] = ()
    rollbacks: int = 0


class StopRequest:
    """Notes SIGINT and SIGTERM, to be handled between two steps; a second signal raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@dataclass(frozen=True)
class Outcome:
    """How the loop ended: the number of finished steps, and the signal that stopped it, if any."""

    steps: int
    signal: int | None = None


def run_loop(
    algorithm: Algorithm,
    loader: BatchLoader,
    *,
    accelerator: Accelerator,
    run_dir: Path,
    steps: int,
    seed: int,
    every: Periods,
    hooks: Hooks,
    state: Mapping[str, Any],
    resume: Checkpoint | None = None,
    protection: Protection = Protection(),
    quiet: bool = False,
) -> Outcome:
    """Train from the checkpoint's step (or 0) to `steps`.

    Args:
        algorithm: the networks and their training step.
        loader: source of the batches.
        accelerator: the one that prepared the networks.
        run_dir: gets the journal and the checkpoints.
        steps: total number of training steps.
        seed: key of all random numbers.
        every: periods of what is done between steps.
        hooks: callbacks of the main process.
        state: JSON that each checkpoint carries in addition to the training state (config, data fingerprint, ...).
        resume: a verified checkpoint; its tensors are loaded before the first step.
        protection: reaction to faults.
        quiet: no progress display.

    Raises:
        NonFiniteError: a loss, gradient or weight became NaN or infinite. The last checkpoint is untouched.
        CollapseError: a guard stopped the run, after it was saved.
        ValueError: the journal is damaged; nothing was changed.
        RunFailedError: the disk is full at a checkpoint, or the processes diverged.
        RuntimeError: a loader worker or another process died or hangs.
    """
    ranks = Ranks(accelerator)
    run_state = RunState(
        algorithm,
        ranks=ranks,
        checkpoints=run_dir / "checkpoints",
        record=state,
        export=hooks.export,
        keep=every.keep,
        max_rollbacks=protection.rollbacks,
    )
    step = run_state.restore(resume) if resume is not None else 0
    journal = None
    if ranks.is_main:
        read_records(run_dir / JOURNAL)  # a damaged journal refuses the start
        hooks.start(step)  # the first moment at which nothing can refuse the start any more
        journal = run_state.journal = Journal(run_dir / JOURNAL)
    batches = BatchStream(loader, seed=seed, device=accelerator.device)
    with ExitStack() as stack:
        threads = stack.enter_context(adapted_threads())
        stack.enter_context(explain_lost_processes(accelerator.process_index))
        request = stack.enter_context(StopRequest())
        progress = stack.enter_context(Progress(total=steps, start=step, show=ranks.is_main and not quiet))
        stack.callback(batches.close)
        recorder = None
        if journal is not None:
            stack.callback(hooks.close)
            stack.enter_context(journal)
            recorder = Recorder(
                journal,
                start=step,
                clips_per_step=loader.batch_size,
                hooks=hooks,
                progress=progress,
                stop=protection.stop,
            )
        run = _Run(steps, every, ranks, run_state, batches, progress, recorder)
        run.start(step)
        stop_reason = 0
        while step < steps and not stop_reason:
            try:
                micros = batches.take()
                adapt_threads(ceiling=threads)
                rates = algorithm.trainees.set_learning_rates(step)
                scalars = algorithm.step(step, micros)
                run.record(step + 1, scalars, rates)
                run.do_due(step + 1)
            except NonFiniteError as error:
                step = run.roll_back(step, error)
            else:
                step += 1
                stop_reason = run.stop_if_requested(step, request)
        ranks.wait_for_all()
        if stop_reason == STOPPED_BY_GUARD:
            fault = recorder.fatal if recorder is not None else None
            reason = fault.message if fault else "a guard fired on the main process"
            raise CollapseError(f"stopped after step {step}: {reason} (guards.stop)")
    return Outcome(step, stop_reason or None)


@dataclass(frozen=True)
class _Run:
    """What happens around the training step. All processes call each method; only the main one has a recorder."""

    steps: int
    every: Periods
    ranks: Ranks
    state: RunState
    batches: BatchStream
    progress: Progress
    recorder: Recorder | None

    def start(self, step: int) -> None:
        """Prepare for `step`."""
        if self.state.saved_step is not None:
            self.do_due(step)  # a kill may have prevented what follows the checkpoint
        elif self.state.max_rollbacks:
            self.state.save(step)  # a checkpoint to roll back to
        self.batches.seek(step, self.state.skipped)

    def record(self, step: int, scalars: Terms, rates: Mapping[str, float]) -> None:
        """Journal the scalars of the step that was finished as number `step`, when due."""
        self.progress.advance()
        if is_due(self.every.log, step, self.steps):
            means = self.ranks.mean_over_ranks(scalars)
            if self.recorder is not None:
                self.recorder.log_step(step, means, rates, self.batches)

    def do_due(self, step: int) -> None:
        """Save, evaluate and preview after `step` steps, when due. The other processes wait for the main one."""
        preview, evaluate, checkpoint = (
            is_due(period, step, self.steps)
            for period in (self.every.preview, self.every.evaluate, self.every.checkpoint)
        )
        if not (preview or evaluate or checkpoint):
            return
        if (evaluate or checkpoint) and self.state.saved_step != step:
            self.state.save(step)  # first, so that no failure of the rest loses these steps
        if self.recorder is not None:
            score = self.recorder.observe(step, preview=preview, evaluate=evaluate).get("evaluation/score", -math.inf)
            if score > self.state.best_score:
                self.state.best_score = score
                self.state.write(step, best=True)
            self.recorder.check_guards(step)
            self.recorder.restart_clock(step)
        self.ranks.wait_for_all()

    def roll_back(self, step: int, error: NonFiniteError) -> int:
        """Go back to the last checkpoint, if allowed, and return its step."""
        rollback = self.state.roll_back(step, error)
        if self.recorder is not None:
            self.recorder.rewind(rollback)
        self.state.save(rollback.to)  # so that a resumed run skips the same batches
        self.batches.seek(rollback.to, self.state.skipped)
        return rollback.to

    def stop_if_requested(self, step: int, request: StopRequest) -> int:
        """Save the run if it must stop; returns a signal's number or STOPPED_BY_GUARD, the same on all processes.

        0: training continues.
        """
        has_fault = self.recorder is not None and self.recorder.fatal is not None
        reason = self.ranks.max_over_ranks(STOPPED_BY_GUARD if has_fault else request.signal or 0)
        if reason and self.state.saved_step != step:
            self.state.save(step)
        return reason


def is_due(period: int | None, step: int, steps: int) -> bool:
    """Whether something with this period is due after `step` of `steps` steps; after the last step it always is."""
    return period is not None and (step % period == 0 or step == steps)
