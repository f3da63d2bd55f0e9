"""The batches of the steps, on the device, with their draws, in an order that a resume and a rollback keep.

The stream has positions 0, 1, 2, ...; step s takes the s-th position that is not skipped. Items and draws are keyed by
the position, so what a step sees is a function of the step and of the skipped positions alone.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import torch

from vidgan.seeding import Draws
from vidgan.training.trainees import Micro
from vidgan.types import ClipBatch


class Batches(Protocol):
    """What is read: `vidgan.data.loader.ClipLoader`."""

    @property
    def batch_size(self) -> int:
        """Clips of one step over all processes and micro-batches."""
        ...

    def batches(self, start_step: int) -> Iterator[list[ClipBatch]]:
        """This process's micro-batches of each position, from `start_step` on."""
        ...

    def rows(self, micro_batch: int) -> Sequence[int]:
        """Places in the global batch of the rows of one of them."""
        ...


class Feed:
    """One process's batches. `waited` counts the seconds that `take` waited for the loader."""

    def __init__(self, loader: Batches, *, seed: int, device: torch.device) -> None:
        self.loader = loader
        self.seed = seed
        self.device = device
        self.waited = 0.0
        self._stream: Iterator[list[ClipBatch]] = iter(())
        self._skipped: frozenset[int] = frozenset()
        self._next = 0

    def begin(self, step: int, skipped: Collection[int] = ()) -> None:
        """Go to `step`, with these positions left out."""
        self.close()
        self._skipped = frozenset(skipped)
        self._next = position_of(step, self._skipped)
        self._stream = self.loader.batches(self._next)

    def take(self) -> list[Micro]:
        """The micro-batches of the next step."""
        asked = time.monotonic()
        batches = next(self._stream)
        while self._next in self._skipped:
            batches = next(self._stream)
            self._next += 1
        self.waited += time.monotonic() - asked
        position, self._next = self._next, self._next + 1
        return [
            (
                to_device(batch, self.device),
                Draws(self.seed, "step", position, rows=self.loader.rows(number), device=self.device),
            )
            for number, batch in enumerate(batches)
        ]

    def close(self) -> None:
        """End the loader's workers."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


def position_of(step: int, skipped: Collection[int]) -> int:
    """The position in the stream that `step` takes: the step-th of those that are not skipped."""
    position = step
    for gap in sorted(skipped):
        if gap <= position:
            position += 1
    return position


def to_device(batch: ClipBatch, device: torch.device) -> ClipBatch:
    """The batch on the device that trains; copies overlap with work where the memory is pinned."""
    return ClipBatch(*(part.to(device, non_blocking=True) for part in batch))
