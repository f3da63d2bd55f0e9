"""Where training reads its pixels from: cached frames, the source videos themselves, or shards.

- `FrameStore`: one .npy file a clip; the quickest.
- `VideoStore`: the videos are decoded as they are needed; no copy of them is kept.
- `ShardStore`: the cached frames packed into large tar files, for network file systems and many machines.

All three return the same pixels for the same frames of the same clip.
"""

import os
import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np

from vidgan.data.store.index import ClipEntry, Index, clip_path, flow_path
from vidgan.data.store.npy_rows import HEADER_BYTES, NpyArray, parse_header
from vidgan.data.store.shards import Member, Place, Shard, check_shard, load_manifest, shards_folder
from vidgan.data.store.timing import as_read
from vidgan.data.store.videos import VideoFacts, source_name
from vidgan.errors import DataError
from vidgan.video.random_access import VideoIndex, VideoReader

T = TypeVar("T")
_OPEN_VIDEOS: Final = 16  # per process: a reader holds a decoder and its picture buffers
_OPEN_SHARDS: Final = 256  # per process: a descriptor each, and every row of a batch reads another shard
_CHUNK: Final = 1 << 20


class ClipStore(ABC):
    """Reads frames of the clips of one data set. Safe to hand to other processes: files are opened where they are read.

    Args:
        root: folder of the data set.
        index: its index.
    """

    def __init__(self, root: Path, index: Index) -> None:
        self.root, self.size = root, index.size

    @abstractmethod
    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """Raise DataError, naming the file, unless all that these clips (and their flow) need is there."""

    @abstractmethod
    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """Frames of a clip by number, counted from the clip's first: uint8 (T, H, W, 3). Raises DataError."""

    @abstractmethod
    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """The stored flow between `count` + 1 frames from `start` on: float32 (count, 2, H, W). Raises DataError."""

    def shards(self, entries: Sequence[ClipEntry]) -> list[list[int]] | None:
        """Which of the entries lie in one file and are best read together, in order; None where it makes no odds."""
        return None

    def _frames_shape(self, entry: ClipEntry) -> tuple[int, ...]:
        return entry.frames, *self.size, 3

    def _flow_shape(self, entry: ClipEntry) -> tuple[int, ...]:
        return entry.frames - 1, 2, *self.size


class FrameStore(ClipStore):
    """Cached frames, ``clips/<id>.npy``. Only the frames asked for are read from disk, and no file stays open."""

    def __init__(self, root: Path, index: Index) -> None:
        super().__init__(root, index)
        self._headers: dict[str, tuple[int, int, NpyArray]] = {}  # parsing one takes longer than reading an item

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        for entry in entries:
            for path in (clip_path(self.root, entry), *([flow_path(self.root, entry)] if flow else [])):
                if not path.is_file():
                    raise DataError(f"{path}: missing, though the index lists it; run `vidgan prepare` again")

    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """See `ClipStore`."""
        return self._rows(str(clip_path(self.root, entry)), self._frames_shape(entry), np.dtype(np.uint8), indices)

    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """See `ClipStore`."""
        path, dtype = str(flow_path(self.root, entry)), np.dtype(np.float16)
        return self._rows(path, self._flow_shape(entry), dtype, range(start, start + count)).astype(np.float32)

    def _rows(self, path: str, shape: tuple[int, ...], dtype: np.dtype, rows: Sequence[int]) -> np.ndarray:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return self._array(path, handle, shape, dtype).read(handle, rows)
            finally:
                os.close(handle)
        except (ValueError, OSError, EOFError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: cannot be read ({error}); run `vidgan prepare` again") from error

    def _array(self, path: str, handle: int, shape: tuple[int, ...], dtype: np.dtype) -> NpyArray:
        """Where the array lies, checked against the index once for each state of the file."""
        found = os.fstat(handle)
        size, changed, array = self._headers.get(path, (None, None, None))
        if array is None or (size, changed) != (found.st_size, found.st_mtime_ns):
            array = parse_header(os.pread(handle, HEADER_BYTES, 0))
            if array.shape != shape or array.dtype != dtype:
                holds = f"{array.dtype} {array.shape}"
                raise DataError(f"{path}: holds {holds} where the index says {dtype} {shape}; prepare again")
            self._headers[path] = found.st_size, found.st_mtime_ns, array
        return array


class VideoStore(ClipStore):
    """Direct decode: key-frame seeks into the source videos, scaled as they were when the data set was prepared.

    The presentation times and key frames that `prepare` wrote down are used, so that nothing is scanned again. A few
    readers stay open in each process. A file that has changed or gone since is refused.
    """

    def __init__(self, root: Path, index: Index) -> None:
        super().__init__(root, index)
        self.source_root = Path(str(index.source_root))
        self._facts = VideoFacts(root)
        self._fps, self._every = index.fps, int(index.settings["every"])
        self._scaling = {"size": index.size, "fit": index.settings["fit"], "resample": index.settings["resample"]}
        self._videos: OpenFiles[_OpenVideo] = OpenFiles(self._open, _OpenVideo.close, _OPEN_VIDEOS)

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        if flow:
            raise DataError(f"{self.root}: store 'video' keeps no flow; prepare with store 'frames' or 'shards'")
        for name in dict.fromkeys(entry.file for entry in entries):
            if not (self.source_root / name).is_file():
                raise DataError(f"{self.source_root / name}: missing, and {self.root} reads this video; put it back")

    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """See `ClipStore`."""
        try:
            video = self._videos[source_name(entry)]
            return video.reader.frames(video.numbers[entry.start + np.asarray(indices)].tolist())
        except (ValueError, OSError) as error:
            path = self.source_root / entry.file
            raise DataError(f"{path}: cannot be read as prepared ({error}); put it back or prepare again") from error

    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """See `ClipStore`; `check` has refused it before."""
        raise DataError(f"{self.root}: store 'video' keeps no flow")

    def _open(self, name: str) -> "_OpenVideo":
        facts = self._facts.of(name)
        index = VideoIndex.from_json(facts["index"])
        reader = VideoReader(self.source_root / facts["file"], index=index, **self._scaling)
        return _OpenVideo(reader, as_read(facts, self._fps, self._every))


class _OpenVideo(NamedTuple):
    reader: VideoReader
    numbers: np.ndarray  # of the frames as `prepare` read them

    def close(self) -> None:
        self.reader.close()


class ShardStore(ClipStore):
    """Cached frames in tar files, read in place by offset; nothing is unpacked.

    The first time that a process reads a clip it reads all of it, compares the checksum, and so brings it from disk in
    one piece; a damaged clip never reaches training. Later reads take the frames alone.
    """

    def __init__(self, root: Path, index: Index) -> None:
        super().__init__(root, index)
        self._shards = load_manifest(root)
        self._members = {member.id: (shard, member) for shard in self._shards for member in shard.clips}
        self._checked: dict[tuple[str, int], NpyArray] = {}  # by shard and offset of the member
        self._handles: OpenFiles[int] = OpenFiles(self._open, os.close, _OPEN_SHARDS)

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        shards = {}
        for entry in entries:
            shard, member = self._members.get(entry.id, (None, None))
            if shard is None or member is None or member.digest != entry.digest or (flow and member.flow is None):
                raise DataError(
                    f"{shards_folder(self.root)}: clip {entry.id} of the index is not in the manifest; prepare again"
                )
            shards[shard.name] = shard
        for shard in shards.values():
            check_shard(self.root, shard)

    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """See `ClipStore`."""
        shard, member = self._members[entry.id]
        return self._rows(shard, member, member.frames, self._frames_shape(entry), np.dtype(np.uint8), indices)

    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """See `ClipStore`."""
        shard, member = self._members[entry.id]
        assert member.flow is not None, "check has seen to it"
        shape, dtype = self._flow_shape(entry), np.dtype(np.float16)
        return self._rows(shard, member, member.flow, shape, dtype, range(start, start + count)).astype(np.float32)

    def shards(self, entries: Sequence[ClipEntry]) -> list[list[int]]:
        """See `ClipStore`."""
        positions = {entry.id: i for i, entry in enumerate(entries)}
        return [[positions[m.id] for m in shard.clips if m.id in positions] for shard in self._shards]

    def _rows(
        self, shard: Shard, member: Member, place: Place, shape: tuple[int, ...], dtype: np.dtype, rows: Sequence[int]
    ) -> np.ndarray:
        """Rows of the first axis of an array in a shard."""
        handle = self._handles[shard.name]
        key = shard.name, place.offset
        try:
            if key not in self._checked:
                array = _checked_array(handle, place)
                if array.shape != shape or array.dtype != dtype:
                    raise ValueError(f"{array.dtype} {array.shape} where the index says {dtype} {shape}")
                self._checked[key] = array
            return self._checked[key].read(handle, rows)
        except (ValueError, OSError, EOFError) as error:
            path = shards_folder(self.root) / shard.name
            raise DataError(
                f"{path}: damaged at clip {member.id} ({error}); copy it again, or prepare again"
            ) from error

    def _open(self, name: str) -> int:
        path = shards_folder(self.root) / name
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"{path}: cannot be opened ({error.strerror})") from error


class OpenFiles(Generic[T]):
    """The files last used by this process, opened at need; the one that was not used for longest is closed.

    Decoders and descriptors must not be shared with the process that this one was forked from, nor travel to another
    one: in a new process the set is empty.
    """

    def __init__(self, open_file: Callable[[str], T], close: Callable[[T], None], most: int) -> None:
        self._open, self._close, self._most = open_file, close, most
        self._files: OrderedDict[str, T] = OrderedDict()
        self._inherited: list[OrderedDict[str, T]] = []
        self._process = os.getpid()

    def __getitem__(self, name: str) -> T:
        if self._process != os.getpid():
            self._inherited.append(self._files)  # kept, as closing is the other process's business
            self._files, self._process = OrderedDict(), os.getpid()
        if name not in self._files:
            while len(self._files) >= self._most:
                self._close(self._files.popitem(last=False)[1])
            self._files[name] = self._open(name)
        self._files.move_to_end(name)
        return self._files[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict(), "_inherited": []}


def open_store(root: Path, index: Index) -> ClipStore:
    """The store that the data set in `root` was prepared with."""
    stores: dict[str, type[FrameStore | VideoStore | ShardStore]] = {
        "frames": FrameStore,
        "video": VideoStore,
        "shards": ShardStore,
    }
    return stores[index.store](root, index)


def _checked_array(handle: int, place: Place) -> NpyArray:
    """The array at a place of a shard, all of it read and its checksum compared. Raises ValueError or OSError."""
    crc32, first = 0, b""
    for begin in range(0, place.nbytes, _CHUNK):
        data = os.pread(handle, min(_CHUNK, place.nbytes - begin), place.offset + begin)
        crc32, first = zlib.crc32(data, crc32), first or data
    if crc32 != place.crc32:
        raise ValueError("its checksum differs from the manifest's")
    return parse_header(first, place.offset)
