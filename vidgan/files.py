"""File names that sort and store well, and writing files and folders atomically.

A reader never sees a half-written result: content goes to a hidden temporary path in the same folder, which is renamed
when it is complete. Text is UTF-8.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = [
    "atomic_file",
    "atomic_path",
    "check_overwrite",
    "clip_id",
    "digest_of",
    "natural_key",
    "replace_folder",
    "write_bytes",
    "write_json",
    "write_text",
]


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key under which ``frame2`` comes before ``frame10``; names with equal numbers are ordered by spelling."""
    parts = re.split(r"(\d+)", name)  # text and numbers alternate, text first, so that keys always compare
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name


def clip_id(name: str) -> str:
    """File-safe id of the clip `name`: its readable characters and a digest, so that different names stay different."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-48:].strip("-")
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return f"{readable or 'clip'}-{digest}"


def digest_of(*parts: object) -> str:
    """32 hexadecimal digits of a hash of the JSON form of `parts`."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which must exist.

    The file written there is renamed to `path` when the block ends, replacing an existing file, and is deleted when
    the block raises.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[Any]]:
    """Like `atomic_path`, but yields a binary file open for writing."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; missing parent folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; missing parent folders are created."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON atomically; the parent folder must exist."""
    with atomic_file(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=True) + "\n").encode())


def check_overwrite(path: Path, *, overwrite: bool, marker: str | None = None) -> None:
    """Check that `path` is free or may be replaced by the result of a command. Changes nothing.

    An empty folder counts as free.

    Args:
        path: output file or folder.
        overwrite: allow replacing an existing result.
        marker: name of the file that identifies a folder as a result of the same command. A folder without it is never
            replaced.

    Raises:
        FileExistsError: `path` exists, and `overwrite` is off or the folder is not a result of this command.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"{path} already exists; choose another --out, or pass --overwrite to replace it")
    if path.is_dir() and (marker is None or not (path / marker).is_file()):
        raise FileExistsError(
            f"{path} is not an earlier result of this command, so it is not overwritten; choose another --out"
        )


def replace_folder(finished: Path, target: Path) -> None:
    """Rename the folder `finished` to `target` and delete the folder that had this name.

    A folder cannot be renamed over another, so the old one is called ``.<name>.old`` in between.
    """
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    finished.rename(target)
    shutil.rmtree(old, ignore_errors=True)
