"""Features of single frames or pairs of frames: each distinct one is computed once, in memory and on disk.

A network reads most frames of an evaluation several times: a shuffled control has the frames of the real clips, and a
second evaluation has the same real clips. Files lie in `features` of the cache and are named after a hash of the
frames, the weights and the preparation. The oldest files are deleted above `MOST_BYTES`.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan.evaluation.share import Share
from vidgan.files import atomic_file
from vidgan.metrics.values import Values
from vidgan.types import ByteClip

Describe: TypeAlias = Callable[[Tensor], Tensor]

MOST_BYTES: Final = 2_000_000_000
_BATCH: Final = 16  # items per call on a GPU


class CachedFeatures:
    """A function from clips (N, T, 3, H, W) uint8 to features (N, W, D), of windows of `length` frames each `step`.

    The numbers do not depend on batches, threads or processes: on a CPU every window goes through the network alone.

    Args:
        describe: windows (B, length, 3, H, W) uint8 -> (B, D).
        key: identifies network, weights and preparation.
        length: frames of a window: 1 for features of single frames (W = T).
        step: frames between the starts of two windows.
        device: of the network.
        folder: of the files; None: memory only.
        share: the position of this process among those that share the work.
    """

    def __init__(
        self,
        describe: Describe,
        key: str,
        *,
        length: int = 1,
        step: int = 1,
        device: torch.device | str = "cpu",
        folder: Path | None = None,
        share: Share = Share(),
    ) -> None:
        self.describe = describe
        self.key = key
        self.length = length
        self.step = step
        self.device = torch.device(device)
        self.folder = folder
        self.share = share
        self._rows: dict[bytes, np.ndarray] = {}

    def __call__(self, clips: ByteClip) -> Values:
        if clips.shape[1] < self.length:
            raise ValueError(f"this measure needs clips of at least {self.length} frames, got {clips.shape[1]}")
        starts = range(0, clips.shape[1] - self.length + 1, self.step)
        windows = [clip[start : start + self.length] for clip in clips.cpu() for start in starts]
        keys = [self._key_of(window) for window in windows]
        missing = {key: window for key, window in zip(keys, windows, strict=True) if key not in self._rows}
        if missing:
            self._rows.update(zip(missing, self._read_or_compute(list(missing), list(missing.values())), strict=True))
        rows = np.stack([self._rows[key] for key in keys]).astype(np.float64)
        return rearrange(rows, "(n w) d -> n w d", n=len(clips))

    def _key_of(self, window: Tensor) -> bytes:
        digest = hashlib.blake2b(repr(tuple(window.shape)).encode(), digest_size=16)
        digest.update(window.contiguous().numpy().tobytes())
        return digest.digest()

    def _read_or_compute(self, keys: Sequence[bytes], windows: Sequence[Tensor]) -> np.ndarray:
        name = hashlib.blake2b(self.key.encode() + b"".join(keys), digest_size=16).hexdigest()
        path = None if self.folder is None else self.folder / f"{name}.npy"
        rows = None if path is None else _read(path, len(keys))
        if int(self.share.total(np.array([int(rows is not None)]))[0]) < self.share.processes:
            rows = None  # all processes have it, or all compute
        if rows is not None:
            return rows
        rows = self._compute(windows)
        if path is not None and self.share.rank == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as file:
                np.save(file, rows)
            _prune(path.parent)
        return rows

    def _compute(self, windows: Sequence[Tensor]) -> np.ndarray:
        """Features of all windows; several processes compute every n-th batch and exchange them."""
        size = 1 if self.device.type == "cpu" else _BATCH
        batches = [windows[first : first + size] for first in range(0, len(windows), size)]
        mine = range(self.share.rank, len(batches), self.share.processes)

        def describe(at: int) -> np.ndarray:
            with torch.inference_mode():
                return self.describe(torch.stack(list(batches[at])).to(self.device)).float().cpu().numpy()

        with _one_thread_each() as workers, ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(describe, mine))
        width = int(self.share.total(np.array([parts[0].shape[1] if self.share.rank == 0 else 0]))[0])
        table = np.zeros((len(windows), width), np.float32)
        for at, part in zip(mine, parts, strict=True):
            table[at * size : at * size + len(part)] = part
        return self.share.total(table)


def _read(path: Path, number: int) -> np.ndarray | None:
    """The rows of a file, so many; None if it is missing or damaged."""
    if not path.is_file():
        return None
    with suppress(ValueError, OSError, EOFError):
        rows = np.load(path, allow_pickle=False)
        path.touch()
        return rows if rows.ndim == 2 and len(rows) == number else None
    return None


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Let torch use one thread per call, and yield the number of calls that may run at once."""
    number = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield number
    finally:
        torch.set_num_threads(number)


def _prune(folder: Path) -> None:
    """Delete the files that were not used for longest, down to `MOST_BYTES`."""
    with suppress(OSError):  # another process may delete the same files
        files = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)
