"""Which item comes where in the stream of training samples: pure functions of (seed, step, row).

`row` is the place of a sample in the global batch, so that nothing here knows of ranks, micro-batches or workers.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Protocol

import numpy as np
import torch

from vidgan.seeding import Key, generator

ItemKey = tuple[int, int]  # (epoch, item)
SHUFFLE_WINDOW: Final = 1024
"""Items of one shard that are shuffled among each other."""

_KEPT: Final = 2  # epochs whose order is remembered: a batch may hold the end of one and the start of the next


class Order(Protocol):
    """An endless stream of samples that shows every item once an epoch."""

    def key(self, step: int, row: int) -> ItemKey:
        """(epoch, item) of one sample."""
        ...


class FreeOrder:
    """Any item anywhere: sample p = step * B + row is item ``order(epoch)[p % N]`` of epoch ``p // N``.

    ``order(epoch)`` is a permutation of the N items keyed by (seed, epoch). A batch may hold the end of one epoch and
    the start of the next.
    """

    def __init__(self, items: int, *, batch_size: int, seed: int) -> None:
        self.items, self.batch_size, self.seed = items, batch_size, seed
        self._orders: dict[int, list[int]] = {}

    def key(self, step: int, row: int) -> ItemKey:
        """See `Order`."""
        epoch, place = divmod(step * self.batch_size + row, self.items)
        if epoch not in self._orders:
            while len(self._orders) >= _KEPT:
                del self._orders[min(self._orders)]
            order = torch.randperm(self.items, generator=generator(self.seed, "order", epoch))
            self._orders[epoch] = order.tolist()
        return epoch, self._orders[epoch][place]


class ShardOrder:
    """Each row of the batch walks its own part of the shards: nearly sequential reads, exact epochs.

    In each epoch the shards are put in a row in an order keyed by (seed, epoch), and the items within a shard are
    shuffled in windows. The row of all N items is cut into B parts of N/B items, one for each row of the batch, which
    takes one sample from its part at each step. A process therefore reads only the shards of its own rows, every byte
    is read by one process an epoch, and two processes open the same shard only where a cut goes through it.

    Parts need not be equal. Row l has finished ``(e N + l) // B`` samples when epoch e begins for it: these numbers
    never differ by more than one between rows, and over all rows they add up to e N (Hermite's identity), so that
    each epoch shows each item exactly once and no row ever waits for another.

    Args:
        shards: the items that lie in each shard, in the order in which they lie there.
        batch_size: B, samples of a step over all processes and micro-batches.
        seed: of the orders.
        window: see `SHUFFLE_WINDOW`.
    """

    def __init__(
        self, shards: Sequence[Sequence[int]], *, batch_size: int, seed: int, window: int = SHUFFLE_WINDOW
    ) -> None:
        self.shards = [np.asarray(shard, np.int64) for shard in shards if len(shard)]
        self.items = sum(len(shard) for shard in self.shards)
        self.batch_size, self.seed, self.window = batch_size, seed, window
        self._rows: dict[int, tuple[list[int], list[int], list[int]]] = {}
        self._windows: dict[tuple[int, int, int], np.ndarray] = {}

    def key(self, step: int, row: int) -> ItemKey:
        """See `Order`."""
        B, N = self.batch_size, self.items
        epoch = (
            B * (step + 1) - 1 - row
        ) // N  # the last one that has begun for this row: (epoch N + row) // B <= step
        begun = (epoch * N + row) // B
        cuts, order, ends = self._epoch(epoch)
        place = cuts[row] + step - begun  # in the row of all items
        i = bisect_right(ends, place)
        shard, within = order[i], place - (ends[i - 1] if i else 0)
        window, offset = divmod(within, self.window)
        return epoch, int(self._shuffled(epoch, shard, window)[offset])

    def shards_of(self, epoch: int, row: int) -> list[int]:
        """The shards that a row of the batch reads in an epoch, in order."""
        cuts, order, ends = self._epoch(epoch)
        first, last = cuts[row], cuts[row + 1] - 1
        return order[bisect_right(ends, first) : bisect_right(ends, last) + 1] if last >= first else []

    def _epoch(self, epoch: int) -> tuple[list[int], list[int], list[int]]:
        """Where the parts begin, the order of the shards, and where each of these ends; in the row of all items."""
        if epoch not in self._rows:
            while len(self._rows) >= _KEPT:
                del self._rows[min(self._rows)]
            B, N = self.batch_size, self.items
            parts = [((epoch + 1) * N + row) // B - (epoch * N + row) // B for row in range(B)]
            order = self._permutation(len(self.shards), "shards", epoch).tolist()
            ends = list(accumulate(len(self.shards[shard]) for shard in order))
            self._rows[epoch] = [0, *accumulate(parts)], order, ends
        return self._rows[epoch]

    def _shuffled(self, epoch: int, shard: int, window: int) -> np.ndarray:
        """The items of one window of a shard, shuffled."""
        key = (epoch, shard, window)
        if key not in self._windows:
            while len(self._windows) >= 2 * self.batch_size:  # a row of the batch stays in one window for long
                del self._windows[next(iter(self._windows))]
            items = self.shards[shard][window * self.window : (window + 1) * self.window]
            self._windows[key] = items[self._permutation(len(items), "window", *key)]
        return self._windows[key]

    def _permutation(self, count: int, *keys: Key) -> np.ndarray:
        return torch.randperm(count, generator=generator(self.seed, *keys)).numpy()
