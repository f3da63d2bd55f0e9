"""Removing temporary files that killed processes left in a run."""

import logging
import os
import re
import shutil
from pathlib import Path

__all__ = ["is_alive", "remove_leftovers"]

logger = logging.getLogger(__name__)

_FILE = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")  # see `vidgan.files.atomic_path`


def remove_leftovers(run_dir: Path, *, resumed: Path | None = None) -> None:
    """Remove temporary files that killed processes left in a run. The caller holds the lock of the run.

    Only processes that hold the lock write checkpoints and models. Other files may belong to an evaluation that runs
    now, so they are kept while the process with the number in their name is alive.

    Args:
        run_dir: the run.
        resumed: the checkpoint that training resumes from; it is never removed.
    """
    checkpoints = run_dir / "checkpoints"
    for path in checkpoints.glob(".tmp-*"):
        _remove(path)
    for path in checkpoints.glob(".replaced-*"):
        if path != resumed and (checkpoints / path.name.removeprefix(".replaced-")).is_dir():
            _remove(path)
    for name in (".model.new", ".best.new", ".model.old", ".best.old"):
        _remove(run_dir / name)
    for folder in (run_dir, run_dir / "previews", run_dir / "scores"):
        for path in folder.glob(".*.tmp"):
            match = _FILE.fullmatch(path.name)
            if match and not is_alive(int(match["pid"])):
                _remove(path)


def is_alive(pid: int) -> bool:
    """Whether a process with this number exists on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # of another user
    return True


def _remove(path: Path) -> None:
    if not os.path.lexists(path):
        return
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        logger.warning("%s could not be removed: %s", path, error)
    else:
        logger.info("removed %s, which a killed process had left behind", path)
