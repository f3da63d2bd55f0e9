"""What lies in a source: which files are clips, which folders are clips, what is refused and what is ignored.

A source is a folder, or one file. Recognised below it, nested and mixed freely: video files; strips (one image that
holds a whole clip); folders of frames (a folder whose images are not strips is one clip, in natural order); .npy and
.npz arrays; .tar and .zip archives of the last three. Nothing is decoded here beyond the headers of a few images.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from vidgan.data.archives import ARCHIVE_ERRORS, Archive, is_archive
from vidgan.data.images import Blob, image_size, strip_frame_size
from vidgan.data.names import DataError, digest_of, natural_key

_COMMON_VIDEO: Final = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".3gp", ".3g2", ".mj2")
# Recognised so that the decoder can refuse them by name, rather than be passed over in silence.
_OTHER_VIDEO: Final = (".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".vob", ".y4m")
VIDEO_SUFFIXES: Final = frozenset((*_COMMON_VIDEO, *_OTHER_VIDEO))
IMAGE_SUFFIXES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".ppm", ".pgm", ".pnm", ".webp", ".tif", ".tiff")
)
ARRAY_SUFFIXES: Final = frozenset((".npy", ".npz"))
LAYOUTS: Final = ("auto", "strips", "frames", "videos")
_PEEKS: Final = 16  # images looked at to tell a folder of strips from a folder of frames

Size = tuple[int, int]
Peek = Callable[[list[str]], Iterable[tuple[str, Blob]]]


@dataclass(frozen=True)
class Refusal:
    """A file (or folder of frames) that is left out: a short reason to count by, and the details."""

    source: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Source:
    """Something to read clips from.

    Attributes:
        name: posix path below the source folder; a folder of frames has the folder's.
        kind: ``"video"``, ``"frames"``, ``"strip"`` or ``"array"``.
        files: the files to read, relative to the source folder or, with `archive`, member names; frames in order.
        archive: path of the archive below the source folder, or None.
        stamp: changes when a file's name, size or time of change does.
    """

    name: str
    kind: str
    files: tuple[str, ...]
    archive: str | None
    stamp: str


@dataclass
class Findings:
    """All that a source holds, in natural order, and the number of hidden and unrelated files."""

    sources: list[Source] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    ignored: int = 0


def discover(source: Path, *, layout: str = "auto", strip_frame: Size | None = None) -> tuple[Path, Findings]:
    """The root that names are relative to, and what lies in the folder or file `source`.

    Raises DataError when `source` does not exist, is neither file nor folder, or holds no file at all.
    """
    if not source.exists():
        raise DataError(f"{source}: no such folder or file")
    source = source.resolve()
    if source.is_dir():
        root, names = source, list(_walk(source))
    elif source.is_file():
        root, names = source.parent, [source.name]
    else:
        raise DataError(f"{source}: neither a folder nor a regular file")
    if not names:
        raise DataError(f"{source}: the folder is empty; put videos, frame folders, strips, .npy or archives in it")
    findings = Findings()
    stamps: dict[str, object] = {}
    for name in names:
        if not _is_wanted(name, archives=True):
            findings.ignored += 1
        elif refusal := _judge_file(root, name):
            findings.refusals.append(refusal)
        else:
            info = (root / name).stat()
            stamps[name] = (info.st_size, info.st_mtime_ns)
    archives = [name for name in stamps if is_archive(name)]
    plain = {name: stamp for name, stamp in stamps.items() if not is_archive(name)}
    _arrange(plain, None, lambda wanted: ((name, root / name) for name in wanted), layout, strip_frame, findings)
    for name in archives:
        _look_inside(root, name, stamps[name], layout, strip_frame, findings)
    findings.sources.sort(key=lambda found: natural_key(found.name))
    findings.refusals.sort(key=lambda refusal: natural_key(refusal.source))
    return root, findings


def _walk(root: Path) -> Iterator[str]:
    """Posix paths of all entries that are not real folders; links to folders are yielded, not followed."""
    for folder, folders, files in os.walk(root):
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in files + linked:
            yield (Path(folder) / name).relative_to(root).as_posix()


def _is_wanted(name: str, *, archives: bool) -> bool:
    path = PurePosixPath(name)
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return False
    suffix = path.suffix.lower()
    known = suffix in VIDEO_SUFFIXES or suffix in IMAGE_SUFFIXES or suffix in ARRAY_SUFFIXES
    return known or (archives and is_archive(name))


def _judge_file(root: Path, name: str) -> Refusal | None:
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


def _arrange(
    stamps: Mapping[str, object],
    archive: str | None,
    peek: Peek,
    layout: str,
    strip_frame: Size | None,
    findings: Findings,
) -> None:
    """Turn file names into sources; images are taken folder by folder."""
    prefix = f"{archive}/" if archive else ""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in stamps:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in IMAGE_SUFFIXES and layout == "videos":
            findings.ignored += 1
        elif suffix in IMAGE_SUFFIXES:
            folders[PurePosixPath(name).parent.as_posix()].append(name)
        elif suffix in VIDEO_SUFFIXES and archive:
            detail = "videos are not read out of archives; unpack it"
            findings.refusals.append(Refusal(prefix + name, "video-in-archive", detail))
        else:
            kind = "video" if suffix in VIDEO_SUFFIXES else "array"
            findings.sources.append(Source(prefix + name, kind, (name,), archive, digest_of(name, stamps[name])))
    for names in folders.values():
        names.sort(key=natural_key)
    votes = _vote(folders, peek, strip_frame) if layout == "auto" else {}
    for folder, names in folders.items():
        if layout == "strips" or (votes.get(folder) and 2 * sum(votes[folder]) >= len(votes[folder])):
            for name in names:
                findings.sources.append(Source(prefix + name, "strip", (name,), archive, digest_of(name, stamps[name])))
        else:
            name = (archive or ".") if folder == "." else prefix + folder
            stamp = digest_of([(file, stamps[file]) for file in names])
            findings.sources.append(Source(name, "frames", tuple(names), archive, stamp))


def _vote(folders: Mapping[str, list[str]], peek: Peek, strip_frame: Size | None) -> dict[str, list[bool]]:
    """For each folder: which of a sample of its readable images have a strip's shape."""
    sample = [name for names in folders.values() for name in names[:: -(-len(names) // _PEEKS)]]
    votes: dict[str, list[bool]] = defaultdict(list)
    for name, blob in peek(sample):
        try:
            is_strip = strip_frame_size(image_size(blob), strip_frame) is not None
        except DataError:
            continue  # refused by name when its turn to be read comes
        votes[PurePosixPath(name).parent.as_posix()].append(is_strip)
    return votes


def _look_inside(
    root: Path, name: str, stamp: object, layout: str, strip_frame: Size | None, findings: Findings
) -> None:
    inside = Findings()
    try:
        with Archive(root / name) as archive:
            members: dict[str, object] = {}
            for member in archive.members:
                if is_archive(member.name):
                    detail = "an archive inside an archive; unpack it"
                    inside.refusals.append(Refusal(f"{name}/{member.name}", "nested-archive", detail))
                elif _is_wanted(member.name, archives=False):
                    members[member.name] = (stamp, member.size)
                else:
                    inside.ignored += 1
            for refused in archive.refused:
                inside.refusals.append(Refusal(f"{name}/{refused.name}", refused.reason, refused.detail))
            _arrange(members, name, archive.stream, layout, strip_frame, inside)
    except ARCHIVE_ERRORS as error:
        detail = f"damaged, or not an archive ({type(error).__name__}: {error})"
        findings.refusals.append(Refusal(name, "unreadable-archive", detail))
        return
    findings.sources += inside.sources
    findings.refusals += inside.refusals
    findings.ignored += inside.ignored
