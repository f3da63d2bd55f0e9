"""How a run fails in a way that starting it again cannot mend; a lost process or worker is a plain RuntimeError."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidgan.errors import RunFailedError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def machine_failures_named(run_dir: Path) -> Iterator[None]:
    """Once a run writes, an OSError is no mistake in what the user typed: the disk is full, or a device failed.

    Raises:
        RunFailedError: the disk is full.
        RuntimeError: for any other OSError; another attempt may succeed.
    """
    try:
        yield
    except OSError as error:
        kept = "the last checkpoint is whole, and the same command resumes from it"
        if error.errno in FULL:
            raise RunFailedError(f"{run_dir}: {error}. Make room on the disk: {kept}") from error
        raise RuntimeError(f"{run_dir}: {error}; {kept}") from error


# How torch's reports of a loss begin or what they hold, and what each means.
LOST = {
    "DataLoader ": (
        "lost a loader worker ({told}). Killed: the memory did not suffice (use fewer data.workers), or something ended"
        " it. Timed out: a file or its disk hangs"
    ),
    "Timed out waiting": (
        "has waited in vain for another process in the midst of a step ({told}): that process hangs, or its machine or"
        " the network does"
    ),
    "Connection closed by peer": (
        "lost another process in the midst of a step ({told}); what that one said is the cause"
    ),
}


@contextmanager
def losses_named(rank: int) -> Iterator[None]:
    """Say what it means when a loader worker or another process dies or hangs: torch tells of sockets and signals.

    Raises:
        RuntimeError: in the place of torch's own; another attempt may succeed.
    """
    try:
        yield
    except RuntimeError as error:
        meaning = next((meaning for sign, meaning in LOST.items() if sign in str(error)), None)
        if meaning is None or isinstance(error, RunFailedError):
            raise
        raise RuntimeError(
            f"process {rank} {meaning.format(told=str(error).splitlines()[0].rstrip('. '))}. The last checkpoint is"
            " whole: the same command resumes from it, and with --restarts does so by itself"
        ) from error
