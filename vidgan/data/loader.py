"""The stream of training batches as a pure function of the step.

Sample p of the stream (p = 0, 1, ...) is item ``order(epoch)[p % N]`` of epoch ``p // N``, where N is the number of
items and ``order(epoch)`` a permutation keyed by (seed, epoch). Step s takes samples s * B to (s + 1) * B - 1. Nothing
is dropped: a batch may hold the end of one epoch and the start of the next. A rank takes a contiguous share of each
batch, and a micro-batch a contiguous share of that, so that the union over ranks and micro-batches never depends on how
many there are.
"""

import signal
from collections.abc import Iterator
from itertools import count
from typing import Final

import torch
from torch.utils.data import DataLoader, Sampler

from vidgan.data.dataset import ClipDataset
from vidgan.data.names import DataError
from vidgan.seeding import generator
from vidgan.types import ClipBatch

Key = tuple[int, int]
_ORDERS_KEPT: Final = 2


class ClipLoader:
    """Batches of clips for one rank.

    Args:
        dataset: the items.
        batch_size: samples of a step over all ranks and micro-batches.
        seed: of the order of items.
        rank, world_size: this process, and how many there are.
        micro_batches: pieces that a rank's share of a step comes in, for gradient accumulation.
        workers: loader processes; 0 reads in this process. The stream is the same.
        timeout: seconds to wait for a worker before giving up with an error; without workers nothing is waited for.

    Raises:
        DataError: `batch_size` cannot be divided among ranks and micro-batches, or an argument is out of range.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        micro_batches: int = 1,
        workers: int = 0,
        timeout: float = 300.0,
    ) -> None:
        if min(batch_size, world_size, micro_batches) < 1 or not 0 <= rank < world_size:
            raise DataError(
                f"batch_size {batch_size}, world_size {world_size} and micro_batches {micro_batches} must be 1 or "
                f"more, rank {rank} from 0 to world_size - 1"
            )
        if batch_size % (world_size * micro_batches):
            raise DataError(
                f"batch_size {batch_size} cannot be divided among {world_size} processes x {micro_batches} "
                f"micro-batches; use a multiple of {world_size * micro_batches}"
            )
        if workers < 0 or timeout <= 0:
            raise DataError(f"workers is {workers} and timeout {timeout}; accepted: 0 or more, and above 0 seconds")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.micro_batches = micro_batches
        self.workers = workers
        self.timeout = timeout
        self._per_micro = batch_size // (world_size * micro_batches)
        self._orders: dict[int, list[int]] = {}

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every item is seen once; not a whole number in general, as batches run over epochs."""
        return len(self.dataset) / self.batch_size

    def rows(self, micro_batch: int) -> range:
        """Places in the global batch of the rows of one of this rank's micro-batches, to key their draws with."""
        first = (self.rank * self.micro_batches + micro_batch) * self._per_micro
        return range(first, first + self._per_micro)

    def keys(self, step: int, micro_batch: int) -> list[Key]:
        """(epoch, item) of every row of one of this rank's micro-batches."""
        return [self._key(step * self.batch_size + row) for row in self.rows(micro_batch)]

    def batches(self, start_step: int = 0) -> Iterator[list[ClipBatch]]:
        """This rank's micro-batches, step by step from `start_step`, without end.

        Close the iterator (or drop it) to end its workers.
        """
        if start_step < 0:
            raise DataError(f"start_step is {start_step}; accepted: 0 or more")
        return self._stream(start_step)

    def _stream(self, start_step: int) -> Iterator[list[ClipBatch]]:
        loader: DataLoader[ClipBatch] = DataLoader(
            self.dataset,
            batch_sampler=_KeySampler(self, start_step),
            num_workers=self.workers,
            timeout=self.timeout if self.workers else 0,
            worker_init_fn=_ignore_interrupt if self.workers else None,
            # An own generator: the loader draws a base seed, which must not move the global random numbers.
            generator=generator(self.seed, "loader"),
        )
        stream = iter(loader)
        try:
            while True:
                yield [next(stream) for _ in range(self.micro_batches)]
        finally:
            # After an error the traceback keeps the iterator alive, and the garbage collector would later break its
            # queues before it could dismiss the workers: each would then be waited for in vain for 5 seconds.
            dismiss = getattr(stream, "_shutdown_workers", None)
            if dismiss is not None:
                dismiss()

    def _key(self, position: int) -> Key:
        epoch, place = divmod(position, len(self.dataset))
        return epoch, self._order(epoch)[place]

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            while len(self._orders) >= _ORDERS_KEPT:
                del self._orders[min(self._orders)]
            order = torch.randperm(len(self.dataset), generator=generator(self.seed, "order", epoch))
            self._orders[epoch] = order.tolist()
        return self._orders[epoch]


class _KeySampler(Sampler[list[Key]]):
    """The keys of one micro-batch after another, without end."""

    def __init__(self, loader: ClipLoader, start_step: int) -> None:
        self.loader = loader
        self.start_step = start_step

    def __iter__(self) -> Iterator[list[Key]]:
        for step in count(self.start_step):
            for micro_batch in range(self.loader.micro_batches):
                yield self.loader.keys(step, micro_batch)


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the main one finishes its step and needs the workers for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
