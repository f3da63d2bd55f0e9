"""Results appear whole or not at all, and never replace another result unasked."""

import shutil
from pathlib import Path

from vidgan.data.names import atomic_file


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
