"""The stream of training batches as a pure function of the step.

Step s consists of samples s * B to (s + 1) * B - 1 of an endless stream (`vidgan.data.order`) in which every item comes
once an epoch; nothing is dropped. A rank takes a contiguous share of each batch, and a micro-batch a contiguous share
of that, so that the union over ranks and micro-batches never depends on how many there are, nor on loader processes,
nor on the step that a run was resumed at.
"""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate, get_worker_info

from vidgan.data.dataset import ClipDataset
from vidgan.data.order import FreeOrder, ItemKey, Order, ShardOrder
from vidgan.errors import DataError, LoaderError
from vidgan.seeding import generator
from vidgan.types import ClipBatch


class ClipLoader:
    """Batches of clips for one rank.

    Args:
        dataset: the items. From shards they come in an order that reads each shard nearly from front to back.
        batch_size: samples of a step over all ranks and micro-batches.
        seed: of the order of items.
        rank, world_size: this process, and how many there are.
        micro_batches: pieces that a rank's share of a step comes in, for gradient accumulation.
        workers: loader processes; 0 reads in this process. The stream is the same.
        pin_memory: put batches in page-locked memory, from which copies to a GPU overlap with its work.
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
        pin_memory: bool = False,
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
        """Steps in which every item is seen once; not a whole number in general, as batches run over epochs."""
        return len(self.dataset) / self.batch_size

    def rows(self, micro_batch: int) -> range:
        """Places in the global batch of the rows of one of this rank's micro-batches, to key their draws with."""
        first = (self.rank * self.micro_batches + micro_batch) * self._per_micro
        return range(first, first + self._per_micro)

    def keys(self, step: int, micro_batch: int) -> list[ItemKey]:
        """(epoch, item) of every row of one of this rank's micro-batches."""
        return [self._order.key(step, row) for row in self.rows(micro_batch)]

    def batches(self, start_step: int = 0) -> Iterator[list[ClipBatch]]:
        """This rank's micro-batches, step by step from `start_step`, without end.

        Close the iterator (or drop it) to end its workers.

        Raises:
            DataError: when `start_step` is negative; while iterating, when a file turns out missing or damaged.
            LoaderError: while iterating, when a worker died or has not answered for `timeout` seconds.
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
            # An own generator: the loader draws a base seed, which must not move the global random numbers.
            generator=generator(self.seed, "loader"),
        )
        stream = iter(loader)

        def failure() -> LoaderError:
            return LoaderError(reader.describe_failure(getattr(stream, "_workers", []), self.timeout))

        try:
            with _deaths_named(failure):
                while True:
                    yield [_next(stream, failure) for _ in range(self.micro_batches)]
        finally:
            # After an error the traceback keeps the iterator alive, and the garbage collector would later break its
            # queues before it could dismiss the workers: each would then be waited for in vain for 5 seconds.
            dismiss = getattr(stream, "_shutdown_workers", None)
            if dismiss is not None:
                dismiss()


@dataclass(frozen=True)
class _Refused:
    """A DataError on its way from a worker: as an exception it would arrive as the text of a traceback."""

    message: str


class _Reader(Dataset[ClipBatch]):
    """Reads micro-batches, and notes what each worker has in hand where the main process can see it."""

    def __init__(self, dataset: ClipDataset, workers: int) -> None:
        self.dataset = dataset
        self._in_hand = multiprocessing.RawArray("q", [-1] * max(1, workers))

    def __getitems__(self, keys: list[ItemKey]) -> list[ClipBatch] | _Refused:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        rows = []
        try:
            for key in keys:
                self._in_hand[worker] = key[1]
                rows.append(self.dataset[key])
        except DataError as error:
            return _Refused(str(error))
        self._in_hand[worker] = -1
        return rows

    def describe_failure(self, workers: list[Any], timeout: float) -> str:
        """What is known of workers that died, or of all of them if they live and do not answer."""
        dead = [i for i, worker in enumerate(workers) if worker.exitcode is not None]
        parts = []
        for i in dead or range(len(workers)):
            item = self._in_hand[i]
            doing = f"reading item {item} ({self.dataset.clip_of(item).source})" if item >= 0 else "between two items"
            code = workers[i].exitcode
            end = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
            parts.append(f"loader worker {i} (process {workers[i].pid}) {end if i in dead else 'was'} {doing}")
        advice = (
            "If memory ran out, lower data.workers; data.workers=0 reads in the training process and shows the cause"
        )
        late = "" if dead else f"no batch came for {timeout:g} s: "
        return f"{late}{'; '.join(parts)}. {advice}"


class _Packed(NamedTuple):
    """A micro-batch on its way from a worker: every tensor costs a round trip to it, so small ones go as lists."""

    clip: Tensor
    flow: Tensor | None  # None where there is none
    category: list[int]
    item: list[int]

    def unpacked(self) -> ClipBatch:
        B, _, _, H, W = self.clip.shape
        flow = torch.empty(B, 0, 2, H, W) if self.flow is None else self.flow
        return ClipBatch(self.clip, torch.tensor(self.category), flow, torch.tensor(self.item))


def _collate(rows: list[ClipBatch] | _Refused) -> _Packed | _Refused:
    if isinstance(rows, _Refused):
        return rows
    batch: ClipBatch = default_collate(rows)
    flow = batch.flow if batch.flow.numel() else None
    return _Packed(batch.clip, flow, batch.category.tolist(), batch.item.tolist())


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
def _deaths_named(failure: Callable[[], LoaderError]) -> Iterator[None]:
    """When a loader process dies, torch raises at once, in the middle of whatever the main thread does: say of what."""
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set, nor does torch
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
            with suppress(ValueError):  # closed by the garbage collector, in another thread
                signal.signal(signal.SIGCHLD, inner)


class _KeySampler(Sampler[list[ItemKey]]):
    """The keys of one micro-batch after another, without end."""

    def __init__(self, loader: ClipLoader, start_step: int) -> None:
        self.loader = loader
        self.start_step = start_step

    def __iter__(self) -> Iterator[list[ItemKey]]:
        for step in count(self.start_step):
            for micro_batch in range(self.loader.micro_batches):
                yield self.loader.keys(step, micro_batch)


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the main one finishes its step and needs the workers for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
