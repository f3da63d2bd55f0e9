"""The files of a source, those inside its archives too, under one kind of name; nothing is believed or unpacked.

A member of an archive is called ``<archive>/<member>``. Hidden files are left out, and what must not be opened (links
that lead out, pipes, devices, climbing members) is refused by name.
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
from vidgan.data.sources.entries import Refusal, Source
from vidgan.data.sources.images import Blob
from vidgan.errors import DataError
from vidgan.files import digest_of, natural_key

_COMMON_VIDEO: Final = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".3gp", ".3g2", ".mj2")
# Recognised so that the decoder can refuse them by name, rather than be passed over in silence.
_OTHER_VIDEO: Final = (".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".vob", ".y4m")
VIDEO_SUFFIXES: Final = frozenset((*_COMMON_VIDEO, *_OTHER_VIDEO))
IMAGE_SUFFIXES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".ppm", ".pgm", ".pnm", ".webp", ".tif", ".tiff")
)
ARRAY_SUFFIXES: Final = frozenset((".npy", ".npz"))
_MEDIA: Final = VIDEO_SUFFIXES | IMAGE_SUFFIXES | ARRAY_SUFFIXES
_MAX_TEXT: Final = 64 << 20  # bytes of a list or label; the longest list of a benchmark has 3 MB


class _Entry(NamedTuple):
    stamp: object
    archive: str | None


def suffix_of(name: str) -> str:
    """The last suffix in small letters, such as ``.png``."""
    return PurePosixPath(name).suffix.lower()


def is_clip_file(name: str) -> bool:
    """Whether the file is a video, an image or an array by its suffix."""
    return suffix_of(name) in _MEDIA


def parent_of(name: str) -> str:
    """The folder that holds the file; ``.`` at the top."""
    return name.rpartition("/")[0] or "."


class Listing:
    """The readable files of a folder or of one file.

    Attributes:
        root: what names are relative to.
        refusals: media files and archives that may not be read.
        hidden: how many hidden files and unreadable unrelated ones there are.

    Raises DataError when the source is neither file nor folder, or holds no file at all.
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
            raise DataError(f"{source}: neither a folder nor a regular file")
        if not names:
            raise DataError(f"{source}: the folder is empty; put videos, frame folders, strips, .npy or archives in it")
        self.refusals: list[Refusal] = []
        self.hidden = 0
        self._entries: dict[str, _Entry] = {}
        self._used: set[str] = set()
        for name in names:
            if is_hidden(name):
                self.hidden += 1
            elif refusal := judge_file(self.root, name):
                self._refuse(refusal)
            elif is_archive(name):
                self._look_inside(name)
            else:
                self._entries[name] = _Entry(file_stamp(self.root / name), None)

    @cached_property
    def names(self) -> list[str]:
        """All readable files, folder by folder in natural order."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in self._entries:
            folders[parent_of(name)].append(name)
        ordered = sorted(folders, key=natural_key)  # the keys of a million files at once would take a gigabyte
        return [name for folder in ordered for name in sorted(folders[folder], key=natural_key)]

    @cached_property
    def images(self) -> list[str]:
        """The still images among them."""
        return [name for name in self.names if suffix_of(name) in IMAGE_SUFFIXES]

    @cached_property
    def videos(self) -> list[str]:
        """The video files among them."""
        return [name for name in self.names if suffix_of(name) in VIDEO_SUFFIXES]

    def archive_of(self, name: str) -> str | None:
        """The archive that the file is a member of."""
        return self._entries[name].archive

    def blobs(self, names: Iterable[str]) -> Iterator[tuple[str, Blob]]:
        """Names with a path or, of members, the content; each archive is read once, from front to back.

        A damaged archive ends the members that it has left.
        """
        inside: dict[str, list[str]] = defaultdict(list)
        for name in names:
            archive = self._entries[name].archive
            if archive is None:
                yield name, self.root / name
            else:
                inside[archive].append(name[len(archive) + 1 :])
        for archive, members in inside.items():
            try:
                with Archive(self.root / archive) as opened:
                    for member, content in opened.stream(members):
                        yield f"{archive}/{member}", content
            except ARCHIVE_ERRORS:
                continue

    def text(self, name: str) -> str:
        """The content of a small text file, such as a list. Raises DataError."""
        self._used.add(name)
        for _, blob in self.blobs([name]):
            if len(blob) <= _MAX_TEXT if isinstance(blob, bytes) else blob.stat().st_size <= _MAX_TEXT:
                try:
                    return (blob if isinstance(blob, bytes) else blob.read_bytes()).decode("utf-8-sig")
                except (UnicodeDecodeError, OSError) as error:
                    raise DataError(f"{self.root / name}: no readable text ({error})") from error
            raise DataError(f"{self.root / name}: more than {_MAX_TEXT} bytes; a list of clips is smaller")
        raise DataError(f"{self.root / name}: its archive can no longer be read")

    def lines(self, name: str) -> list[str]:
        """The lines of a text file that are not blank, without spaces round them."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def mark_used(self, name: str) -> None:
        """The file is no clip, but of use: it is not counted as unrelated."""
        self._used.add(name)

    def refuse(self, name: str, reason: str, detail: str) -> None:
        """Leave a file out, with the reason."""
        self._used.add(name)
        self.refusals.append(Refusal(name, reason, detail))

    def seal(self, source: Source) -> Source:
        """`source`, whose files are names of this listing, with its archive, member names and stamp."""
        self._used.update(source.files)
        entries = [self._entries[name] for name in source.files]
        archive = entries[0].archive
        below = 0 if archive is None else len(archive) + 1
        files = tuple(name[below:] for name in source.files)
        # What a layout says of a source besides its pixels may change without reading it again.
        asked = (source.start, source.end, source.start_time, source.end_time, source.fps, source.recipe)
        if len(files) == 1:
            parts: tuple[object, ...] = (files[0], entries[0].stamp)
        else:
            parts = ([(file, entry.stamp) for file, entry in zip(files, entries, strict=True)],)
        return replace(source, files=files, archive=archive, stamp=digest_of(*parts, *(asked if any(asked) else ())))

    def unused(self) -> int:
        """How many files no source and no list was made of, hidden ones included."""
        return self.hidden + len(self._entries.keys() - self._used)

    def _refuse(self, refusal: Refusal) -> None:
        if is_clip_file(refusal.source) or is_archive(refusal.source):
            self.refusals.append(refusal)
        else:
            self.hidden += 1

    def _look_inside(self, name: str) -> None:
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
                        detail = "an archive inside an archive; unpack it"
                        refusals.append(Refusal(f"{name}/{member.name}", "nested-archive", detail))
                    else:
                        entries[f"{name}/{member.name}"] = _Entry((stamp, member.size), name)
                refusals += [Refusal(f"{name}/{bad.name}", bad.reason, bad.detail) for bad in archive.refused]
        except ARCHIVE_ERRORS as error:
            detail = f"damaged, or not an archive ({type(error).__name__}: {error})"
            self.refusals.append(Refusal(name, "unreadable-archive", detail))
            return
        self._entries |= entries
        self.refusals += refusals
        self.hidden += hidden


def _walk(root: Path) -> Iterator[str]:
    """Posix paths of all entries that are not real folders; links to folders are yielded, not followed."""
    for folder, folders, files in os.walk(root):
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for name in files:
            yield prefix + name
        for name in folders:
            if (Path(folder) / name).is_symlink():
                yield prefix + name


def is_hidden(name: str) -> bool:
    """Whether a part of the path starts with a dot, or is what macOS leaves in archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def file_stamp(path: Path) -> tuple[int, int]:
    """Size and time of change."""
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def judge_file(root: Path, name: str) -> Refusal | None:
    """A link may only lead to a file in the source; a FIFO or a device would block the reader forever."""
    path = root / name
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return Refusal(name, "link", "the link leads out of the source folder")
        if not stat.S_ISREG(path.stat().st_mode):
            return Refusal(name, "not-a-file", "not a regular file")
        if not os.access(path, os.R_OK):
            return Refusal(name, "unreadable-file", "no permission to read")
    except (OSError, RuntimeError) as error:  # dangling link, loop, vanished file
        return Refusal(name, "unreadable-file", str(error))
    return None
