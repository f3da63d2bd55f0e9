"""Shards: the clips of a prepared data set in a few large tar files in WebDataset's layout. Writing, and `ShardStore`.

Network file systems and object stores are slow with many small files and fast with few large ones read sequentially. A
sample consists of ``<id>.npy`` (uint8 (T, H, W, 3)), ``<id>.flow.npy`` if there is flow, ``<id>.cls`` (index of the
category) if there is one, and ``<id>.json``; the `webdataset` library reads shards unchanged. `ShardStore` reads arrays
in place, at the offsets in ``shards/manifest.json``.

Clips are stored in shuffled order, so that neighbours come from different sources. No shard mixes splits.
"""

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np

from vidgan.data.store.clip_store import ClipStore, OpenFiles
from vidgan.data.store.frames import NpyArray, parse_header
from vidgan.data.store.index import SPLITS, ClipEntry, Index, clip_path, flow_path, whole_number
from vidgan.errors import DataError
from vidgan.files import atomic_file, digest_of, read_json, write_json
from vidgan.types import UNLABELLED

SHARDS_FOLDER: Final = "shards"
MANIFEST_NAME: Final = "manifest.json"
_FORMAT: Final = 1
_MAX_MANIFEST: Final = 1 << 29  # bytes
_BLOCK: Final = 512  # bytes; tar pads members to a multiple
_CHUNK: Final = 1 << 20
_OPEN_SHARDS: Final = 256  # per process: one descriptor each, and every row of a batch reads another shard


class Location(NamedTuple):
    """Location of a .npy file in its shard."""

    offset: int  # bytes from the start of the tar
    nbytes: int
    crc32: int


@dataclass(frozen=True)
class Member:
    """A clip in a shard."""

    id: str
    digest: str  # of the pixels, as in the index
    frames: Location
    flow: Location | None = None


@dataclass(frozen=True)
class Shard:
    """One tar file."""

    name: str
    split: str
    nbytes: int
    sha256: str
    clips: tuple[Member, ...]


def shards_folder(root: Path) -> Path:
    """The folder of the shards of a data set."""
    return root / SHARDS_FOLDER


def write_shards(
    root: Path, entries: Sequence[ClipEntry], *, shard_bytes: int, flow: bool, categories: Sequence[str]
) -> None:
    """Move the arrays of `entries` from ``clips/`` and ``flow/`` into ``shards/<split>-000000.tar`` and so on.

    The manifest is written after all shards, and the arrays are removed after the manifest, so an interrupted run loses
    nothing. Equal entries produce equal bytes.

    Args:
        root: folder of the data set.
        entries: the clips.
        shard_bytes: maximum bytes of a shard; a larger clip gets a shard of its own.
        flow: whether the clips have flow.
        categories: names, as in the index.

    Raises:
        DataError: `shard_bytes` is below 1, or an array is missing.
    """
    if shard_bytes < 1:
        raise DataError(f"shard_bytes is {shard_bytes}; accepted: 1 or more")
    folder = shards_folder(root)
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    shards = []
    for split in SPLITS:
        shuffled = sorted((e for e in entries if e.split == split), key=lambda entry: digest_of("shard", entry.id))
        for number, group in enumerate(_groups(root, shuffled, shard_bytes, flow)):
            shards.append(_write_shard(root, f"{split}-{number:06d}.tar", split, group, flow, categories))
    for path in folder.glob("*.tar"):
        if path.name not in {shard.name for shard in shards}:
            path.unlink()
    write_json(folder / MANIFEST_NAME, {"format": _FORMAT, "shards": [asdict(shard) for shard in shards]})
    for entry in entries:
        for path in _arrays(root, entry, flow):
            path.unlink()


def load_manifest(root: Path) -> list[Shard]:
    """The shards of a data set.

    Raises:
        DataError: there is no manifest, or it is damaged.
    """
    path = shards_folder(root) / MANIFEST_NAME
    try:
        content = read_json(path, max_bytes=_MAX_MANIFEST)
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r}, this version reads {_FORMAT}")
        return [_parse_shard(shard) for shard in content["shards"]]
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; run `vidgan prepare` again") from error
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); run `vidgan prepare` again") from error


def check_shard(root: Path, shard: Shard) -> None:
    """Raise DataError unless the shard exists with its full size."""
    path = shards_folder(root) / shard.name
    if not path.is_file():
        raise DataError(f"{path}: missing, although the manifest lists it; copy it again or run `vidgan prepare` again")
    size = path.stat().st_size
    if size != shard.nbytes:
        raise DataError(f"{path}: {size} bytes, expected {shard.nbytes}; copy it again or run `vidgan prepare` again")


def packed_clips(root: Path) -> set[tuple[str, str]]:
    """Id and digest of the clips in shards, if all shards exist with their full size; else none."""
    try:
        shards = load_manifest(root)
        for shard in shards:
            check_shard(root, shard)
    except DataError:
        return set()
    return {(member.id, member.digest) for shard in shards for member in shard.clips}


def _arrays(root: Path, entry: ClipEntry, flow: bool) -> list[Path]:
    return [clip_path(root, entry), *([flow_path(root, entry)] if flow else [])]


def _groups(root: Path, entries: Sequence[ClipEntry], most: int, flow: bool) -> list[list[ClipEntry]]:
    """The entries in order, in groups of at most `most` bytes each."""
    groups: list[list[ClipEntry]] = []
    filled = 0
    for entry in entries:
        try:
            nbytes = sum(path.stat().st_size for path in _arrays(root, entry, flow))
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read; run `vidgan prepare` again") from error
        if not groups or filled + nbytes > most:
            groups.append([])
            filled = 0
        groups[-1].append(entry)
        filled += nbytes
    return groups


def _write_shard(
    root: Path, name: str, split: str, entries: Sequence[ClipEntry], flow: bool, categories: Sequence[str]
) -> Shard:
    members = []
    with atomic_file(shards_folder(root) / name) as file:
        output = _Hashed(file)
        with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
            for entry in entries:
                frames = _add_file(tar, f"{entry.id}.npy", clip_path(root, entry))
                motion = _add_file(tar, f"{entry.id}.flow.npy", flow_path(root, entry)) if flow else None
                if entry.category != UNLABELLED:
                    _add_bytes(tar, f"{entry.id}.cls", str(entry.category).encode())
                _add_bytes(tar, f"{entry.id}.json", json.dumps(_sample_json(entry, categories)).encode())
                members.append(Member(entry.id, entry.digest, frames, motion))
        return Shard(name, split, output.tell(), output.digest.hexdigest(), tuple(members))


def _sample_json(entry: ClipEntry, categories: Sequence[str]) -> dict[str, Any]:
    """The ``.json`` member of a sample: the entry of the index, with the name of its category."""
    return asdict(entry) | {"category": None if entry.category == UNLABELLED else categories[entry.category]}


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> Location:
    with path.open("rb") as file:
        source = _Summed(file)
        nbytes = path.stat().st_size
        return Location(_add(tar, name, source, nbytes), nbytes, source.crc32)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    _add(tar, name, BytesIO(content), len(content))


def _add(tar: tarfile.TarFile, name: str, source: Any, nbytes: int) -> int:
    """Append a member and return the offset of its content."""
    info = tarfile.TarInfo(name)  # without time and owner, so that equal clips produce equal tars
    info.size = nbytes
    tar.addfile(info, source)
    return tar.offset - -(-nbytes // _BLOCK) * _BLOCK


class _Hashed:
    """A file that is written sequentially, and its SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()


class _Summed:
    """A file that is read sequentially, and the CRC-32 of the bytes read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.crc32 = 0
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.crc32 = zlib.crc32(data, self.crc32)
        return data


def _parse_shard(value: Mapping[str, Any]) -> Shard:
    name = str(value["name"])
    # The manifest must not refer to files outside the folder.
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"shard name {name!r:.80}")
    nbytes = whole_number("nbytes", value["nbytes"], least=0)

    def location(numbers: Any) -> Location:
        offset, length, crc32 = (whole_number("location", number, least=0) for number in numbers)
        if offset + length > nbytes:
            raise ValueError(f"an array at byte {offset} with {length} bytes, in a shard of {nbytes}")
        return Location(offset, length, crc32)

    clips = tuple(
        Member(
            str(clip["id"]),
            str(clip["digest"]),
            location(clip["frames"]),
            None if clip["flow"] is None else location(clip["flow"]),
        )
        for clip in value["clips"]
    )
    return Shard(name, str(value["split"]), nbytes, str(value["sha256"]), clips)


class ShardStore(ClipStore):
    """Frames in tar files, read in place by offset.

    The first access of a process to a clip reads all of it and compares its checksum, so that a damaged clip never
    reaches training. Later accesses read only the requested frames.
    """

    def __init__(self, root: Path, index: Index) -> None:
        super().__init__(root, index)
        self._shards = load_manifest(root)
        self._members = {member.id: (shard, member) for shard in self._shards for member in shard.clips}
        self._checked: dict[tuple[str, int], NpyArray] = {}  # by shard name and offset
        self._handles: OpenFiles[int] = OpenFiles(self._open, os.close, _OPEN_SHARDS)

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        shards = {}
        for entry in entries:
            shard, member = self._members.get(entry.id, (None, None))
            if shard is None or member is None or member.digest != entry.digest or (flow and member.flow is None):
                raise DataError(
                    f"{shards_folder(self.root)}: clip {entry.id} of the index is not in the manifest; run `vidgan "
                    "prepare` again"
                )
            height, width = self.size
            if member.frames.nbytes < entry.frames * height * width * 3:
                raise DataError(
                    f"{shards_folder(self.root) / shard.name}: {member.frames.nbytes} bytes are too few for the "
                    f"{entry.frames} frames of clip {entry.id} in the index; run `vidgan prepare` again"
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
        assert member.flow is not None, "checked by check"
        shape, dtype = self._flow_shape(entry), np.dtype(np.float16)
        return self._rows(shard, member, member.flow, shape, dtype, range(start, start + count)).astype(np.float32)

    def shards(self, entries: Sequence[ClipEntry]) -> list[list[int]]:
        """See `ClipStore`."""
        positions = {entry.id: i for i, entry in enumerate(entries)}
        return [[positions[m.id] for m in shard.clips if m.id in positions] for shard in self._shards]

    def _rows(
        self,
        shard: Shard,
        member: Member,
        location: Location,
        shape: tuple[int, ...],
        dtype: np.dtype,
        rows: Sequence[int],
    ) -> np.ndarray:
        """Rows of the first axis of an array in a shard."""
        handle = self._handles[shard.name]
        key = shard.name, location.offset
        try:
            if key not in self._checked:
                array = _checked_array(handle, location)
                if array.shape != shape or array.dtype != dtype:
                    raise ValueError(f"array is {array.dtype} {array.shape}, expected {dtype} {shape} as in the index")
                self._checked[key] = array
            return self._checked[key].read(handle, rows)
        except (ValueError, OSError, EOFError) as error:
            path = shards_folder(self.root) / shard.name
            raise DataError(
                f"{path}: damaged at clip {member.id} ({error}); copy it again or run `vidgan prepare` again"
            ) from error

    def _open(self, name: str) -> int:
        path = shards_folder(self.root) / name
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"{path}: cannot be opened ({error.strerror})") from error


def _checked_array(handle: int, location: Location) -> NpyArray:
    """The array at a location of a shard, after comparing its checksum. Raises ValueError or OSError."""
    crc32, first = 0, b""
    for begin in range(0, location.nbytes, _CHUNK):
        data = os.pread(handle, min(_CHUNK, location.nbytes - begin), location.offset + begin)
        crc32, first = zlib.crc32(data, crc32), first or data
    if crc32 != location.crc32:
        raise ValueError("checksum differs from the manifest")
    return parse_header(first, location.offset)
