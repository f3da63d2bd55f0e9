"""File names that sort and store well, reading untrusted JSON, and writing files and folders atomically.

A reader never sees a half-written result: content goes to a hidden temporary path in the same folder, which is renamed
when it is complete. Text is UTF-8.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

from vidgan.errors import JsonError, UserError

__all__ = [
    "DISK_FULL_ERRNOS",
    "MAX_JSON_BYTES",
    "MAX_JSON_DEPTH",
    "atomic_file",
    "atomic_path",
    "cache_folder",
    "check_overwrite",
    "clip_id",
    "digest_of",
    "escape_controls",
    "explain_full_disk",
    "file_hash",
    "natural_key",
    "open_regular",
    "parse_json",
    "read_json",
    "replace_folder",
    "temporary_folder",
    "write_bytes",
    "write_json",
    "write_text",
]

DISK_FULL_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAX_JSON_BYTES: Final = 64_000_000
MAX_JSON_DEPTH: Final = 64
"""Deepest nesting of lists and objects that is accepted; files of vidgan have less than ten levels."""


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


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def escape_controls(text: str, *, keep: str = "") -> str:
    r"""`text` with every character that could control a terminal written as an escape, such as ``\x1b``.

    Escaped are control characters (C0, DEL, C1), line and paragraph separators, characters that reorder text, and the
    surrogates that stand for undecodable bytes of a file name. Names from files and folders pass through this before
    they are printed.

    Args:
        text: any text.
        keep: characters that stay as they are, for example newlines in a message of several lines.
    """
    return _CONTROLS.sub(lambda match: match[0] if match[0] in keep else _escape(ord(match[0])), text)


_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # an undecodable byte of a file name
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


@contextmanager
def open_regular(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file for reading.

    Raises:
        UserError: `path` is a folder, pipe, device or socket; opening it does not block.
        OSError: it is missing or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path}: not a regular file")
        yield file


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value of a JSON file, which may come from a stranger.

    Args:
        path: the file.
        max_bytes: largest accepted size.

    Raises:
        UserError: not a regular file, or too large; a JsonError if it is not JSON, or nested deeper than
            `MAX_JSON_DEPTH`. The message names the file.
        OSError: the file is missing or cannot be read.
    """
    with open_regular(path) as file:
        nbytes = os.fstat(file.fileno()).st_size
        content = file.read(min(nbytes, max_bytes) + 1)
    if len(content) > max_bytes:
        raise UserError(f"{path}: larger than {max_bytes} bytes, the most that is accepted")
    return parse_json(content, path)


def parse_json(text: str | bytes, origin: object) -> Any:
    """The value of a JSON text; `origin` (file, or file and line) is named in errors.

    Raises:
        JsonError: not JSON, or nested deeper than `MAX_JSON_DEPTH`.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise JsonError(f"{origin}: {_TOO_DEEP}") from error
    except ValueError as error:  # bad syntax, bad UTF-8, or a number of too many digits
        raise JsonError(f"{origin}: not valid JSON ({error})") from error
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, list | dict)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return value
    raise JsonError(f"{origin}: {_TOO_DEEP}")


_TOO_DEEP: Final = f"lists and objects are nested too deeply; accepted: at most {MAX_JSON_DEPTH} levels"


@contextmanager
def explain_full_disk(path: Path, nbytes: int | None = None) -> Iterator[None]:
    """Name the file and the bytes in the error of a full disk.

    Args:
        path: file that is written.
        nbytes: size that it would have, if known.

    Raises:
        OSError: instead of one that names neither; other errors pass through.
    """
    try:
        yield
    except OSError as error:
        code = error.errno
        if code is None and " requested and " in str(error):  # numpy reports only a short write
            code = errno.ENOSPC
        if code not in DISK_FULL_ERRNOS:
            raise
        needed = "" if nbytes is None else f"{nbytes} bytes to write, "
        raise OSError(code, f"{os.strerror(code)} ({needed}{_free_bytes(path)} free)", str(path)) from error


def _free_bytes(path: Path) -> int:
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
    return shutil.disk_usage(folder).free


_TEMPORARY: Final = "vidgan-temporary-"
_TEMPORARY_NAME: Final = re.compile(r"vidgan-temporary-\d+-\w{8}")  # no folder that a person would make


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, removed at the end; if the process is killed, by a later one that needs a folder.

    A lock on the folder shows that it is in use. It ends with the process.
    """
    _remove_stale_folders()
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_TEMPORARY}{os.getpid()}-"))
    folder = unlocked.with_name(unlocked.name[1:])
    handle = os.open(unlocked, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(folder)  # locked before it has the name of those that are removed
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@lru_cache(maxsize=1)
def _remove_stale_folders() -> None:
    """Delete the temporary folders of killed processes of this user; once per process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            status = folder.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if not is_own or not _TEMPORARY_NAME.fullmatch(folder.name):
                continue
            handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the folder is in use
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def cache_folder() -> Path:
    """Folder of what can be made again: `$VIDGAN_CACHE`, else `vidgan` in `$XDG_CACHE_HOME` or `~/.cache`.

    It need not exist.
    """
    if own := os.environ.get("VIDGAN_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vidgan"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which must exist.

    The file written there is renamed to `path` when the block ends, replacing an existing file, and is deleted when
    the block raises.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with explain_full_disk(path):
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
    _write_atomically(path, content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; missing parent folders are created."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON atomically; the parent folder must exist."""
    _write_atomically(path, (json.dumps(value, indent=1, ensure_ascii=True) + "\n").encode())


def _write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        OSError: on a full disk, with the file and the number of bytes that it needs.
    """
    try:
        with atomic_file(path) as file:
            file.write(content)
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS:
            raise
        raise OSError(error.errno, f"{error.strerror}; {len(content):,} bytes are needed for", str(path)) from error


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
