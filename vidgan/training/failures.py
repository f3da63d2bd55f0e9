"""Translate low-level errors of a running training into errors that name cause and remedy.

`RunFailedError` means that a retry would fail too; a plain RuntimeError means that another attempt may succeed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidgan.errors import RunFailedError
from vidgan.files import DISK_FULL_ERRNOS


@contextmanager
def explain_io_errors(run_dir: Path) -> Iterator[None]:
    """Turn an OSError into a failure of the run: once a run writes files, it is no longer a user error.

    Raises:
        RunFailedError: the disk is full.
        RuntimeError: any other OSError; another attempt may succeed.
    """
    try:
        yield
    except OSError as error:
        hint = "the last checkpoint is intact, and the same command resumes from it"
        if error.errno in DISK_FULL_ERRNOS:
            raise RunFailedError(f"{run_dir}: {error}. Free disk space: {hint}") from error
        raise RuntimeError(f"{run_dir}: {error}; {hint}") from error


# Part of torch's message -> explanation.
_EXPLANATIONS = {
    "DataLoader ": (
        "lost a loader worker ({error}). If it was killed, the machine ran out of memory (reduce data.workers) or"
        " another program ended it. If it timed out, a file or its disk hangs"
    ),
    "Timed out waiting": (
        "timed out waiting for another process during a step ({error}): that process, its machine or the network hangs"
    ),
    "Connection closed by peer": (
        "lost the connection to another process during a step ({error}); the error of that process is the cause"
    ),
}


@contextmanager
def explain_lost_processes(rank: int) -> Iterator[None]:
    """Explain torch's errors about sockets and signals when a loader worker or another process dies or hangs.

    Raises:
        RuntimeError: instead of torch's own; another attempt may succeed.
    """
    try:
        yield
    except RuntimeError as error:
        explanation = next((text for sign, text in _EXPLANATIONS.items() if sign in str(error)), None)
        if explanation is None or isinstance(error, RunFailedError):
            raise
        raise RuntimeError(
            f"process {rank} {explanation.format(error=str(error).splitlines()[0].rstrip('. '))}. The last checkpoint"
            " is intact: the same command resumes from it, and --restarts does so automatically"
        ) from error
