"""A CSV or JSONL manifest: one line a clip, with its path, stretch, category, group and split.

Columns (CSV header) or keys (JSONL objects), all but `path` optional, others refused:

    path                  a video, a .npy or .npz array, a strip, or a folder of frames
    start, end            frames, counted from 0, end exclusive; of .npz and many-clip arrays in each clip
    start_time, end_time  the same in seconds after the first frame, instead of start and end
    category, group       class, and what must not be parted by the split
    split                 train or test
    fps                   frames a second of a folder of frames, an array or a strip, which have no clock of their own

A relative path is taken from the manifest's folder and may not lead out of it, by ``..`` or by a link. An absolute path
is taken as it is written: whoever lists it means that file. Rows of one file without a group are one group, so that
stretches of a video never part.
"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vidgan.data.sources.entries import Findings, Refusal, Source
from vidgan.data.sources.listing import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    file_stamp,
    is_hidden,
    judge_file,
    suffix_of,
)
from vidgan.errors import DataError
from vidgan.files import digest_of, natural_key

MANIFEST_SUFFIXES: Final = (".csv", ".jsonl")
COLUMNS: Final = ("path", "start", "end", "start_time", "end_time", "category", "group", "split", "fps")
_MAX_BYTES: Final = 1 << 30
_KINDS: Final = (
    dict.fromkeys(VIDEO_SUFFIXES, "video")
    | dict.fromkeys(ARRAY_SUFFIXES, "array")
    | dict.fromkeys(IMAGE_SUFFIXES, "strip")
)


def read_manifest(path: Path) -> tuple[Path, Findings]:
    """The manifest's folder, and the sources it lists; files that cannot be used are refusals.

    Raises DataError naming the line for a row that is malformed, repeated, or leads out of the folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; a manifest is a {' or '.join(MANIFEST_SUFFIXES)} file")
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        raise DataError(f"{path}: a manifest ends in {' or '.join(MANIFEST_SUFFIXES)}")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: more than {_MAX_BYTES} bytes; split the manifest")
    path = path.resolve()
    root = path.parent
    findings = Findings()
    lines: dict[str, int] = {}
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path)
    for line, row in rows:
        try:
            source = _source(root, row)
        except DataError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
        if source.name in lines:
            raise DataError(f"{path}: line {line}: {source.name} was listed on line {lines[source.name]}")
        lines[source.name] = line
        found = _with_files(root, source)
        if isinstance(found, Refusal):
            findings.refusals.append(Refusal(found.source, found.reason, f"line {line}: {found.detail}"))
        else:
            findings.sources.append(found)
    if not lines:
        raise DataError(f"{path}: lists no clip; columns: {', '.join(COLUMNS)}")
    findings.sources.sort(key=lambda source: natural_key(source.name))
    return root, findings


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (the header's is 1) and the filled cells of each row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_columns(path, 1, header)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    problem = f"{len(cells)} cells, the header has {len(header)}"
                    raise DataError(f"{path}: line {reader.line_num}: {problem}")
                values = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
                yield reader.line_num, {name: value for name, value in values.items() if value}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: line {reader.line_num}: no CSV in UTF-8 ({error})") from error


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: no JSON ({error})") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number}: {type(row).__name__}; expected an object with a path")
            _check_columns(path, number, list(row))
            yield number, {name: value for name, value in row.items() if value is not None}


def _check_columns(path: Path, line: int, names: list[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{path}: line {line}: unknown column {name!r}; accepted: {', '.join(COLUMNS)}")
    if "path" not in names:
        raise DataError(f"{path}: line {line}: no column path; accepted: {', '.join(COLUMNS)}")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: line {line}: a column is there twice")


def _source(root: Path, row: dict[str, Any]) -> Source:
    """The row as a source, its files not looked at yet. Raises DataError without the place."""
    name = row.get("path")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise DataError("path is empty; give a file or a folder of frames")
    name = _inside(root, name)
    span = {key: _whole(key, row.get(key)) for key in ("start", "end")}
    times = {key: _positive(key, row.get(key)) for key in ("start_time", "end_time")}
    if any(value is not None for value in span.values()) and any(value is not None for value in times.values()):
        raise DataError("frames (start, end) and seconds (start_time, end_time) are both given; give one")
    for low, high in ((span["start"], span["end"]), (times["start_time"], times["end_time"])):
        if high is not None and high <= (low or 0):
            raise DataError(f"the end {high} does not come after the start {low or 0}")
    split = row.get("split")
    if split not in (None, "train", "test"):
        raise DataError(f"split is {split!r}; accepted: train, test")
    fps = _positive("fps", row.get("fps"))
    if fps == 0:
        raise DataError("fps is 0; accepted: a number above 0")
    if fps is not None and _KINDS.get(suffix_of(name)) == "video":
        raise DataError("fps has no effect on a video, which has its own clock; leave it empty")
    return Source(
        name + _suffix(span["start"], span["end"], "") + _suffix(times["start_time"], times["end_time"], "s"),
        "",
        (name,),
        category=_word("category", row.get("category")),
        group=_word("group", row.get("group")) or name,
        split=split,
        start=span["start"],
        end=span["end"],
        start_time=times["start_time"],
        end_time=times["end_time"],
        fps=fps,
    )


def _inside(root: Path, name: str) -> str:
    """The normalised path: relative ones below `root`, absolute ones as they are."""
    path = PurePosixPath(name.strip())
    if not path.is_absolute() and ".." in path.parts:
        raise DataError(f"path {name!r} leads out of {root}; give the absolute path if that is meant")
    return path.as_posix()


def _suffix(start: float | None, end: float | None, unit: str) -> str:
    if start is None and end is None:
        return ""
    return f":{start or 0:g}{unit}-" + ("" if end is None else f"{end:g}{unit}")


def _whole(key: str, value: Any) -> int | None:
    if value is None:
        return None
    number = _number(key, value)
    if number != int(number) or number < 0:
        raise DataError(f"{key} is {value!r}; accepted: a whole number of frames from 0; seconds go into {key}_time")
    return int(number)


def _positive(key: str, value: Any) -> float | None:
    if value is None:
        return None
    number = _number(key, value)
    if number < 0:
        raise DataError(f"{key} is {value!r}; accepted: a number from 0")
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
        raise DataError(f"{key} is {value!r}; accepted: text or a whole number")
    return str(value)


def _with_files(root: Path, source: Source) -> Source | Refusal:
    """`source` with its kind, files and stamp, from what lies there."""
    name = source.files[0]
    path = root / name
    files: tuple[str, ...] = (name,)
    kind = _KINDS.get(suffix_of(name), "")
    if path.is_dir():
        kind = "frames"
        found = (entry.name for entry in path.iterdir() if suffix_of(entry.name) in IMAGE_SUFFIXES)
        frames = sorted((frame for frame in found if not is_hidden(frame)), key=natural_key)
        files = tuple(frames) if name == "." else tuple(f"{name}/{frame}" for frame in frames)
    if not kind and path.exists():
        return Refusal(source.name, "not-a-clip", "no video, image or array by its suffix, and no folder")
    if not files:
        return Refusal(source.name, "no-frames", "the folder holds no images")
    for file in files:
        refusal = _judge(root, file)
        if refusal is not None:
            return Refusal(source.name, refusal.reason, f"{file}: {refusal.detail}")
    asked = (source.start, source.end, source.start_time, source.end_time, source.fps)
    stamp = digest_of(files, [file_stamp(root / file) for file in files], asked)
    return replace(source, kind=kind, files=files, stamp=stamp)


def _judge(root: Path, name: str) -> Refusal | None:
    path = root / name
    if not path.exists() and not path.is_symlink():
        return Refusal(name, "missing", "no such file or folder")
    if PurePosixPath(name).is_absolute():
        return judge_file(Path(path.anchor), name)  # a listed link may lead anywhere
    if not path.resolve().is_relative_to(root):  # also by a folder on the way
        return Refusal(name, "link", "a link leads out of the manifest's folder")
    return judge_file(root, name)
