"""Random numbers as a function of keys, never of what was drawn before.

A draw is keyed by (seed, purpose, step, row) where `row` is the place of a sample in the *global* batch. The same
sample therefore meets the same numbers whatever the process count, the worker count, accumulation, or a resume.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

Key = int | str

_LARGE = 2**15  # numbers of a row, from which on a thread is worth its start


def derive_seed(*keys: Key) -> int:
    """A 63-bit seed from integers and strings; different key tuples give unrelated seeds."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*keys: Key, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose whole stream is determined by `keys`."""
    return torch.Generator(device=device).manual_seed(derive_seed(*keys))


class Draws:
    """Random tensors for the rows of a batch, row i drawn from its own stream keyed by (*keys, rows[i]).

    Successive calls on one object continue the streams; `fork` starts fresh streams under a longer key.
    """

    def __init__(self, *keys: Key, rows: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.keys = keys
        self.rows = tuple(rows)
        self.device = torch.device(device)
        self._generators = [generator(*keys, row, device=self.device) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def fork(self, *keys: Key) -> "Draws":
        """Independent draws for the same rows, for another purpose."""
        return Draws(*self.keys, *keys, rows=self.rows, device=self.device)

    def copy(self) -> "Draws":
        """Draws that continue from where these are now; each then goes on without the other."""
        twin = copy.copy(self)
        twin._generators = [stream.clone_state() for stream in self._generators]
        return twin

    def expand(self, copies: int) -> "Draws":
        """Draws for `copies` rows in the place of each row, as after `clip.flatten(0, 1)`."""
        if copies == 1:
            return self
        rows = [row * copies + i for row in self.rows for i in range(copies)]
        return Draws(*self.keys, copies, rows=rows, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (B, *shape) float32."""
        return self._rows(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), (B, *shape) float32."""
        return self._rows(torch.rand, shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Uniform integers in 0..high-1, (B, *shape) int64."""
        return torch.stack([torch.randint(high, shape, generator=g, device=self.device) for g in self._generators])

    def _rows(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        """Each row drawn in its place: stacking rows copies all of them, which took longer than drawing."""
        drawn = torch.empty(len(self), *shape, device=self.device)

        def fill(row: Tensor, stream: torch.Generator) -> None:
            draw(shape, generator=stream, device=self.device, out=row)

        # A stream runs on one core, but rows have streams of their own. (Inference tensors are bound to their thread.)
        threads = torch.get_num_threads() if self.device.type == "cpu" and not torch.is_inference_mode_enabled() else 1
        if threads > 1 and len(self) > 1 and drawn[0].numel() >= _LARGE:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, drawn, self._generators))
        else:
            for row, stream in zip(drawn, self._generators, strict=True):
                fill(row, stream)
        return drawn
