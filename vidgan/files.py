"""Natural order, file-safe ids and atomic files: what every part of the data package needs to name things."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key under which ``frame2`` comes before ``frame10``; equal numbers fall back to the spelling."""
    parts = re.split(r"(\d+)", name)  # text and numbers alternate, text first, so that keys always compare
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name


def clip_id(name: str) -> str:
    """A file-safe id for the clip called `name`: readable letters and a digest that keeps different names apart."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-48:].strip("-")
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return f"{readable or 'clip'}-{digest}"


def digest_of(*parts: object) -> str:
    """32 hexadecimal digits that depend on the JSON form of `parts`."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[Any]]:
    """A binary file that appears under `path` whole, when the block ends without an error, or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_file(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=True) + "\n").encode())


def claim(path: Path, *, overwrite: bool, marker: str | None = None) -> None:
    """Make sure that `path` is free, or may be replaced. Nothing is touched.

    Args:
        marker: the file by which a folder is known as an earlier result of the same command; no other is replaced.

    Raises:
        FileExistsError: something stands there, and `overwrite` is off or it is no such result.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists; choose another --out, or replace it with --overwrite")
    if path.is_dir() and (marker is None or not (path / marker).is_file()):
        raise FileExistsError(
            f"{path} is no earlier result of this command and is not overwritten; choose another --out"
        )


def replace_folder(finished: Path, target: Path) -> None:
    """Put the folder `finished` in the place of `target`."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    finished.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write through a temporary file and a rename."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write through a temporary file and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content)
