"""Shards: the clips of a prepared data set in a few large tar files, in WebDataset's layout.

Network file systems and object stores are slow with many small files and quick with few large ones that are read from
front to back. A sample of a shard is ``<id>.npy`` (uint8 (T, H, W, 3)), ``<id>.flow.npy`` where there is flow,
``<id>.cls`` (position of the category) where there is one, and ``<id>.json``; the `webdataset` library reads them as
they are. `vidgan` itself reads pixels in place: ``shards/manifest.json`` says at which offset each array lies.

Clips lie in a shuffled order, so that neighbours in a shard come from different sources, and no shard mixes splits.
"""

import hashlib
import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from vidgan.data.store.index import SPLITS, ClipEntry, clip_path, flow_path
from vidgan.errors import DataError
from vidgan.files import atomic_file, digest_of, write_json
from vidgan.types import UNLABELLED

SHARDS_FOLDER: Final = "shards"
MANIFEST_NAME: Final = "manifest.json"
_FORMAT: Final = 1
_BLOCK: Final = 512  # tar pads members to it
_CHUNK: Final = 1 << 20


class Place(NamedTuple):
    """Where an .npy file lies in its shard."""

    offset: int  # bytes from the start of the tar
    nbytes: int
    crc32: int


@dataclass(frozen=True)
class Member:
    """A clip in a shard."""

    id: str
    digest: str  # of the pixels, as in the index
    frames: Place
    flow: Place | None = None


@dataclass(frozen=True)
class Shard:
    """One tar file."""

    name: str
    split: str
    nbytes: int
    sha256: str
    clips: tuple[Member, ...]


def shards_folder(root: Path) -> Path:
    """Where the shards of a prepared data set lie."""
    return root / SHARDS_FOLDER


def write_shards(
    root: Path, entries: Sequence[ClipEntry], *, shard_bytes: int, flow: bool, categories: Sequence[str]
) -> None:
    """Move the arrays of `entries` from ``clips/`` and ``flow/`` into ``shards/<split>-000000.tar`` and so on.

    The manifest is written when all shards are whole, and only then are the arrays removed: a run that is stopped
    leaves them as they were. The same entries make the same bytes.

    Args:
        root: folder of the data set.
        shard_bytes: most bytes of a shard; a clip that is larger has one to itself.
        flow: whether there is flow to go with the clips.
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
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r}, this version reads {_FORMAT}")
        return [_parse_shard(shard) for shard in content["shards"]]
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; run `vidgan prepare` again") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); run `vidgan prepare` again") from error


def check_shard(root: Path, shard: Shard) -> None:
    """Raise DataError unless the shard is there in full length."""
    path = shards_folder(root) / shard.name
    if not path.is_file():
        raise DataError(f"{path}: missing, though the manifest lists it; copy it here, or run `vidgan prepare` again")
    size = path.stat().st_size
    if size != shard.nbytes:
        raise DataError(f"{path}: {size} bytes where the manifest says {shard.nbytes}; copy it again, or prepare again")


def shard_files_ok(root: Path, entries: Sequence[ClipEntry]) -> bool:
    """Whether these clips, and no others, lie in shards that are there in full length; their bytes are not read."""
    try:
        shards = load_manifest(root)
        for shard in shards:
            check_shard(root, shard)
    except DataError:
        return False
    held = {(member.id, member.digest) for shard in shards for member in shard.clips}
    return held == {(entry.id, entry.digest) for entry in entries}


def verify_shards(root: Path) -> int:
    """Read all shards and compare their checksums, as after a copy. Returns how many there are.

    Raises:
        DataError: naming each shard that is missing or damaged.
    """
    problems = []
    shards = load_manifest(root)
    for shard in shards:
        path = shards_folder(root) / shard.name
        try:
            check_shard(root, shard)
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != shard.sha256:
                raise DataError(f"{path}: damaged, its SHA-256 is {found} where the manifest says {shard.sha256}")
        except (DataError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise DataError("; ".join(problems))
    return len(shards)


def _arrays(root: Path, entry: ClipEntry, flow: bool) -> list[Path]:
    return [clip_path(root, entry), *([flow_path(root, entry)] if flow else [])]


def _groups(root: Path, entries: Sequence[ClipEntry], most: int, flow: bool) -> list[list[ClipEntry]]:
    """The entries in order, in groups of at most `most` bytes."""
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
                _add_bytes(tar, f"{entry.id}.json", json.dumps(_facts(entry, categories)).encode())
                members.append(Member(entry.id, entry.digest, frames, motion))
        return Shard(name, split, output.tell(), output.digest.hexdigest(), tuple(members))


def _facts(entry: ClipEntry, categories: Sequence[str]) -> dict[str, Any]:
    """What a sample says about itself: the entry of the index, with the name of its category."""
    return asdict(entry) | {"category": None if entry.category == UNLABELLED else categories[entry.category]}


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> Place:
    with path.open("rb") as file:
        source = _Summed(file)
        nbytes = path.stat().st_size
        return Place(_add(tar, name, source, nbytes), nbytes, source.crc32)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    _add(tar, name, BytesIO(content), len(content))


def _add(tar: tarfile.TarFile, name: str, source: Any, nbytes: int) -> int:
    """Append a member and return the offset of its content."""
    info = tarfile.TarInfo(name)  # without time and owner: equal clips make equal tars
    info.size = nbytes
    tar.addfile(info, source)
    return tar.offset - -(-nbytes // _BLOCK) * _BLOCK


class _Hashed:
    """A file that is written from front to back, and its SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()


class _Summed:
    """A file that is read from front to back, and its CRC-32 so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self.crc32 = 0
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.crc32 = zlib.crc32(data, self.crc32)
        return data


def _parse_shard(value: Mapping[str, Any]) -> Shard:
    name = str(value["name"])
    if Path(name).name != name:  # the manifest must not lead out of the folder
        raise ValueError(f"shard name {name!r}")
    clips = tuple(
        Member(
            str(clip["id"]),
            str(clip["digest"]),
            Place(*(int(number) for number in clip["frames"])),
            None if clip["flow"] is None else Place(*(int(number) for number in clip["flow"])),
        )
        for clip in value["clips"]
    )
    return Shard(name, str(value["split"]), int(value["nbytes"]), str(value["sha256"]), clips)
