"""Batches of each step on the training device, paired with their random streams.

The loader yields batches at positions 0, 1, 2, ... of an endless stream. Step s uses the s-th position that is not
skipped. Clips and random numbers are keyed by the position, so the input of a step depends only on the step and on the
skipped positions; resuming and rolling back therefore keep the order.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import torch

from vidgan.seeding import Draws
from vidgan.training.trainees import Micro
from vidgan.types import ClipBatch


class BatchLoader(Protocol):
    """The data source of a training: `vidgan.data.loader.ClipLoader`."""

    @property
    def batch_size(self) -> int:
        """Clips per step, over all processes and micro-batches."""
        ...

    def batches(self, start_step: int) -> Iterator[list[ClipBatch]]:
        """Yield this process's micro-batches of each position, from `start_step` on."""
        ...

    def rows(self, micro_batch: int) -> Sequence[int]:
        """Indices into the global batch of the clips of one micro-batch."""
        ...


class BatchStream:
    """The batches of one process.

    Args:
        loader: source of the batches.
        seed: seed of the run; the random streams are keyed by (seed, position, row).
        device: where the batches are copied to.

    Attributes:
        wait_seconds: total time that `take` has waited for the loader.
    """

    def __init__(self, loader: BatchLoader, *, seed: int, device: torch.device) -> None:
        self.loader = loader
        self.seed = seed
        self.device = device
        self.wait_seconds = 0.0
        self._stream: Iterator[list[ClipBatch]] = iter(())
        self._skipped: frozenset[int] = frozenset()
        self._next = 0

    def seek(self, step: int, skipped: Collection[int] = ()) -> None:
        """Continue with the batch of `step`, leaving out the positions `skipped`."""
        self.close()
        self._skipped = frozenset(skipped)
        self._next = position_of(step, self._skipped)
        self._stream = self.loader.batches(self._next)

    def take(self) -> list[Micro]:
        """Return the micro-batches of the next step."""
        start = time.monotonic()
        batches = next(self._stream)
        while self._next in self._skipped:
            batches = next(self._stream)
            self._next += 1
        self.wait_seconds += time.monotonic() - start
        position, self._next = self._next, self._next + 1
        return [
            (
                to_device(batch, self.device),
                Draws(self.seed, "step", position, rows=self.loader.rows(number), device=self.device),
            )
            for number, batch in enumerate(batches)
        ]

    def close(self) -> None:
        """Stop the loader's worker processes."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


def position_of(step: int, skipped: Collection[int]) -> int:
    """Return the position in the stream that `step` uses: the step-th of those that are not skipped."""
    position = step
    for gap in sorted(skipped):
        if gap <= position:
            position += 1
    return position


def to_device(batch: ClipBatch, device: torch.device) -> ClipBatch:
    """Copy a batch to the training device; asynchronous when its memory is pinned."""
    return ClipBatch(*(part.to(device, non_blocking=True) for part in batch))
