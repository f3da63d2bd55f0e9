"""torch's random numbers of the CPU, drawn with numpy, so that a seed gives the same clip without torch.

torch's generator is the Mersenne Twister MT19937 seeded with the lowest 32 bits of the seed, as is numpy's. A uniform
number takes the lowest 24 bits of one word. Normal numbers are made by Box and Muller's transform, in blocks of 16
(8 radii, then 8 angles) for tensors of 16 and more, and in pairs of double precision for smaller ones. The results
equal `vidgan.seeding.Draws` up to rounding; a test compares them.
"""

import math

import numpy as np

from vidgan.seeds import Key, derive_seed

__all__ = ["NumpyDraws"]

_BLOCK = 16  # normal numbers that are made together


class NumpyDraws:
    """As `vidgan.seeding.Draws` on the CPU, with arrays in place of tensors.

    Args:
        keys: integers and strings.
        rows: positions of the rows in the global batch.
    """

    def __init__(self, *keys: Key, rows: "range | list[int]") -> None:
        self._streams = [_Stream(derive_seed(*keys, row)) for row in rows]

    def normal(self, *shape: int) -> np.ndarray:
        """Draw from the standard normal distribution, (B, *shape) float32."""
        return np.stack([stream.normal(math.prod(shape)).reshape(shape) for stream in self._streams])

    def uniform(self, *shape: int) -> np.ndarray:
        """Draw uniformly from [0, 1), (B, *shape) float32."""
        return np.stack([stream.uniform(math.prod(shape)).reshape(shape) for stream in self._streams])

    def integers(self, high: int, *shape: int) -> np.ndarray:
        """Draw integers uniformly from 0..high-1, high below 2**28: (B, *shape) int64."""
        drawn = [stream.words(math.prod(shape)) % np.uint32(high) for stream in self._streams]
        return np.stack([words.astype(np.int64).reshape(shape) for words in drawn])


class _Stream:
    """The numbers of one row."""

    def __init__(self, seed: int) -> None:
        self._words = np.random.RandomState(seed & 0xFFFFFFFF)
        self._second: float | None = None  # of the last pair of normal numbers

    def words(self, count: int) -> np.ndarray:
        """Random 32-bit words."""
        return self._words.randint(0, 2**32, size=count, dtype=np.uint32)

    def normal(self, count: int) -> np.ndarray:
        """(count,) float32."""
        if count < _BLOCK:
            return np.array([self._one_normal() for _ in range(count)], np.float32)
        uniform = self.uniform(count)
        whole = count - count % _BLOCK
        drawn = np.concatenate([_box_muller(uniform[:whole]), uniform[whole:]])
        if count % _BLOCK:
            drawn[-_BLOCK:] = _box_muller(self.uniform(_BLOCK))
        return drawn

    def uniform(self, count: int) -> np.ndarray:
        """(count,) float32 in [0, 1)."""
        return (self.words(count) & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)

    def _one_normal(self) -> float:
        if self._second is not None:
            value, self._second = self._second, None
            return value
        angle, square = (self._double() for _ in range(2))
        radius = math.sqrt(-2 * math.log1p(-square))
        self._second = radius * math.sin(2 * math.pi * angle)
        return radius * math.cos(2 * math.pi * angle)

    def _double(self) -> float:
        """Uniform in [0, 1), of 53 bits."""
        high, low = (int(word) for word in self.words(2))
        return ((high << 32 | low) & (2**53 - 1)) * 2.0**-53


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    """Uniform numbers (16 n,) -> normal numbers (16 n,)."""
    radii, angles = np.moveaxis(uniform.reshape(-1, 2, _BLOCK // 2), 1, 0)
    radius, angle = np.sqrt(-2 * np.log(1 - radii)), np.float32(2 * np.pi) * angles
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
