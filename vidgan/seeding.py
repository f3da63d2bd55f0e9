"""Random numbers as a function of keys instead of global state.

A draw is keyed by (seed, purpose, step, row), where `row` is the position of a sample in the *global* batch. A sample
therefore gets the same numbers for any number of processes, loader workers and micro-batches, and after resuming.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from vidgan.seeds import Key, derive_seed

__all__ = ["Draws", "Key", "derive_seed", "generator"]

_LARGE = 2**15  # numbers per row from which drawing in threads is faster


def generator(*keys: Key, device: torch.device | str = "cpu") -> torch.Generator:
    """Generator seeded by `keys`."""
    return torch.Generator(device=device).manual_seed(derive_seed(*keys))


class Draws:
    """Random tensors for the rows of a batch. Row i has a random stream of its own, keyed by (*keys, rows[i]).

    Successive calls continue the streams; `fork` starts new ones under a longer key.

    Args:
        keys: integers and strings, for example seed, purpose and step.
        rows: positions of the rows in the global batch.
        device: device of the generators and the tensors.
    """

    def __init__(self, *keys: Key, rows: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.keys = keys
        self.rows = tuple(rows)
        self.device = torch.device(device)
        self._generators = [generator(*keys, row, device=self.device) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def fork(self, *keys: Key) -> "Draws":
        """Independent streams for the same rows, for another purpose."""
        return Draws(*self.keys, *keys, rows=self.rows, device=self.device)

    def copy(self) -> "Draws":
        """Copy with the present state of the streams; afterwards both advance independently."""
        duplicate = copy.copy(self)
        duplicate._generators = [stream.clone_state() for stream in self._generators]
        return duplicate

    def expand(self, copies: int) -> "Draws":
        """Draws for `copies` rows per row, in the order of ``rearrange(clip, "b t ... -> (b t) ...")``."""
        if copies == 1:
            return self
        rows = [row * copies + i for row in self.rows for i in range(copies)]
        return Draws(*self.keys, copies, rows=rows, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution, (B, *shape) float32."""
        return self._rows(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniformly from [0, 1), (B, *shape) float32."""
        return self._rows(torch.rand, shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw integers uniformly from 0..high-1, (B, *shape) int64."""
        return torch.stack([torch.randint(high, shape, generator=g, device=self.device) for g in self._generators])

    def _rows(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        """Draw every row directly into the result. Stacking rows copies them, which took longer than drawing."""
        drawn = torch.empty(len(self), *shape, device=self.device)

        def fill(row: Tensor, stream: torch.Generator) -> None:
            draw(shape, generator=stream, device=self.device, out=row)

        # Rows are independent, so they are drawn in parallel. (Inference tensors may be written by their thread only.)
        threads = torch.get_num_threads() if self.device.type == "cpu" and not torch.is_inference_mode_enabled() else 1
        if threads > 1 and len(self) > 1 and drawn[0].numel() >= _LARGE:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, drawn, self._generators))
        else:
            for row, stream in zip(drawn, self._generators, strict=True):
                fill(row, stream)
        return drawn
