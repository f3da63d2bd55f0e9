"""Members of .tar and .zip files, read by name into memory and never extracted.

Member headers are untrusted. Absolute names, names with ``..``, links, devices, encrypted members and members above
`MAX_MEMBER` bytes are refused one by one, and the size is enforced again while reading. So is what would decompress to
many times the size of the archive, before it is decompressed. A compressed tar is not read beyond such a member.
"""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple

from vidgan.errors import DataError

ARCHIVE_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
MAX_MEMBER: Final = 1 << 30
_FREE_BYTES: Final = 128 << 20
_MAX_RATIO: Final = 50  # decompressed to compressed bytes, above `_FREE_BYTES`; gzip reaches 1000 on zeros
_MAX_HEADER: Final = 1 << 20  # of extended tar headers, which tarfile reads whole
ARCHIVE_ERRORS: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,  # zipfile: encrypted member
    NotImplementedError,  # zipfile: unknown compression
)


class Member(NamedTuple):
    """A readable member: normalised posix name and size in bytes."""

    name: str
    size: int


class RefusedMember(NamedTuple):
    """A member that is not read: short reason and details."""

    name: str
    reason: str
    detail: str


def is_archive(name: str) -> bool:
    """Whether the file name has the suffix of an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_stem(name: str) -> str:
    """``walk.tar.gz`` -> ``walk``; other names unchanged."""
    fitting = [suffix for suffix in ARCHIVE_SUFFIXES if name.lower().endswith(suffix)]
    return name[: -len(max(fitting, key=len))] if fitting else name


class _TarInfo(tarfile.TarInfo):
    """Refuses extended headers of any size, which tarfile reads into memory before it shows the member."""

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        self._check_header()
        return super()._proc_pax(archive)  # type: ignore[misc]

    def _proc_gnulong(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        self._check_header()
        return super()._proc_gnulong(archive)  # type: ignore[misc]

    def _check_header(self) -> None:
        if self.size > _MAX_HEADER:
            raise tarfile.ReadError(f"extended header of {self.size} bytes; accepted: at most {_MAX_HEADER}")


def max_decompressed(compressed: int, *, members: int = 1) -> int:
    """Most bytes that `compressed` bytes may decompress to, as one member or as several."""
    return max(_FREE_BYTES, _MAX_RATIO * compressed) * (1 if members == 1 else 4)


class Archive:
    """An open archive.

    Attributes:
        members: readable regular files, in archive order.
        refused: all other members except folders.
        positions: member name -> position in the archive.
        random_access: whether a member can be read without those before it (zip and uncompressed tar).

    Raises any of `ARCHIVE_ERRORS` when the archive itself is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: list[Member] = []
        self.refused: list[RefusedMember] = []
        self._tar: tarfile.TarFile | None = None
        self._zip: zipfile.ZipFile | None = None
        self.positions: dict[str, int] = {}
        self._entries: dict[str, tarfile.TarInfo | zipfile.ZipInfo] = {}
        if path.name.lower().endswith(".zip"):
            self._zip = zipfile.ZipFile(path)
        else:
            self._tar = tarfile.open(path, "r:*", tarinfo=_TarInfo)  # noqa: SIM115 - closed by __exit__
        self.random_access = self._tar is None or isinstance(self._tar.fileobj, BufferedReader)  # else a decompressor
        try:
            self._list()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        for file in (self._tar, self._zip):
            if file is not None:
                file.close()

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Names and contents of members, in archive order: seeking back in a compressed tar restarts at byte 0."""
        for name in sorted(names, key=self.positions.__getitem__):
            yield name, self.read(name)

    def read(self, name: str) -> bytes:
        """The content of a member.

        Raises DataError, KeyError for an unknown name, or any of `ARCHIVE_ERRORS`.
        """
        entry = self._entries[name]
        most = min(MAX_MEMBER, entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size)
        with self._open(name) as file:
            data = file.read(most + 1)  # tarfile allocates as much memory as the read requests
        if len(data) > most:
            raise DataError(f"{self.path}: member {name} exceeds the size in its header, {most} bytes")
        return data

    def _open(self, name: str) -> IO[bytes]:
        entry = self._entries[name]
        if self._zip is not None:
            assert isinstance(entry, zipfile.ZipInfo)
            return self._zip.open(entry)
        assert self._tar is not None and isinstance(entry, tarfile.TarInfo)
        file = self._tar.extractfile(entry)
        if file is None:
            raise DataError(f"{self.path}: member {name} has no content")
        return file

    def _list(self) -> None:
        entries: Iterable[tarfile.TarInfo | zipfile.ZipInfo] = (self._zip.infolist() if self._zip else self._tar) or ()
        compressed = self.path.stat().st_size
        is_plain_tar = self._zip is None and self.random_access
        total = 0
        for position, entry in enumerate(entries):
            raw = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
            if entry.is_dir() if isinstance(entry, zipfile.ZipInfo) else entry.isdir():
                continue
            size = entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size
            total += size
            name, refusal = _check_name(raw)
            refusal = refusal or _check_kind(entry)
            if refusal is None and size > MAX_MEMBER:
                refusal = ("too-large", f"{size} bytes; accepted: at most {MAX_MEMBER}")
            is_bomb = size > max_decompressed(compressed) or total > max_decompressed(compressed, members=2)
            if is_bomb and not is_plain_tar:
                detail = f"decompresses to {size} bytes ({total} so far), from an archive of {compressed} bytes"
                self.refused.append(RefusedMember(raw, "too-large", detail))
                if self._zip is None:  # the next header would only be found by decompressing this member
                    return
                total -= size
                continue
            if refusal is None and name in self._entries:
                refusal = ("unsafe-member", "two members of the archive have this name")
            if refusal is not None:
                self.refused.append(RefusedMember(raw, *refusal))
                continue
            self._entries[name] = entry
            self.positions[name] = position
            self.members.append(Member(name, size))


def _check_name(raw: str) -> tuple[str, tuple[str, str] | None]:
    """The normalised name, and reason and detail of a refusal for a name that points outside the archive."""
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if raw.startswith(("/", "\\")) or (len(raw) > 1 and raw[1] == ":"):
        return raw, ("unsafe-member", "absolute name")
    if ".." in parts or ".." in raw.split("\\"):
        return raw, ("unsafe-member", "the name leaves the archive")
    if not parts or "\0" in raw:
        return raw, ("unsafe-member", "not a file name")
    return "/".join(parts), None


def _check_kind(entry: tarfile.TarInfo | zipfile.ZipInfo) -> tuple[str, str] | None:
    if isinstance(entry, tarfile.TarInfo):
        if entry.issym() or entry.islnk():
            return "unsafe-member", "link"
        return None if entry.isreg() else ("unsafe-member", "not a regular file")
    if entry.flag_bits & 0x1:
        return "unreadable-member", "encrypted"
    mode = entry.external_attr >> 16  # Unix permissions, 0 for archives from other systems
    if stat.S_ISLNK(mode):
        return "unsafe-member", "link"
    return None if stat.S_IFMT(mode) in (0, stat.S_IFREG) else ("unsafe-member", "not a regular file")
