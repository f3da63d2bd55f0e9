"""`ClipStore`, the interface that training and evaluation read pixels through, and the files it keeps open."""

import fcntl
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from vidgan.data.store.index import ClipEntry, Index
from vidgan.errors import DataError

T = TypeVar("T")


class ClipStore(ABC):
    """Reads frames of the clips of one data set. All stores return the same pixels for the same frames.

    Stores can be pickled and sent to other processes: files are opened by the process that reads them.

    Args:
        root: folder of the data set.
        index: its index.
    """

    def __init__(self, root: Path, index: Index) -> None:
        self.root, self.size = root, index.size

    @abstractmethod
    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """Raise DataError, naming the file, unless all files of these clips (and their flow) exist."""

    @abstractmethod
    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """Frames of a clip by number, counted from the clip's first: uint8 (T, H, W, 3). Raises DataError."""

    @abstractmethod
    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """Stored flow between `count` + 1 frames from `start`: float32 (count, 2, H, W), pixels. Raises DataError."""

    def shards(self, entries: Sequence[ClipEntry]) -> list[list[int]] | None:
        """Positions of the entries in each shard, in reading order; None where the order does not matter."""
        return None

    def _frames_shape(self, entry: ClipEntry) -> tuple[int, ...]:
        return entry.frames, *self.size, 3

    def _flow_shape(self, entry: ClipEntry) -> tuple[int, ...]:
        return entry.frames - 1, 2, *self.size


@contextmanager
def reading_lock(root: Path) -> Iterator[None]:
    """Keep `vidgan prepare` from changing the data set in `root`, on file systems with locks."""
    handle = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{root}: `vidgan prepare` is writing to this data set; wait for it or stop it") from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


class OpenFiles(Generic[T]):
    """The files most recently used by this process, opened on demand; the least recently used one is closed.

    Decoders and descriptors must be neither shared with a forked process nor pickled, so the set is empty in a new
    process.
    """

    def __init__(self, open_file: Callable[[str], T], close: Callable[[T], None], most: int) -> None:
        self._open, self._close, self._most = open_file, close, most
        self._files: OrderedDict[str, T] = OrderedDict()
        self._inherited: list[OrderedDict[str, T]] = []
        self._process = os.getpid()

    def __getitem__(self, name: str) -> T:
        if self._process != os.getpid():
            self._inherited.append(self._files)  # referenced, so that they are not closed: the parent uses them
            self._files, self._process = OrderedDict(), os.getpid()
        if name not in self._files:
            while len(self._files) >= self._most:
                self._close(self._files.popitem(last=False)[1])
            self._files[name] = self._open(name)
        self._files.move_to_end(name)
        return self._files[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict(), "_inherited": []}
