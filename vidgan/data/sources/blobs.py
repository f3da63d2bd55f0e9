"""Files on disk and members of archives under one interface: the contents of a source, opened or copied to disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, overload

from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.sources.source import Source
from vidgan.errors import SourceError
from vidgan.files import explain_full_disk, temporary_folder

Blob = Path | bytes
"""A file on disk, or the content of an archive member."""


def source_blobs(root: Path, source: Source) -> Sequence[Blob]:
    """The files of a source below `root`, in order: paths, or archive members, each read on access.

    Prefer `Archive.stream` for members of a compressed tar: random access restarts at its first byte every time.
    """
    if source.archive is None:
        return [root / name for name in source.files]
    return _Members(root / source.archive, source.files)


class _Members(Sequence[bytes]):
    """Contents of archive members. Only one is in memory at a time, however many frames the source has."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(place, slice):
            return _Members(self._path, self._names[place])
        name = self._names[place]
        try:
            info = self._path.stat()
            return _open_archive(self._path, info.st_size, info.st_mtime_ns).read(name)
        except ARCHIVE_ERRORS as error:
            raise SourceError("unreadable-member", f"{name}: {type(error).__name__}: {error}") from error
        except KeyError as error:
            raise SourceError("unreadable-member", f"{name} is no longer in {self._path}") from error


@lru_cache(maxsize=1)
def _open_archive(path: Path, size: int, mtime_ns: int) -> Archive:
    """The archive with this size and modification time, kept open: listing it for every frame would take hours."""
    return Archive(path)


@contextmanager
def open_blob(blob: Blob) -> Iterator[IO[bytes]]:
    """A seekable binary file."""
    if isinstance(blob, bytes):
        yield BytesIO(blob)
    else:
        with blob.open("rb") as file:
            yield file


@contextmanager
def on_disk(blob: Blob, suffix: str) -> Iterator[Path]:
    """A path for readers that need a file. The content of a member goes to a temporary file, removed on exit.

    Archives bound that file to `vidgan.data.sources.archives.MAX_MEMBER` bytes.
    """
    if isinstance(blob, Path):
        yield blob
        return
    with temporary_folder() as folder:
        path = folder / f"member{suffix[:16]}"
        with explain_full_disk(path, len(blob)):
            path.write_bytes(blob)
        yield path
