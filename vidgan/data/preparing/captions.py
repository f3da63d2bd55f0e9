"""Captions beside videos: ``captions.jsonl`` of a folder, ``NAME.txt`` beside ``NAME.mp4``, and captions of categories.

A line of ``captions.jsonl`` names the clips that it describes, and holds captions, attributes or both::

    {"file": "walks/0001.mp4", "captions": ["a person walks to the left"], "attributes": {"direction": "left"}}
    {"category": "wave2", "captions": ["a person waves both arms"]}

``file`` is a posix path from the folder of the ``captions.jsonl``; it may also be a folder of frames, or one clip of a
file (``a.npy#3``). The lines of a ``NAME.txt`` are captions of that clip. Captions of a category are those of its clips
that have none of their own; its attributes are added to theirs. Attributes are what a caption says, as name -> value;
training takes captions of equal attributes for equal in meaning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vidgan.data.store.index import ClipEntry
from vidgan.errors import DataError, UserError
from vidgan.files import parse_json
from vidgan.tokens import split_words

__all__ = ["CAPTIONS_NAME", "add_captions"]

CAPTIONS_NAME: Final = "captions.jsonl"
_MAX_TEXT_BYTES: Final = 1 << 16  # of a NAME.txt


@dataclass(frozen=True)
class _Description:
    """What a line says of its clips."""

    captions: tuple[str, ...]
    attributes: Mapping[str, str]
    origin: str  # for messages


def add_captions(
    root: Path, clips: Sequence[ClipEntry], categories: Sequence[str]
) -> tuple[list[ClipEntry], list[str]]:
    """The clips with their captions and attributes, and notices about them; files are only read below `root`.

    Args:
        root: the source folder.
        clips: without captions.
        categories: class names, which lines may describe.

    Raises:
        DataError: a caption file is damaged, or describes a file or a category that no clip has.
    """
    if not root.is_dir():
        return list(clips), []
    files = {name for clip in clips for name in (clip.file, clip.source)}
    by_file: dict[str, _Description] = {}
    by_category: dict[str, _Description] = {}
    unused = 0
    for folder in _folders(clips):
        path = root / folder / CAPTIONS_NAME
        if not _is_file(path):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            kind, name, description = _read_line(line, f"{path}: line {number}")
            if kind == "category":
                if name not in categories:
                    known = ", ".join(categories) or "none; use --categories"
                    raise DataError(f"{description.origin}: there is no category {name!r} (accepted: {known})")
                by_category[name] = description
            else:
                name = (PurePosixPath(folder) / name).as_posix()
                unused += name not in files
                by_file[name] = description
    described = [_described(root, clip, categories, by_file, by_category) for clip in clips]
    missing = sum(not clip.captions for clip in described)
    notices = []
    if missing < len(described):
        notices.append(f"{len(described) - missing} of {len(described)} clips have captions")
    if unused:
        notices.append(f"{unused} lines of {CAPTIONS_NAME} describe files that are not among the clips")
    return described, notices


def _folders(clips: Sequence[ClipEntry]) -> list[str]:
    """The source folder, and all folders in it that contain clips."""
    parents = {parent.as_posix() for clip in clips for parent in PurePosixPath(clip.file).parents}
    return sorted({".", *(parent for parent in parents if not parent.startswith("/"))})


def _read_line(line: str, origin: str) -> tuple[str, str, _Description]:
    """``"file"`` or ``"category"``, its name, and what the line says. Raises DataError."""
    try:
        content: Any = parse_json(line, origin)
    except UserError as error:
        raise DataError(str(error)) from error
    form = '{"file" or "category": NAME, "captions": [TEXT, ...], "attributes": {NAME: VALUE}}'
    expected = f"{origin}: expected {form}"
    if not isinstance(content, dict) or ("file" in content) == ("category" in content):
        raise DataError(expected)
    kind = "file" if "file" in content else "category"
    captions, attributes = content.get("captions", []), content.get("attributes", {})
    texts = [content[kind], *captions] if isinstance(captions, list) else [None]
    pairs = [*attributes.keys(), *attributes.values()] if isinstance(attributes, dict) else [None]
    extra = content.keys() - {kind, "captions", "attributes"}
    if extra or not all(isinstance(text, str) for text in (*texts, *pairs)):
        raise DataError(expected)
    return kind, content[kind], _Description(_checked(captions, origin), attributes, origin)


def _checked(captions: Sequence[str], origin: str) -> tuple[str, ...]:
    for caption in captions:
        if not split_words(caption):
            raise DataError(f"{origin}: caption {caption!r} has no words")
    return tuple(dict.fromkeys(captions))


def _described(
    root: Path,
    clip: ClipEntry,
    categories: Sequence[str],
    by_file: Mapping[str, _Description],
    by_category: Mapping[str, _Description],
) -> ClipEntry:
    own = by_file.get(clip.source) or by_file.get(clip.file)
    of_category = by_category.get(categories[clip.category]) if 0 <= clip.category < len(categories) else None
    captions = (own.captions if own is not None else ()) or _text_beside(root / clip.file)
    if not captions and of_category is not None:
        captions = of_category.captions
    attributes: dict[str, str] = {}
    for description in (of_category, own):
        attributes |= description.attributes if description is not None else {}
    return replace(clip, captions=captions, attributes=attributes)


def _is_file(path: Path) -> bool:
    """Whether there is such a file; members of archives may have names that no file system accepts."""
    try:
        return path.is_file()
    except OSError:
        return False


def _text_beside(file: Path) -> tuple[str, ...]:
    """The lines of ``NAME.txt`` beside a clip; none if there is no such file."""
    text = file.with_suffix(".txt") if file.suffix else file.with_name(f"{file.name}.txt")
    if not _is_file(text):
        return ()
    if text.stat().st_size > _MAX_TEXT_BYTES:
        raise DataError(f"{text}: more than {_MAX_TEXT_BYTES} bytes; accepted: one caption per line")
    try:
        lines = text.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{text}: not UTF-8 text ({error})") from error
    return _checked([line.strip() for line in lines if line.strip()], str(text))
