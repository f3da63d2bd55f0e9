"""The state of a run in progress: saving it, restoring it, and rolling it back to a checkpoint."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from vidgan.errors import CheckpointError, NonFiniteError, RunFailedError
from vidgan.files import DISK_FULL_ERRNOS
from vidgan.training.batches import position_of
from vidgan.training.checkpoint import Checkpoint, load_latest, save_checkpoint
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.journal import Journal
from vidgan.training.ranks import Ranks
from vidgan.training.trainees import Micro, Trainees
from vidgan.types import Terms

logger = logging.getLogger(__name__)


class Algorithm(Protocol):
    """What the loop trains: MoCoGANTraining or DualMotionTraining."""

    trainees: Trainees
    ema: ExponentialMovingAverage

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration; detached measurements by name."""
        ...


@dataclass(frozen=True)
class Rollback:
    """One return to a checkpoint.

    Attributes:
        failed: the step that failed.
        to: the step of the checkpoint.
        skipped: positions of the batches that are left out from now on.
        reason: message of the error.
    """

    failed: int
    to: int
    skipped: tuple[int, ...]
    reason: str


def _read_rollback(entry: Mapping[str, Any]) -> Rollback:
    skipped = tuple(int(position) for position in entry["skipped"])
    return Rollback(int(entry["failed"]), int(entry["to"]), skipped, str(entry["reason"]))


class RunState:
    """The state of one run. All processes call `restore`, `save` and `roll_back`; only the main one writes.

    Args:
        algorithm: the networks, optimizers and moving average.
        ranks: the processes of the run.
        checkpoints: directory of the checkpoints, readable by every process.
        record: JSON that each checkpoint carries in addition to the training state (config, data fingerprint, ...).
        export: called after each save with the step and whether it is the best.
        keep: number of most recent checkpoints to keep.
        max_rollbacks: number of times that the run may go back to the same checkpoint; 0: a failure ends it.

    Attributes:
        journal: the open journal, on the main process once the start is certain. It is synced before each save, so that
            a checkpoint never covers steps that the journal lacks.
        best_score: highest "evaluation/score" so far, -inf before the first evaluation.
        rollbacks: all rollbacks so far.
        saved_step: step of the newest checkpoint, None if there is none.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        *,
        ranks: Ranks,
        checkpoints: Path,
        record: Mapping[str, Any],
        export: Callable[[int, bool], None],
        keep: int,
        max_rollbacks: int,
    ) -> None:
        self.algorithm = algorithm
        self.ranks = ranks
        self.checkpoints = checkpoints
        self.record = dict(record)
        self.journal: Journal | None = None
        self.export = export
        self.keep = keep
        self.max_rollbacks = max_rollbacks
        self.best_score = -math.inf
        self.rollbacks: list[Rollback] = []
        self.saved_step: int | None = None

    @property
    def skipped(self) -> frozenset[int]:
        """Positions in the stream of batches that are left out."""
        return frozenset(position for rollback in self.rollbacks for position in rollback.skipped)

    def restore(self, checkpoint: Checkpoint) -> int:
        """Load a checkpoint and return its number of finished steps.

        Raises:
            CheckpointError: it does not fit the networks, or its state is damaged.
        """
        state = checkpoint.state
        try:
            self.algorithm.trainees.load(checkpoint.tensors, state["optimizers"])
            self.algorithm.ema.load_state_dict(checkpoint.tensors["ema"], state["ema_updates"])
            self.best_score = -math.inf if state.get("best") is None else float(state["best"])
            self.rollbacks = [_read_rollback(entry) for entry in state.get("rollbacks", ())]
            num_processes = int(state.get("processes", self.ranks.count))
            if math.isnan(self.best_score):
                raise ValueError("best is not a number")
            if num_processes < 1:
                raise ValueError(f"processes is {num_processes}")
        except CheckpointError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{checkpoint.path}: its state is damaged ({type(error).__name__}: {error})"
            ) from error
        self.saved_step = checkpoint.step
        if num_processes != self.ranks.count:
            logger.warning(
                "%s was saved by %d processes and is resumed by %d: batches and random numbers stay the same, but sums"
                " are rounded in another order, so the run continues equal up to rounding, not bit for bit",
                checkpoint.path,
                num_processes,
                self.ranks.count,
            )
        return checkpoint.step

    def save(self, step: int) -> None:
        """Save a checkpoint after `step` finished steps.

        Raises:
            NonFiniteError: a weight is NaN or infinite. Earlier checkpoints are untouched.
            RunFailedError: the weights differ between processes, or the disk is full. Earlier checkpoints are
                untouched.
        """
        self.algorithm.trainees.require_finite_weights(step)
        self.ranks.require_equal_weights(self.algorithm.trainees.raw, step)
        if self.ranks.is_main:
            self.write(step)
        self.saved_step = step

    def write(self, step: int, *, best: bool = False) -> None:
        """Write the checkpoint and export the model; only on the main process."""
        if self.journal is not None:
            self.journal.sync()
        tensors = self.algorithm.trainees.tensors() | {"ema": self.algorithm.ema.state_dict()}
        record = self.record | {
            "optimizers": self.algorithm.trainees.settings(),
            "ema_updates": self.algorithm.ema.updates,
            "best": self.best_score if math.isfinite(self.best_score) else None,
            "rollbacks": [asdict(rollback) for rollback in self.rollbacks],
            "processes": self.ranks.count,
        }
        try:
            save_checkpoint(self.checkpoints, step, tensors, record, keep=self.keep, best=best)
            self.export(step, best)
        except (CheckpointError, SafetensorError) as error:
            is_disk_full = isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_FULL_ERRNOS
            raise (RunFailedError if is_disk_full else RuntimeError)(str(error)) from error

    def roll_back(self, step: int, error: NonFiniteError) -> Rollback:
        """Go back to the newest checkpoint and skip the batch of the failed `step`.

        If the run fails again from the same checkpoint, all batches from the checkpoint to the failure are skipped, as
        in PaLM (Chowdhery et al. 2022, section 5.1).

        Raises:
            NonFiniteError: rollbacks are not allowed, or used up.
        """
        checkpoint = load_latest(self.checkpoints) if self.max_rollbacks else None
        if checkpoint is None:
            raise error
        num_tries = sum(rollback.to == checkpoint.step for rollback in self.rollbacks)
        if num_tries >= self.max_rollbacks:
            raise NonFiniteError(
                f"{error}. Rolling back to step {checkpoint.step} and skipping batches failed {num_tries} times"
            ) from error
        for optimizer in self.algorithm.trainees.optimizers.values():
            optimizer.zero_grad(set_to_none=True)  # drops the non-finite gradient
        first = position_of(checkpoint.step if num_tries else step, self.skipped)
        positions = range(first, position_of(step, self.skipped) + 1)
        rollback = Rollback(step, checkpoint.step, tuple(p for p in positions if p not in self.skipped), str(error))
        before = self.rollbacks
        self.restore(checkpoint)
        self.rollbacks = [*before, rollback]
        self.ranks.wait_for_all()  # all processes have read the checkpoint before it is written again
        logger.warning(
            "%s; rolled back to step %d, skipping the batches at %s", error, checkpoint.step, list(rollback.skipped)
        )
        return rollback
