"""A lock on the run directory: two training processes would overwrite each other's checkpoints."""

import fcntl
import json
import logging
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from vidgan.errors import RunLockedError

logger = logging.getLogger(__name__)

_held: set[int] = set()  # file descriptors of the locks held by this process


class RunLock:
    """Context manager that holds ``run_dir/.lock``.

    The operating system releases the lock (flock) when the process ends, however it ends. The content of the file only
    names the holder. If the file system has no locks, a warning is logged and the
    run continues unlocked.

    Args:
        run_dir: the run directory, created if it is missing.
        marker: name of a file that every run has. If it is missing at the end, the start was refused, and the lock file
            and the directories that were created here are removed.

    Raises:
        RunLockedError: on entering, if another process holds the lock or the directory cannot be written.
    """

    def __init__(self, run_dir: Path, *, marker: str | None = None) -> None:
        self.path = run_dir / ".lock"
        self.marker = marker
        self._descriptor: int | None = None
        self._created: list[Path] = []  # the lock file and directories, innermost first

    def __enter__(self) -> "RunLock":
        run_dir = self.path.parent
        self._created = [path for path in (self.path, *self.path.parents) if not path.exists()]
        while True:
            try:
                run_dir.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
            except OSError as error:
                reason = error.strerror or error
                raise RunLockedError(f"{run_dir} cannot be used as a run directory: {reason}") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 4096, 0)
                os.close(descriptor)
                raise RunLockedError(
                    f"{run_dir} is in use by {_describe(holder)}; wait for it, stop it, or choose another run directory"
                ) from None
            except OSError as error:
                logger.warning("%s cannot be locked (%s): a second run would not be detected", run_dir, error.strerror)
            if self._is_current(descriptor):
                break
            os.close(descriptor)
        self._descriptor = descriptor
        _held.add(descriptor)
        note = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # on a full disk the lock works too, only its holder is not named
            os.pwrite(descriptor, json.dumps(note).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            if self.marker is not None and not (self.path.parent / self.marker).exists():
                self._remove_created()
            os.ftruncate(self._descriptor, 0)  # the file stays: removing it would let two processes lock two files
            os.close(self._descriptor)
            _held.discard(self._descriptor)
            self._descriptor = None

    def _is_current(self, descriptor: int) -> bool:
        """Whether the path still names the locked file: a refused start may have removed it in between."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _remove_created(self) -> None:
        """Remove what `__enter__` created, while the lock is still held."""
        with suppress(OSError):  # a directory that another program has written into stays
            for path in self._created:
                if path == self.path:
                    path.unlink()
                else:
                    path.rmdir()


def is_held(run_dir: Path) -> bool:
    """Whether a process trains in the directory; True if the file system cannot tell."""
    try:
        descriptor = os.open(run_dir / ".lock", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not os.pread(descriptor, 1, 0):
            return False  # released; testing the lock could make a run that starts at this moment fail
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _describe(holder: bytes) -> str:
    with suppress(ValueError, KeyError, TypeError):
        note = json.loads(holder)
        return f"process {note['pid']} on {note['host']}, started {note['started']}"
    return "another process"


def _close_inherited() -> None:
    """Close the locks in a forked child (a loader worker), or they would outlive a killed parent."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_inherited)
