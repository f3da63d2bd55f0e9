"""The files below a source folder, members of archives included, under one naming scheme.

A member of an archive is called ``<archive>/<member>``; nothing is extracted. Hidden files are skipped. Files that must
not be opened are refused by name: links that leave the folder, pipes, devices, members with absolute or ``..`` names.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive, is_archive
from vidgan.data.sources.blobs import Blob
from vidgan.data.sources.source import Refusal, Source
from vidgan.errors import DataError
from vidgan.files import digest_of, natural_key

_COMMON_VIDEO: Final = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".3gp", ".3g2", ".mj2")
# Included so that the decoder refuses them by name; otherwise they would be ignored silently.
_OTHER_VIDEO: Final = (".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".vob", ".y4m")
VIDEO_SUFFIXES: Final = frozenset((*_COMMON_VIDEO, *_OTHER_VIDEO))
IMAGE_SUFFIXES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".ppm", ".pgm", ".pnm", ".webp", ".tif", ".tiff")
)
ARRAY_SUFFIXES: Final = frozenset((".npy", ".npz"))
_MEDIA: Final = VIDEO_SUFFIXES | IMAGE_SUFFIXES | ARRAY_SUFFIXES
_MAX_TEXT: Final = 64 << 20  # bytes of a list or label file; the longest list of a benchmark has 3 MB


class _Entry(NamedTuple):
    stamp: object
    archive: str | None


def suffix_of(name: str) -> str:
    """The last suffix in lower case, such as ``.png``."""
    return PurePosixPath(name).suffix.lower()


def is_clip_file(name: str) -> bool:
    """Whether the suffix is that of a video, an image or an array."""
    return suffix_of(name) in _MEDIA


def parent_of(name: str) -> str:
    """Posix path of the file's folder; ``.`` at the root."""
    return name.rpartition("/")[0] or "."


class FileTree:
    """The readable files of a folder, or one file.

    Attributes:
        root: folder that names are relative to.
        refusals: media files and archives that must not be read.
        num_hidden: number of hidden files and of unreadable unrelated ones.

    Raises DataError when the source is neither a file nor a folder, or contains no file.
    """

    def __init__(self, source: Path) -> None:
        if not source.exists():
            raise DataError(f"{source}: no such folder or file")
        source = source.resolve()
        if source.is_dir():
            self.root, names = source, list(_walk(source))
        elif source.is_file():
            self.root, names = source.parent, [source.name]
        else:
            raise DataError(f"{source}: not a folder or a regular file")
        if not names:
            raise DataError(f"{source}: empty folder; accepted: videos, frame folders, strips, arrays, archives")
        self.refusals: list[Refusal] = []
        self.num_hidden = 0
        self._entries: dict[str, _Entry] = {}
        self._used: set[str] = set()
        for name in names:
            if is_hidden(name):
                self.num_hidden += 1
            elif refusal := check_file(self.root, name):
                self._refuse(refusal)
            elif is_archive(name):
                self._list_members(name)
            else:
                self._entries[name] = _Entry(file_stamp(self.root / name), None)

    @cached_property
    def names(self) -> list[str]:
        """All readable files, folder by folder in natural order."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in self._entries:
            folders[parent_of(name)].append(name)
        ordered = sorted(folders, key=natural_key)  # sort keys of a million files at once would take a gigabyte
        return [name for folder in ordered for name in sorted(folders[folder], key=natural_key)]

    @cached_property
    def images(self) -> list[str]:
        """`names` with the suffix of an image."""
        return [name for name in self.names if suffix_of(name) in IMAGE_SUFFIXES]

    @cached_property
    def videos(self) -> list[str]:
        """`names` with the suffix of a video."""
        return [name for name in self.names if suffix_of(name) in VIDEO_SUFFIXES]

    def archive_of(self, name: str) -> str | None:
        """The archive that the file is a member of, None for a file on disk."""
        return self._entries[name].archive

    def blobs(self, names: Iterable[str]) -> Iterator[tuple[str, Blob]]:
        """Each name with its path or, for members, its content. Each archive is read once, front to back.

        Members behind damage in an archive are skipped.
        """
        members_of: dict[str, list[str]] = defaultdict(list)
        for name in names:
            archive = self._entries[name].archive
            if archive is None:
                yield name, self.root / name
            else:
                members_of[archive].append(name[len(archive) + 1 :])
        for archive, members in members_of.items():
            try:
                with Archive(self.root / archive) as reader:
                    for member, content in reader.stream(members):
                        yield f"{archive}/{member}", content
            except ARCHIVE_ERRORS:
                continue

    def text(self, name: str) -> str:
        """The content of a small UTF-8 file, such as a list. Raises DataError."""
        self._used.add(name)
        for _, blob in self.blobs([name]):
            if len(blob) <= _MAX_TEXT if isinstance(blob, bytes) else blob.stat().st_size <= _MAX_TEXT:
                try:
                    return (blob if isinstance(blob, bytes) else blob.read_bytes()).decode("utf-8-sig")
                except (UnicodeDecodeError, OSError) as error:
                    raise DataError(f"{self.root / name}: not readable as UTF-8 text ({error})") from error
            raise DataError(f"{self.root / name}: text file too large; accepted: at most {_MAX_TEXT} bytes")
        raise DataError(f"{self.root / name}: the archive can no longer be read")

    def lines(self, name: str) -> list[str]:
        """The stripped non-blank lines of a text file. Raises DataError."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def mark_used(self, name: str) -> None:
        """Do not count the file as unrelated, although no clip is read from it."""
        self._used.add(name)

    def refuse(self, name: str, reason: str, detail: str) -> None:
        """Exclude a file."""
        self._used.add(name)
        self.refusals.append(Refusal(name, reason, detail))

    def seal(self, source: Source) -> Source:
        """`source`, whose files are names of this tree, with archive, member names and stamp filled in."""
        self._used.update(source.files)
        entries = [self._entries[name] for name in source.files]
        archive = entries[0].archive
        prefix = 0 if archive is None else len(archive) + 1
        files = tuple(name[prefix:] for name in source.files)
        # Category, group and split are not stamped: they may change without reading the pixels again.
        requested = (source.start, source.end, source.start_time, source.end_time, source.fps, source.recipe)
        if len(files) == 1:
            parts: tuple[object, ...] = (files[0], entries[0].stamp)
        else:
            parts = ([(file, entry.stamp) for file, entry in zip(files, entries, strict=True)],)
        return replace(
            source, files=files, archive=archive, stamp=digest_of(*parts, *(requested if any(requested) else ()))
        )

    def num_unused(self) -> int:
        """Number of files used neither as a source nor as a list or label, hidden ones included."""
        return self.num_hidden + len(self._entries.keys() - self._used)

    def _refuse(self, refusal: Refusal) -> None:
        if is_clip_file(refusal.source) or is_archive(refusal.source):
            self.refusals.append(refusal)
        else:
            self.num_hidden += 1

    def _list_members(self, name: str) -> None:
        stamp = file_stamp(self.root / name)
        entries: dict[str, _Entry] = {}
        refusals: list[Refusal] = []
        hidden = 0
        try:
            with Archive(self.root / name) as archive:
                for member in archive.members:
                    if is_hidden(member.name):
                        hidden += 1
                    elif is_archive(member.name):
                        detail = "archive inside an archive; extract it"
                        refusals.append(Refusal(f"{name}/{member.name}", "nested-archive", detail))
                    else:
                        entries[f"{name}/{member.name}"] = _Entry((stamp, member.size), name)
                refusals += [Refusal(f"{name}/{m.name}", m.reason, m.detail) for m in archive.refused]
        except ARCHIVE_ERRORS as error:
            detail = f"damaged or not an archive ({type(error).__name__}: {error})"
            self.refusals.append(Refusal(name, "unreadable-archive", detail))
            return
        self._entries |= entries
        self.refusals += refusals
        self.num_hidden += hidden


def _walk(root: Path) -> Iterator[str]:
    """Relative posix paths of all files. Links to folders are yielded, not followed."""
    for folder, folders, files in os.walk(root):
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for name in files:
            yield prefix + name
        for name in folders:
            if (Path(folder) / name).is_symlink():
                yield prefix + name


def is_hidden(name: str) -> bool:
    """Whether a part of the path starts with a dot or is ``__MACOSX``, which macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds."""
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def check_file(root: Path, name: str) -> Refusal | None:
    """A refusal for what must not be opened, None for a readable regular file.

    A link may only lead to a file below `root`; a FIFO or a device would block the reader forever.
    """
    path = root / name
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return Refusal(name, "link", "the link leaves the source folder")
        if not stat.S_ISREG(path.stat().st_mode):
            return Refusal(name, "not-a-file", "not a regular file")
        if not os.access(path, os.R_OK):
            return Refusal(name, "unreadable-file", "no permission to read")
    except (OSError, RuntimeError) as error:  # dangling link, loop, vanished file
        return Refusal(name, "unreadable-file", str(error))
    return None
