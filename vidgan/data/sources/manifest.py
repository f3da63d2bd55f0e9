"""A CSV or JSONL manifest: one line per clip, with its path, segment, category, group and split.

Columns (CSV header) or keys (JSONL objects); only `path` is required, unknown ones are errors:

    path                  a video, a .npy or .npz array, a strip, or a folder of frames
    start, end            frames, counted from 0, end exclusive; for .npz and multi-clip arrays within each clip
    start_time, end_time  the same in seconds after the first frame, instead of start and end
    category, group       class; group that the split keeps together
    split                 train or test
    fps                   frames per second of a folder of frames, an array or a strip, which have no clock

Relative paths start at the manifest's folder and may not leave it, neither by ``..`` nor by a link. Absolute paths are
used as written. Rows of one file without a group form one group, so that the split never separates segments of a video.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vidgan.data.sources.file_tree import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    check_file,
    file_stamp,
    is_hidden,
    starts_like_video,
    suffix_of,
)
from vidgan.data.sources.images import num_pages
from vidgan.data.sources.source import Listed, Refusal, Source
from vidgan.errors import DataError, JsonError, SourceError
from vidgan.files import digest_of, natural_key, parse_json

MANIFEST_SUFFIXES: Final = (".csv", ".jsonl")
COLUMNS: Final = ("path", "start", "end", "start_time", "end_time", "category", "group", "split", "fps")
_MAX_BYTES: Final = 1 << 30
_KINDS: Final = (
    dict.fromkeys(VIDEO_SUFFIXES, "video")
    | dict.fromkeys(ARRAY_SUFFIXES, "array")
    | dict.fromkeys(IMAGE_SUFFIXES, "strip")
)


def is_manifest(path: Path) -> bool:
    """Whether `path` is a file with the suffix of a manifest."""
    return path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file()


def read_manifest(path: Path, *, follow_links: bool = False) -> Listed:
    """The sources that a manifest lists; its folder is the root. Unusable files are refusals.

    Args:
        path: the manifest.
        follow_links: follow links of relative paths that leave the manifest's folder.

    Raises DataError naming the line for a row that is malformed, repeated, or leaves the folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; accepted as a manifest: {' or '.join(MANIFEST_SUFFIXES)} files")
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        raise DataError(f"{path}: unknown suffix; accepted for a manifest: {' or '.join(MANIFEST_SUFFIXES)}")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: manifest too large; accepted: at most {_MAX_BYTES} bytes")
    path = path.resolve()
    root = path.parent
    sources: list[Source] = []
    refusals: list[Refusal] = []
    lines: dict[str, int] = {}
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path)
    for line, row in rows:
        try:
            source = _parse_row(root, row)
        except DataError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
        if source.name in lines:
            raise DataError(f"{path}: line {line}: {source.name} repeats line {lines[source.name]}")
        lines[source.name] = line
        resolved = _with_files(root, source, follow_links)
        if isinstance(resolved, Refusal):
            refusals.append(Refusal(resolved.source, resolved.reason, f"line {line}: {resolved.detail}"))
        else:
            sources.append(resolved)
    if not lines:
        raise DataError(f"{path}: lists no clip; accepted columns: {', '.join(COLUMNS)}")
    sources.sort(key=lambda source: natural_key(source.name))
    return Listed(root, tuple(sources), tuple(refusals))


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (1 is the header) and non-empty cells of each row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_columns(path, 1, header)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    problem = f"{len(cells)} cells; expected {len(header)}, as in the header"
                    raise DataError(f"{path}: line {reader.line_num}: {problem}")
                values = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
                yield reader.line_num, {name: value for name, value in values.items() if value}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: line {reader.line_num}: not CSV in UTF-8 ({error})") from error


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = parse_json(line, "value")
            except JsonError as error:
                raise DataError(f"{path}: line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number}: {type(row).__name__}; expected an object with the key path")
            _check_columns(path, number, list(row))
            yield number, {name: value for name, value in row.items() if value is not None}


def _check_columns(path: Path, line: int, names: list[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{path}: line {line}: unknown column {name!r}; accepted: {', '.join(COLUMNS)}")
    if "path" not in names:
        raise DataError(f"{path}: line {line}: column path is missing; accepted: {', '.join(COLUMNS)}")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: line {line}: a column occurs twice")


def _parse_row(root: Path, row: dict[str, Any]) -> Source:
    """The row as a source; its files are not resolved yet. Raises DataError without path and line."""
    name = row.get("path")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise DataError("path is empty; accepted: a file or a folder of frames")
    name = _normalised(root, name)
    bounds = {key: _frame_number(key, row.get(key)) for key in ("start", "end")}
    times = {key: _non_negative(key, row.get(key)) for key in ("start_time", "end_time")}
    if any(value is not None for value in bounds.values()) and any(value is not None for value in times.values()):
        raise DataError("both frames (start, end) and seconds (start_time, end_time) are set; use one pair")
    for low, high in ((bounds["start"], bounds["end"]), (times["start_time"], times["end_time"])):
        if high is not None and high <= (low or 0):
            raise DataError(f"end {high} is not after start {low or 0}")
    split = row.get("split")
    if split not in (None, "train", "test"):
        raise DataError(f"split is {split!r}; accepted: train, test")
    fps = _non_negative("fps", row.get("fps"))
    if fps == 0:
        raise DataError("fps is 0; accepted: a number above 0")
    if fps is not None and _KINDS.get(suffix_of(name)) == "video":
        raise DataError("fps has no effect on a video, which has its own timestamps; leave it empty")
    return Source(
        name + _suffix(bounds["start"], bounds["end"], "") + _suffix(times["start_time"], times["end_time"], "s"),
        "",
        (name,),
        category=_word("category", row.get("category")),
        group=_word("group", row.get("group")) or name,
        split=split,
        start=bounds["start"],
        end=bounds["end"],
        start_time=times["start_time"],
        end_time=times["end_time"],
        fps=fps,
    )


def _normalised(root: Path, name: str) -> str:
    """The normalised posix path; relative ones must stay below `root`."""
    path = PurePosixPath(name.strip())
    if not path.is_absolute() and ".." in path.parts:
        raise DataError(f"path {name!r} leaves {root}; accepted: paths below it, or absolute paths")
    return path.as_posix()


def _suffix(start: float | None, end: float | None, unit: str) -> str:
    if start is None and end is None:
        return ""
    return f":{start or 0:g}{unit}-" + ("" if end is None else f"{end:g}{unit}")


def _frame_number(key: str, value: Any) -> int | None:
    if value is None:
        return None
    number = _number(key, value)
    if number != int(number) or number < 0:
        raise DataError(f"{key} is {value!r}; accepted: a frame number from 0; for seconds use {key}_time")
    return int(number)


def _non_negative(key: str, value: Any) -> float | None:
    if value is None:
        return None
    number = _number(key, value)
    if number < 0:
        raise DataError(f"{key} is {value!r}; accepted: a number of 0 or more")
    return number


def _number(key: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{key} is {value!r}; accepted: a number")
    return number


def _word(key: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{key} is {value!r}; accepted: text or an integer")
    return str(value)


def _with_files(root: Path, source: Source, follow_links: bool) -> Source | Refusal:
    """`source` with kind, files and stamp, from the file system."""
    name = source.files[0]
    try:
        return _resolve(root, name, source, follow_links)
    except (OSError, ValueError) as error:  # a name beyond the limits of the system, a folder without permission
        return Refusal(source.name, "unreadable-file", getattr(error, "strerror", None) or str(error))


def _resolve(root: Path, name: str, source: Source, follow_links: bool) -> Source | Refusal:
    path = root / name
    files: tuple[str, ...] = (name,)
    kind = _KINDS.get(suffix_of(name), "")
    if path.is_dir():
        kind = "frames"
        images = (entry.name for entry in path.iterdir() if suffix_of(entry.name) in IMAGE_SUFFIXES)
        frames = sorted((image for image in images if not is_hidden(image)), key=natural_key)
        files = tuple(frames) if name == "." else tuple(f"{name}/{frame}" for frame in frames)
    if not files:
        return Refusal(source.name, "no-frames", "the folder contains no images")
    for file in files:
        refusal = _check_listed_file(root, file, follow_links)
        if refusal is not None:
            return Refusal(source.name, refusal.reason, f"{file}: {refusal.detail}")
    if not kind and starts_like_video(path):
        kind = "video"
    if not kind:
        return Refusal(source.name, "not-a-clip", "neither a folder nor a video, image or array by its suffix")
    if kind == "strip" and _num_pages(path) > 1:
        kind = "pages"
    requested = (source.start, source.end, source.start_time, source.end_time, source.fps)
    stamp = digest_of(files, [file_stamp(root / file) for file in files], requested)
    return replace(source, kind=kind, files=files, stamp=stamp)


def _num_pages(path: Path) -> int:
    """Number of images in a file; 1 for one that will be refused when it is read."""
    try:
        return num_pages(path)
    except SourceError:
        return 1


def _check_listed_file(root: Path, name: str, follow_links: bool) -> Refusal | None:
    path = root / name
    if not path.exists() and not path.is_symlink():
        hint = "; separate folders by / instead of \\" if "\\" in name else ""
        return Refusal(name, "missing", f"no such file or folder{hint}")
    if PurePosixPath(name).is_absolute():
        return check_file(Path(path.anchor), name)  # an absolute path may be a link to anywhere
    if not follow_links and not path.resolve().is_relative_to(root):  # a parent folder may be the link
        return Refusal(
            name, "link", f"a link to {path.resolve()}, outside the manifest's folder; list that path instead"
        )
    return check_file(root, name, follow_links=follow_links)
