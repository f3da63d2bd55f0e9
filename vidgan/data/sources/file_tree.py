"""The files below a source folder, members of archives included, under one naming scheme.

A member of an archive is called ``<archive>/<member>``; nothing is extracted. Hidden files are skipped. Files that must
not be opened are refused by name: pipes, devices, members with absolute or ``..`` names, and links out of the source,
unless the caller allows these. Links to files and folders within the source are followed. A folder that contains itself
through a link is refused.
"""

import os
import re
import stat
from collections import Counter, defaultdict
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
_OTHER_VIDEO: Final = (
    *(".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".ts", ".mts", ".m2t", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".ogv"),
    *(
        ".ogm",
        ".vob",
        ".y4m",
        ".qt",
        ".divx",
        ".h264",
        ".264",
        ".avc",
        ".h265",
        ".265",
        ".hevc",
        ".mxf",
        ".ivf",
        ".obu",
    ),
)
VIDEO_SUFFIXES: Final = frozenset((*_COMMON_VIDEO, *_OTHER_VIDEO))
IMAGE_SUFFIXES: Final = frozenset(
    (
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".webp",
        ".tif",
        ".tiff",
    )
)
ARRAY_SUFFIXES: Final = frozenset((".npy", ".npz"))
_MEDIA: Final = VIDEO_SUFFIXES | IMAGE_SUFFIXES | ARRAY_SUFFIXES
# First bytes of files that FFmpeg reads as videos: the part of the file name of an MP4 is at byte 4.
_VIDEO_STARTS: Final = re.compile(
    rb"....(?:ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF....AVI |GIF8[79]a|FLV\x01|OggS|YUV4MPEG2 "
    rb"|\x00\x00\x01[\xba\xb3]|\x00\x00\x00?\x01[\x67\x27\x40\x46]",
    re.DOTALL,
)
CLIPS_RECORD: Final = "generated.json"
"""File that `vidgan generate` writes beside its clips."""
CLIPS_OVERVIEWS: Final = ("overview.gif", "sheet.png")
"""Its images of several clips, which are no clips."""

_MAX_LINKS: Final = 10_000  # to folders: links between folders can multiply without end
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

    Args:
        source: a folder, or one file.
        follow_links: follow links that lead out of `source`.

    Attributes:
        root: folder that names are relative to.
        refusals: media files, archives and folders that must not be read.
        num_hidden: number of hidden files and of unreadable unrelated ones.
        num_outside_links: number of links that lead out of the source and were not followed.

    Raises DataError when the source is neither a file nor a folder, or contains no file.
    """

    def __init__(self, source: Path, *, follow_links: bool = False) -> None:
        if not source.exists():
            raise DataError(f"{source}: no such folder or file")
        self.refusals: list[Refusal] = []
        self.num_hidden = 0
        self.num_outside_links = 0
        self._entries: dict[str, _Entry] = {}
        self._used: set[str] = set()
        is_empty = True
        if source.is_dir():
            self.root = source.resolve()
            found = _walk(self.root, follow_links)
        elif source.is_file():  # the path of the user may be a link, and keeps its name
            self.root = source.absolute().parent.resolve()
            found, follow_links = iter([source.name]), True
        else:
            raise DataError(f"{source}: not a folder or a regular file")
        for item in found:
            is_empty = False
            name = item.source if isinstance(item, Refusal) else item
            if is_hidden(name) and name != source.name:
                self.num_hidden += 1
            elif isinstance(item, Refusal):
                self._refuse(item, always=True)
            elif refusal := check_file(self.root, name, follow_links=follow_links):
                self._refuse(refusal)
            elif is_archive(name):
                self._list_members(name)
            else:
                self._entries[name] = _Entry(file_stamp(self.root / name), None)
        if is_empty:
            raise DataError(f"{source}: empty folder; accepted: videos, frame folders, strips, arrays, archives")

    @cached_property
    def names(self) -> list[str]:
        """All readable files but the overviews of generated clips, folder by folder in natural order."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in self._entries:
            folder, _, last = name.rpartition("/")
            if last in CLIPS_OVERVIEWS and f"{folder}/{CLIPS_RECORD}".removeprefix("/") in self._entries:
                continue
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

    def videos_by_content(self) -> list[str]:
        """Files on disk that start like a video, although their suffix is not that of any file that can be used."""
        unknown = (name for name, entry in self._entries.items() if entry.archive is None and not is_clip_file(name))
        return sorted((n for n in unknown if n not in self._used and starts_like_video(self.root / n)), key=natural_key)

    def left_alone(self) -> str | None:
        """A notice on the readable files that are not used, by suffix; None if there is none."""
        suffixes = Counter(suffix_of(name) or "none" for name in self._entries.keys() - self._used)
        if not suffixes:
            return None
        listed = ", ".join(suffix for suffix, _ in suffixes.most_common(8)) + (", ..." if len(suffixes) > 8 else "")
        return f"{suffixes.total()} other files were left alone ({listed})"

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

    def _refuse(self, refusal: Refusal, *, always: bool = False) -> None:
        """Exclude a file that is media by its suffix, or a link that may lead to a folder; count others."""
        self.num_outside_links += refusal.reason == "link"
        name = refusal.source
        may_be_folder = not suffix_of(name) and os.path.islink(self.root / name)  # noqa: PTH114 - never raises
        if always or may_be_folder or is_clip_file(name) or is_archive(name):
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


def _walk(root: Path, follow_links: bool) -> Iterator[str | Refusal]:
    """Relative posix paths of all files below `root`, and refusals of folders that are not entered."""
    pending: list[tuple[str, frozenset[str]]] = [("", frozenset([str(root)]))]
    num_followed = 0
    while pending:
        prefix, entered = pending.pop()  # `entered`: folders that were entered through a link on the way
        try:
            with os.scandir(root / prefix) as entries:
                listed = list(entries)
        except OSError as error:
            yield Refusal(prefix.rstrip("/") or ".", "unreadable-folder", error.strerror or str(error))
            continue
        for entry in listed:
            name = prefix + entry.name
            try:
                is_folder, is_link = entry.is_dir(), entry.is_symlink()
                target = os.path.realpath(entry.path) if is_folder and is_link else ""
            except OSError as error:
                yield Refusal(name, "unreadable-file", error.strerror or str(error))
                continue
            if not is_folder:
                yield name
            elif not is_link:
                pending.append((f"{name}/", entered))
            elif is_hidden(name):
                continue
            elif target in entered or Path(os.path.realpath(root / prefix)).is_relative_to(target):
                yield Refusal(name, "link", f"a link to {target}, a folder that contains it")
            elif not follow_links and not Path(target).is_relative_to(root):
                yield Refusal(name, "link", _outside(target))
            elif num_followed >= _MAX_LINKS:
                yield Refusal(name, "link", f"more than {_MAX_LINKS} links to folders")
            else:
                num_followed += 1
                pending.append((f"{name}/", entered | {target}))


def _outside(target: Path | str) -> str:
    return f"a link to {target}, outside the source folder"


def starts_like_video(path: Path) -> bool:
    """Whether the first bytes of a regular file are those of a video."""
    try:
        with path.open("rb") as file:
            start = file.read(189)
    except OSError:
        return False
    is_transport_stream = len(start) == 189 and start[0] == start[188] == 0x47
    return is_transport_stream or _VIDEO_STARTS.match(start) is not None


def is_hidden(name: str) -> bool:
    """Whether a part of the path starts with a dot or is ``__MACOSX``, which macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds."""
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def check_file(root: Path, name: str, *, follow_links: bool = False) -> Refusal | None:
    """A refusal for what must not be opened, None for a readable regular file.

    A link may only lead to a file below `root`, unless `follow_links`. A FIFO or device would block the reader forever.
    """
    path = root / name
    try:
        # The check precedes the file's own: whether a file outside exists must not show.
        if not follow_links and path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return Refusal(name, "link", _outside(path.resolve()))
        if not stat.S_ISREG(path.stat().st_mode):
            return Refusal(name, "not-a-file", "not a regular file")
        if not os.access(path, os.R_OK):
            return Refusal(name, "unreadable-file", "no permission to read")
    except (OSError, RuntimeError, ValueError) as error:  # dangling link, loop, vanished file, a name that is too long
        return Refusal(name, "unreadable-file", getattr(error, "strerror", None) or str(error))
    return None
