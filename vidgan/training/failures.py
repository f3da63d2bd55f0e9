"""How a run fails in a way that starting it again cannot mend; a lost process or worker is a plain RuntimeError."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RunFailedError(RuntimeError):
    """The run cannot go on, and the same command again would meet the same end; the message says what to change."""


class NonFiniteError(RunFailedError):
    """A loss term, a gradient or a weight became NaN or infinite; the message names network, term and step."""


class CollapseError(RunFailedError):
    """A guard stopped the training; the message names the fault and what to do about it."""


@contextmanager
def machine_failures_named(run_dir: Path) -> Iterator[None]:
    """In the midst of a run, an OSError is no mistake in what the user typed: the disk is full, or a device failed.

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


@contextmanager
def loader_failures_named(rank: int) -> Iterator[None]:
    """Say what it means when a loader worker dies or hangs: torch reports it from wherever the main process just is.

    Raises:
        RuntimeError: in the place of torch's own.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader "):
            raise
        raise RuntimeError(
            f"process {rank} lost a loader worker ({str(error).rstrip('. ')}). Killed: the memory did not suffice (use"
            " fewer data.workers), or something ended it. Timed out: a file or its disk hangs. The last checkpoint is"
            " whole: the same command resumes from it, and with --restarts does so by itself"
        ) from error
