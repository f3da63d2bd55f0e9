"""The one training loop: batch -> algorithm.step -> journal; when due: preview, evaluate, checkpoint.

It does not know which model it trains. Everything that is due at a step happens at the step's edge, after the optimizer
steps, and a checkpoint holds the number of finished steps, so that "the same command again" goes on with the next one.
All processes run it side by side; what is sent between them is in `ranks`, and never inside a branch of one of them.
"""

import math
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from accelerate import Accelerator

from vidgan.errors import CollapseError, NonFiniteError
from vidgan.training.checkpoint import Checkpoint
from vidgan.training.failures import losses_named
from vidgan.training.feed import Batches, Feed
from vidgan.training.journal import Journal
from vidgan.training.progress import Progress
from vidgan.training.ranks import Ranks
from vidgan.training.state import Algorithm, RunState
from vidgan.training.watch import Hooks, Watch

COLLAPSED = 1000  # beside the numbers of signals: a guard stops the run


@dataclass(frozen=True)
class Periods:
    """Every how many steps something is due, and how many checkpoints are kept."""

    log: int
    preview: int
    checkpoint: int
    evaluate: int | None = None
    keep: int = 2


@dataclass(frozen=True)
class Protection:
    """What is done when a training goes wrong.

    Attributes:
        stop: names of the guards' warnings that end the run, after it was saved.
        rollbacks: how often in a row a non-finite value sends the run back to one and the same checkpoint, to go on
            without the batch; 0: it ends the run.
    """

    stop: tuple[str, ...] = ()
    rollbacks: int = 0


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag that is read at the step's edge; a second signal ends the process."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@dataclass(frozen=True)
class Outcome:
    """How the loop ended: finished steps, and the signal that stopped it, if any."""

    steps: int
    signal: int | None = None


def run_loop(
    algorithm: Algorithm,
    loader: Batches,
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
        state: JSON that each checkpoint carries beside the training state (config, data fingerprint, categories).
        resume: a verified checkpoint; its tensors are loaded before the first step.
        quiet: no progress display.

    Raises:
        NonFiniteError: a loss, gradient or weight became NaN or infinite. The last checkpoint stays as it is.
        CollapseError: a guard stopped the run, after it was saved.
        RunFailedError: the disk is full at a checkpoint, or the processes drifted apart.
        RuntimeError: a loader worker or another process was lost, or hangs.
    """
    ranks = Ranks(accelerator)
    journal = Journal(run_dir / "journal.jsonl") if ranks.main else None
    course = RunState(
        algorithm,
        ranks=ranks,
        journal=journal,
        checkpoints=run_dir / "checkpoints",
        record=state,
        export=hooks.export,
        keep=every.keep,
        rollbacks=protection.rollbacks,
    )
    step = course.restore(resume) if resume is not None else 0
    feed = Feed(loader, seed=seed, device=accelerator.device)
    with ExitStack() as stack:
        stack.enter_context(losses_named(accelerator.process_index))
        request = stack.enter_context(StopRequest())
        progress = stack.enter_context(Progress(total=steps, start=step, show=ranks.main and not quiet))
        stack.callback(feed.close)
        watch = None
        if journal is not None:
            stack.callback(hooks.close)
            stack.callback(journal.close)
            watch = Watch(
                journal, start=step, clips=loader.batch_size, hooks=hooks, progress=progress, stop=protection.stop
            )
        run = _Run(algorithm, steps, every, ranks, course, feed, progress, watch)
        run.begin(step)
        while step < steps:
            try:
                step = run.advance(step)
            except NonFiniteError as error:
                step = run.go_back(step, error)
                continue
            reason = run.reason_to_stop(step, request)
            if reason == COLLAPSED:
                told = watch.fatal if watch is not None else None
                raise CollapseError(
                    f"stopped after step {step}: {told.message if told else 'by a guard'} (guards.stop)"
                )
            if reason:
                return Outcome(step, reason)
        ranks.wait()
    return Outcome(step)


@dataclass(frozen=True)
class _Run:
    """What the loop moves forward; all processes call each method alike."""

    algorithm: Algorithm
    steps: int
    every: Periods
    ranks: Ranks
    course: RunState
    feed: Feed
    progress: Progress
    watch: Watch | None  # on the main process

    def begin(self, step: int) -> None:
        """Ready for `step`."""
        if self.course.saved is not None:
            self.at_edge(step)  # what a kill kept from being done after the checkpoint was written
        elif self.course.allowed:
            self.course.save(step)  # something to go back to
        self.feed.begin(step, self.course.skipped)

    def advance(self, step: int) -> int:
        """One step, and what is due after it; returns the number of finished steps."""
        micros = self.feed.take()
        rates = self.algorithm.trainees.set_learning_rates(step)
        measured = self.algorithm.step(step, micros)
        done = step + 1
        self.progress.advance()
        if due(self.every.log, done, self.steps):
            averages = self.ranks.averaged(measured)
            if self.watch is not None:
                self.watch.log(done, averages, rates, self.feed)
        self.at_edge(done)
        return done

    def at_edge(self, step: int) -> None:
        """What is due after `step` steps. The main process previews and evaluates, the others wait for it."""
        preview, evaluate, checkpoint = (
            due(period, step, self.steps) for period in (self.every.preview, self.every.evaluate, self.every.checkpoint)
        )
        if not (preview or evaluate or checkpoint):
            return
        if (evaluate or checkpoint) and self.course.saved != step:
            self.course.save(step)  # before anything else that is due, so that nothing can cost these steps
        if self.watch is not None:
            score = self.watch.observe(step, preview=preview, evaluate=evaluate).get("evaluation/score", -math.inf)
            if score > self.course.best:
                self.course.best = score
                self.course.write(step, best=True)
            self.watch.look(step)
            self.watch.restart_clock(step)
        self.ranks.wait()

    def go_back(self, step: int, error: NonFiniteError) -> int:
        """To the last checkpoint, if that is allowed; returns its step."""
        rollback = self.course.roll_back(step, error)
        if self.watch is not None:
            self.watch.rewind(rollback)
        self.course.save(rollback.to)  # so that a resume leaves out the same batches
        self.feed.begin(rollback.to, self.course.skipped)
        return rollback.to

    def reason_to_stop(self, step: int, request: StopRequest) -> int:
        """A signal's number or COLLAPSED, the same on all processes, after the run was saved; 0 to go on."""
        collapsed = self.watch is not None and self.watch.fatal is not None
        reason = self.ranks.agreed(COLLAPSED if collapsed else request.signal or 0)
        if reason:
            if self.course.saved != step:
                self.course.save(step)
            self.ranks.wait()
        return reason


def due(period: int | None, done: int, steps: int) -> bool:
    """Whether something of this period is due after `done` of `steps` steps; the last step always is."""
    return period is not None and (done % period == 0 or done == steps)


def learning_rate_factor(schedule: str, warmup: int, steps: int, decay_start: float = 0.0) -> Callable[[int], float]:
    """step -> factor on the base rate: linear warm-up, then constant, or linear / cosine decay to zero at `steps`.

    The decay begins after the share `decay_start` of the steps.
    """
    begin = max(warmup, round(decay_start * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        share = max(0, step - begin) / max(1, steps - begin)
        if schedule == "linear":
            return 1 - share
        if schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * share))
        return 1.0

    return factor
