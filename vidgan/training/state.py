"""What a checkpoint holds of a run in progress: how it is saved, put back, and gone back to."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from vidgan.errors import CheckpointError, NonFiniteError, RunFailedError
from vidgan.training.checkpoint import Checkpoint, load_latest, save_checkpoint
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.failures import FULL
from vidgan.training.feed import position_of
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
    """A step that failed, the checkpoint's step that the run went back to, and the batches it then left out."""

    failed: int
    to: int
    skipped: tuple[int, ...]
    reason: str


class RunState:
    """The state of one run. All processes call `restore`, `save` and `roll_back`; the main one alone writes.

    Args:
        checkpoints: the directory of checkpoints, which every process can read.
        record: JSON that each checkpoint carries beside the training state (config, data fingerprint, categories).
        journal: is on the disk before each save, on the main process: a checkpoint never knows of steps that it lost.
        export: called after each save with the step and whether it is the best.
        keep: how many checkpoints stay.
        rollbacks: how often in a row the run may go back to one and the same checkpoint; 0: a failure ends it.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        *,
        ranks: Ranks,
        checkpoints: Path,
        record: Mapping[str, Any],
        journal: Journal | None,
        export: Callable[[int, bool], None],
        keep: int,
        rollbacks: int,
    ) -> None:
        self.algorithm = algorithm
        self.ranks = ranks
        self.checkpoints = checkpoints
        self.record = dict(record)
        self.journal = journal
        self.export = export
        self.keep = keep
        self.allowed = rollbacks
        self.best = -math.inf
        self.rollbacks: list[Rollback] = []
        self.saved: int | None = None  # step of the newest checkpoint

    @property
    def skipped(self) -> frozenset[int]:
        """Positions of the stream of batches that are left out."""
        return frozenset(position for rollback in self.rollbacks for position in rollback.skipped)

    def restore(self, checkpoint: Checkpoint) -> int:
        """Put everything back; returns the number of finished steps."""
        state = checkpoint.state
        self.algorithm.trainees.load(checkpoint.tensors, state["optimizers"])
        self.algorithm.ema.load_state_dict(checkpoint.tensors["ema"], state["ema_updates"])
        self.best = float(state["best"]) if state.get("best") is not None else -math.inf
        self.rollbacks = [Rollback(**r | {"skipped": tuple(r["skipped"])}) for r in state.get("rollbacks", ())]
        self.saved = checkpoint.step
        before = state.get("processes", self.ranks.count)
        if before != self.ranks.count:
            logger.warning(
                "%s was saved by %d processes, now there are %d: each item keeps its batch and its draws, but sums are"
                " rounded in another order, so the run goes on equal to rounding and not bit for bit",
                checkpoint.path,
                before,
                self.ranks.count,
            )
        return checkpoint.step

    def save(self, step: int) -> None:
        """Save after `step` finished steps.

        Raises:
            NonFiniteError, RunFailedError: the weights are broken or differ between processes, or the disk is full;
                what was saved before stays.
        """
        self.algorithm.trainees.require_finite_weights(step)
        self.ranks.require_equal_weights(self.algorithm.trainees.raw, step)
        if self.ranks.main:
            self.write(step)
        self.saved = step

    def write(self, step: int, *, best: bool = False) -> None:
        """Write the checkpoint, and the model that is made from it; for the main process alone."""
        if self.journal is not None:
            self.journal.sync()
        tensors = self.algorithm.trainees.tensors() | {"ema": self.algorithm.ema.state_dict()}
        record = self.record | {
            "optimizers": self.algorithm.trainees.settings(),
            "ema_updates": self.algorithm.ema.updates,
            "best": self.best if math.isfinite(self.best) else None,
            "rollbacks": [asdict(rollback) for rollback in self.rollbacks],
            "processes": self.ranks.count,
        }
        try:
            save_checkpoint(self.checkpoints, step, tensors, record, keep=self.keep, best=best)
            self.export(step, best)
        except (CheckpointError, SafetensorError) as error:
            full = isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL
            raise (RunFailedError if full else RuntimeError)(str(error)) from error

    def roll_back(self, step: int, error: NonFiniteError) -> Rollback:
        """Go back to the newest checkpoint, and leave out the batch that `step` failed on.

        When that has not helped (the run comes back to the same checkpoint), all batches from the checkpoint to the
        failure are left out: another course, as in PaLM (Chowdhery et al. 2022, section 5.1).

        Raises:
            NonFiniteError: going back is not allowed, or no longer.
        """
        checkpoint = load_latest(self.checkpoints) if self.allowed else None
        if checkpoint is None:
            raise error
        tries = sum(rollback.to == checkpoint.step for rollback in self.rollbacks)
        if tries >= self.allowed:
            raise NonFiniteError(
                f"{error}. Going back to step {checkpoint.step} and leaving batches out has not helped {tries} times"
            ) from error
        for optimizer in self.algorithm.trainees.optimizers.values():
            optimizer.zero_grad(set_to_none=True)  # the broken gradient
        first = position_of(checkpoint.step if tries else step, self.skipped)
        window = range(first, position_of(step, self.skipped) + 1)
        rollback = Rollback(step, checkpoint.step, tuple(p for p in window if p not in self.skipped), str(error))
        before = self.rollbacks
        self.restore(checkpoint)
        self.rollbacks = [*before, rollback]
        self.ranks.wait()  # all have read the checkpoint before it is written again
        logger.warning("%s; back to step %d, without the batches at %s", error, checkpoint.step, list(rollback.skipped))
        return rollback
