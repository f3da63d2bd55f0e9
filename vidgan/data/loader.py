"""The stream of training batches as a pure function of the step.

Step s consists of samples s * B to (s + 1) * B - 1 of an endless stream that contains every item once per epoch;
nothing is dropped. An `Order` maps (seed, step, row) to an item; `row` is the position in the global batch. A rank
takes a contiguous share of each batch, and a micro-batch a contiguous share of that. The stream therefore depends
neither on the numbers of ranks, micro-batches and loader workers, nor on the step that a run resumed at.
"""

import multiprocessing
import signal
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, count
from types import FrameType
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate, get_worker_info

from vidgan.data.dataset import ClipDataset
from vidgan.data.store.clip_store import reading_lock
from vidgan.errors import DataError, LoaderError
from vidgan.seeding import Key, generator
from vidgan.types import ClipBatch

ItemKey = tuple[int, int]  # (epoch, item)
SHUFFLE_WINDOW: Final = 1024
"""Number of consecutive items of a shard that are shuffled together."""

_CACHED_EPOCHS: Final = 2  # a batch may contain the end of one epoch and the start of the next


class Order(Protocol):
    """An endless stream of samples that contains every item once per epoch."""

    def key(self, step: int, row: int) -> ItemKey:
        """(epoch, item) of a sample, by step and row of the global batch."""
        ...


class FreeOrder:
    """Fully shuffled: sample p = step * B + row is item ``order(epoch)[p % N]`` of epoch ``p // N``.

    ``order(epoch)`` is a permutation of the N items keyed by (seed, epoch). A batch may contain the end of one epoch
    and the start of the next.
    """

    def __init__(self, items: int, *, batch_size: int, seed: int) -> None:
        self.items, self.batch_size, self.seed = items, batch_size, seed
        self._orders: dict[int, list[int]] = {}

    def key(self, step: int, row: int) -> ItemKey:
        """See `Order`."""
        epoch, place = divmod(step * self.batch_size + row, self.items)
        if epoch not in self._orders:
            while len(self._orders) >= _CACHED_EPOCHS:
                del self._orders[min(self._orders)]
            order = torch.randperm(self.items, generator=generator(self.seed, "order", epoch))
            self._orders[epoch] = order.tolist()
        return epoch, self._orders[epoch][place]


class ShardOrder:
    """Each row of the batch reads its own part of the shards: nearly sequential reads, exact epochs.

    In each epoch the shards are concatenated in an order keyed by (seed, epoch), and the items within a shard are
    shuffled in windows. This sequence of all N items is divided into B parts of N/B items, one per row of the batch,
    which takes one sample from its part at each step. A process therefore reads only the shards of its own rows, every
    byte is read by one process per epoch, and two processes open the same shard only where it belongs to two parts.

    Parts need not be equal. Row l has finished ``(e N + l) // B`` samples when epoch e begins for it. These numbers
    differ by at most one between rows, and their sum over all rows is e N (Hermite's identity). Each epoch therefore
    contains each item exactly once, and no row waits for another.

    Args:
        shards: the items of each shard, in storage order.
        batch_size: B, samples per step over all processes and micro-batches.
        seed: seed of the orders.
        window: see `SHUFFLE_WINDOW`.
    """

    def __init__(
        self, shards: Sequence[Sequence[int]], *, batch_size: int, seed: int, window: int = SHUFFLE_WINDOW
    ) -> None:
        self.shards = [np.asarray(shard, np.int64) for shard in shards if len(shard)]
        self.items = sum(len(shard) for shard in self.shards)
        self.batch_size, self.seed, self.window = batch_size, seed, window
        self._epochs: dict[int, tuple[list[int], list[int], list[int]]] = {}
        self._windows: dict[tuple[int, int, int], np.ndarray] = {}

    def key(self, step: int, row: int) -> ItemKey:
        """See `Order`."""
        B, N = self.batch_size, self.items
        # The last epoch that has begun for this row: (epoch N + row) // B <= step.
        epoch = (B * (step + 1) - 1 - row) // N
        begun = (epoch * N + row) // B
        cuts, order, ends = self._epoch(epoch)
        place = cuts[row] + step - begun  # in the sequence of all items
        i = bisect_right(ends, place)
        shard, within = order[i], place - (ends[i - 1] if i else 0)
        window, offset = divmod(within, self.window)
        return epoch, int(self._shuffled(epoch, shard, window)[offset])

    def _epoch(self, epoch: int) -> tuple[list[int], list[int], list[int]]:
        """Starts of the parts, order of the shards, and end of each shard, in the sequence of all items."""
        if epoch not in self._epochs:
            while len(self._epochs) >= _CACHED_EPOCHS:
                del self._epochs[min(self._epochs)]
            B, N = self.batch_size, self.items
            parts = [((epoch + 1) * N + row) // B - (epoch * N + row) // B for row in range(B)]
            order = self._permutation(len(self.shards), "shards", epoch).tolist()
            ends = list(accumulate(len(self.shards[shard]) for shard in order))
            self._epochs[epoch] = [0, *accumulate(parts)], order, ends
        return self._epochs[epoch]

    def _shuffled(self, epoch: int, shard: int, window: int) -> np.ndarray:
        """The items of one window of a shard, shuffled."""
        key = (epoch, shard, window)
        if key not in self._windows:
            while len(self._windows) >= 2 * self.batch_size:  # a row stays in one window for many steps
                del self._windows[next(iter(self._windows))]
            items = self.shards[shard][window * self.window : (window + 1) * self.window]
            self._windows[key] = items[self._permutation(len(items), "window", *key)]
        return self._windows[key]

    def _permutation(self, count: int, *keys: Key) -> np.ndarray:
        return torch.randperm(count, generator=generator(self.seed, *keys)).numpy()


class ClipLoader:
    """Batches of clips for one rank.

    Args:
        dataset: the items. Items in shards come in an order that reads each shard nearly sequentially.
        batch_size: samples per step over all ranks and micro-batches.
        seed: seed of the order of items.
        rank, world_size: this process, and the number of processes.
        micro_batches: number of pieces of a rank's share of a step, for gradient accumulation.
        workers: number of loader workers; 0 reads in this process. The stream does not depend on it.
        pin_memory: use page-locked memory, so that copies to a GPU overlap with its work.
        timeout: maximum seconds to wait for a worker.

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
        pin_memory: bool = False,
        timeout: float = 300.0,
    ) -> None:
        if min(batch_size, world_size, micro_batches) < 1 or not 0 <= rank < world_size:
            raise DataError(
                f"batch_size is {batch_size}, world_size {world_size}, micro_batches {micro_batches} and rank {rank}; "
                "accepted: 1 or more, and a rank from 0 to world_size - 1"
            )
        if batch_size % (world_size * micro_batches):
            raise DataError(
                f"batch_size is {batch_size}; accepted for {world_size} processes x {micro_batches} micro-batches: a "
                f"multiple of {world_size * micro_batches}"
            )
        if workers < 0 or timeout <= 0:
            raise DataError(f"workers is {workers} and timeout {timeout}; accepted: 0 or more, and above 0 seconds")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.micro_batches = micro_batches
        self.workers = workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self._per_micro = batch_size // (world_size * micro_batches)
        shards = dataset.shards
        self._order: Order = (
            FreeOrder(len(dataset), batch_size=batch_size, seed=seed)
            if shards is None
            else ShardOrder(shards, batch_size=batch_size, seed=seed)
        )

    @property
    def steps_per_epoch(self) -> float:
        """Number of items / batch size; not an integer in general, since batches may span two epochs."""
        return len(self.dataset) / self.batch_size

    def rows(self, micro_batch: int) -> range:
        """Positions in the global batch of one of this rank's micro-batches; keys for random draws."""
        first = (self.rank * self.micro_batches + micro_batch) * self._per_micro
        return range(first, first + self._per_micro)

    def keys(self, step: int, micro_batch: int) -> list[ItemKey]:
        """(epoch, item) of each row of one of this rank's micro-batches."""
        return [self._order.key(step, row) for row in self.rows(micro_batch)]

    def batches(self, start_step: int = 0) -> Iterator[list[ClipBatch]]:
        """This rank's micro-batches for each step from `start_step`, endless.

        Close or delete the iterator to end its workers.

        Raises:
            DataError: `start_step` is negative; while iterating: a file is missing or damaged.
            LoaderError: while iterating: a worker died, or did not answer for `timeout` seconds.
        """
        if start_step < 0:
            raise DataError(f"start_step is {start_step}; accepted: 0 or more")
        return self._stream(start_step)

    def _stream(self, start_step: int) -> Iterator[list[ClipBatch]]:
        reader = _Reader(self.dataset, self.workers)
        loader: DataLoader[ClipBatch] = DataLoader(
            reader,
            batch_sampler=_KeySampler(self, start_step),
            num_workers=self.workers,
            collate_fn=_collate,
            timeout=self.timeout if self.workers else 0,
            pin_memory=self.pin_memory,
            worker_init_fn=_ignore_interrupt if self.workers else None,
            # The DataLoader draws a base seed, which must not advance the global generator.
            generator=generator(self.seed, "loader"),
        )
        stream = iter(loader)

        def failure() -> LoaderError:
            return LoaderError(reader.describe_failure(getattr(stream, "_workers", []), self.timeout))

        try:
            with reading_lock(self.dataset.root), _explain_worker_deaths(failure):
                while True:
                    yield [_next(stream, failure) for _ in range(self.micro_batches)]
        finally:
            # After an error the traceback keeps the iterator alive. The garbage collector would later destroy its
            # queues before it shuts down the workers, and then wait 5 seconds for each.
            shut_down = getattr(stream, "_shutdown_workers", None)
            if shut_down is not None:
                shut_down()


@dataclass(frozen=True)
class _Refused:
    """A DataError sent by a worker; an exception would arrive as the text of a traceback."""

    message: str


class _Reader(Dataset[ClipBatch]):
    """Reads micro-batches, and records the current item of each worker in memory shared with the main process."""

    def __init__(self, dataset: ClipDataset, workers: int) -> None:
        self.dataset = dataset
        self._current_items = multiprocessing.RawArray("q", [-1] * max(1, workers))

    def __getitems__(self, keys: list[ItemKey]) -> list[ClipBatch] | _Refused:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        rows = []
        try:
            self.dataset.check_unchanged()
            for key in keys:
                self._current_items[worker] = key[1]
                rows.append(self.dataset[key])
        except DataError as error:
            return _Refused(str(error))
        self._current_items[worker] = -1
        return rows

    def describe_failure(self, workers: list[Any], timeout: float) -> str:
        """Message about the workers that died, or about all workers if they are alive but do not answer."""
        dead = [i for i, worker in enumerate(workers) if worker.exitcode is not None]
        parts = []
        for i in dead or range(len(workers)):
            item = self._current_items[i]
            activity = (
                f"reading item {item} ({self.dataset.clip_of(item).source})" if item >= 0 else "between two items"
            )
            code = workers[i].exitcode
            end = f"was killed by signal {-code}" if code and code < 0 else f"exited with code {code}"
            parts.append(f"loader worker {i} (process {workers[i].pid}) {end if i in dead else 'was'} {activity}")
        advice = "If it ran out of memory, reduce data.workers; data.workers=0 reads in the training process"
        late = "" if dead else f"no batch for {timeout:g} s: "
        return f"{late}{'; '.join(parts)}. {advice}"


class _Packed(NamedTuple):
    """A micro-batch sent by a worker. Every tensor costs a round trip, so small ones are sent as lists."""

    clip: Tensor
    flow: Tensor | None
    category: list[int]
    item: list[int]
    caption: list[list[list[int]]]

    def unpacked(self) -> ClipBatch:
        B, _, _, H, W = self.clip.shape
        flow = torch.empty(B, 0, 2, H, W) if self.flow is None else self.flow
        caption = torch.tensor(self.caption, dtype=torch.int64)
        return ClipBatch(self.clip, torch.tensor(self.category), flow, torch.tensor(self.item), caption)


def _collate(rows: list[ClipBatch] | _Refused) -> _Packed | _Refused:
    if isinstance(rows, _Refused):
        return rows
    batch: ClipBatch = default_collate(rows)
    flow = batch.flow if batch.flow.numel() else None
    return _Packed(batch.clip, flow, batch.category.tolist(), batch.item.tolist(), batch.caption.tolist())


def _next(stream: Iterator[_Packed | _Refused], failure: Callable[[], LoaderError]) -> ClipBatch:
    try:
        batch = next(stream)
    except LoaderError:
        raise
    except RuntimeError as error:
        if "exited unexpectedly" in str(error) or "timed out" in str(error):
            raise failure() from error
        raise
    if isinstance(batch, _Refused):
        raise DataError(batch.message)
    return batch.unpacked()


@contextmanager
def _explain_worker_deaths(failure: Callable[[], LoaderError]) -> Iterator[None]:
    """Replace the RuntimeError that torch's SIGCHLD handler raises in the main thread when a worker dies."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can set handlers
        yield
        return
    inner = signal.getsignal(signal.SIGCHLD)

    def handler(number: int, frame: FrameType | None) -> None:
        try:
            if callable(inner):
                inner(number, frame)
        except RuntimeError as error:
            raise failure() from error

    signal.signal(signal.SIGCHLD, handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGCHLD) is handler:
            with suppress(ValueError):  # raised if the garbage collector closes the stream in another thread
                signal.signal(signal.SIGCHLD, inner)


class _KeySampler(Sampler[list[ItemKey]]):
    """The keys of consecutive micro-batches, endless."""

    def __init__(self, loader: ClipLoader, start_step: int) -> None:
        self.loader = loader
        self.start_step = start_step

    def __iter__(self) -> Iterator[list[ItemKey]]:
        for step in count(self.start_step):
            for micro_batch in range(self.loader.micro_batches):
                yield self.loader.keys(step, micro_batch)


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal, but the main process needs the workers to finish its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
