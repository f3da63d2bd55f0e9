"""Directories with a manifest of the sha256 of each file, written and replaced so that a crash cannot corrupt them."""

import hashlib
import json
import logging
import os
import platform
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from vidgan.errors import CheckpointError, DamagedError
from vidgan.files import read_json

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20  # a real one has a few thousand
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # no path, not hidden


def to_json(value: object, what: str) -> bytes:
    """Encode as JSON.

    Raises:
        CheckpointError: naming `what`, if a value is not JSON or not finite.
    """
    try:
        return json.dumps(value, allow_nan=False, indent=1).encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{what} is not plain JSON with finite numbers: {error}") from error


def write_file(path: Path, payload: bytes) -> dict[str, Any]:
    """Write a file, flush it to the disk, and return its manifest entry, computed from the bytes in memory."""
    with path.open("wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    return {"sha256": hashlib.sha256(payload).hexdigest(), "bytes": len(payload)}


def write_manifest(directory: Path, step: int, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``manifest.json``; `files` maps a name to its entry from `write_file`."""
    body: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "files": dict(files),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "safetensors": safetensors.__version__,
        },
    }
    body["checksum"] = _checksum(body)
    write_file(directory / MANIFEST, to_json(body, "the manifest"))
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Flush the entries of a directory to the disk; without it a power cut may undo a rename."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_into_place(temporary: Path, final: Path) -> None:
    """Rename the finished directory `temporary` to `final`; an existing one becomes ``.replaced-<name>``."""
    if final.exists():  # a directory cannot be renamed over another one, so the old one is kept until then
        replaced = final.with_name(f".replaced-{final.name}")
        remove(path for path in (replaced,) if path.exists())  # left by a kill during an earlier replacement
        final.rename(replaced)
    temporary.rename(final)
    sync_directory(final.parent)


def remove(paths: Iterable[Path]) -> None:
    """Delete files and directories; a directory is renamed first, so that a kill leaves no partial checkpoint."""
    for path in paths:
        try:
            if path.is_dir():
                renamed = path.with_name(f".tmp-removed-{time.monotonic_ns()}")
                path.rename(renamed)
                shutil.rmtree(renamed)
            else:
                path.unlink()
        except OSError as error:
            logger.warning("%s could not be removed: %s", path, error)


def read_verified(directory: Path) -> tuple[int, dict[str, bytes]]:
    """Read all files and compare them with the manifest; returns the step and file name -> content.

    The bytes that were verified are those returned.

    Raises:
        DamagedError: a file is missing or differs from the manifest.
        CheckpointError: another format version.
    """
    try:
        manifest = read_json(directory / MANIFEST, max_bytes=MAX_MANIFEST_BYTES)
        if manifest["checksum"] != _checksum(manifest):
            raise DamagedError(f"{directory}: {MANIFEST} does not match its own checksum")
        if manifest["format_version"] != FORMAT_VERSION:
            raise CheckpointError(
                f"{directory} has format version {manifest['format_version']}, but this version of vidgan reads"
                f" {FORMAT_VERSION}; use the version that wrote it"
            )
        if type(manifest["step"]) is not int or manifest["step"] < 0:
            raise DamagedError(f"{directory}: {MANIFEST} has no integer 'step'")
        payloads = {name: _payload(directory, name, entry["bytes"]) for name, entry in manifest["files"].items()}
        sums = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    except CheckpointError:
        raise
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(f"{directory}: {type(error).__name__}: {error}") from error
    for name, payload in payloads.items():
        if hashlib.sha256(payload).hexdigest() != sums[name]:
            raise DamagedError(f"{directory}: {name} does not match its sha256")
    return manifest["step"], payloads


def _payload(directory: Path, name: str, size: int) -> bytes:
    """Read a file. A checkpoint may be untrusted: files outside `directory` and unbounded files are refused."""
    path = directory / name
    if not FILE_NAME.fullmatch(name) or path.is_symlink() or (path.exists() and not path.is_file()):
        raise DamagedError(f"{directory}: {name!r} is not a file of this checkpoint")
    if path.stat().st_size != size:
        raise DamagedError(f"{directory}: {name} has {path.stat().st_size:,} bytes instead of {size:,}")
    return path.read_bytes()


def _checksum(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
