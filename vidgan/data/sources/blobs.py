"""Files on disk and members of archives in one way: the contents of a source, and opening one of them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, overload

from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.sources.entries import Source
from vidgan.data.sources.images import Blob
from vidgan.errors import SourceError


def source_blobs(root: Path, source: Source) -> Sequence[Blob]:
    """The files of a source below `root`: paths, or the members of its archive, each read when it is asked for.

    Members of a compressed tar are better streamed (`Archive.stream`): each one asked for is found from the start.
    """
    if source.archive is None:
        return [root / name for name in source.files]
    return _Members(root / source.archive, source.files)


class _Members(Sequence[bytes]):
    """Contents of members; one at a time is in memory, however many frames the source has."""

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
            return _archive(self._path, info.st_size, info.st_mtime_ns).read(name)
        except ARCHIVE_ERRORS as error:
            raise SourceError("unreadable-member", f"{name}: {type(error).__name__}: {error}") from error
        except KeyError as error:
            raise SourceError("unreadable-member", f"{name} is no longer in {self._path}") from error


@lru_cache(maxsize=1)
def _archive(path: Path, size: int, mtime_ns: int) -> Archive:
    """The archive of this size and time of change, kept open: listing it again for every frame would take hours."""
    return Archive(path)


@contextmanager
def opened(blob: Blob) -> Iterator[IO[bytes]]:
    """A binary file that can seek."""
    if isinstance(blob, bytes):
        yield BytesIO(blob)
    else:
        with blob.open("rb") as file:
            yield file


@contextmanager
def on_disk(blob: Blob, suffix: str) -> Iterator[Path]:
    """A path for what must be read from a file: a temporary one for the content of a member, gone afterwards.

    The content is no larger than `vidgan.data.sources.archives.MAX_MEMBER`.
    """
    if isinstance(blob, Path):
        yield blob
        return
    with tempfile.TemporaryDirectory(prefix="vidgan-") as folder:
        path = Path(folder) / f"member{suffix}"
        path.write_bytes(blob)
        yield path
