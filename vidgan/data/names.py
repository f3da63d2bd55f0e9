"""Natural order, file-safe ids and atomic files: what every part of the data package needs to name things."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class DataError(ValueError):
    """A source or a prepared data set cannot be used; the message names the file, the fault, and what is accepted."""


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
