"""Results appear whole or not at all, and never replace another result unasked."""

import shutil
from pathlib import Path


def claim(path: Path, *, overwrite: bool) -> Path:
    """Make sure that nothing stands at `path`.

    Raises:
        FileExistsError: something does, and `overwrite` is off.
    """
    if path.exists() and (path.is_file() or any(path.iterdir())):
        if not overwrite:
            raise FileExistsError(f"{path} exists; choose another --out, or replace it with --overwrite")
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return path


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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
