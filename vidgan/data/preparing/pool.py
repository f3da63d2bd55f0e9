"""A stream of jobs over limited processes, in which a job that kills or hangs its process costs that job alone.

The processes are started afresh rather than forked, as forking would copy the locks of threads that video decoders and
torch may hold, and they do not import the caller's main module, so that a script needs no guard around its code.
"""

import atexit
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Final, TypeVar

from vidgan.data.preparing.reader_process import DONE, READY

Job = TypeVar("Job")
Result = TypeVar("Result")

TIMED_OUT: Final = "timed-out"
DIED: Final = "worker-died"


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    time_limit: float,
    memory_limit: int,
    crashed: Callable[[Job, str], Result],
) -> Iterator[Result]:
    """Results in the order in which they are done.

    `jobs` is drawn from as processes become free, so that a generator of large jobs stays small in memory. `function`
    must be importable by name, and the jobs must pickle.

    Args:
        function: run on each job, in another process. What it raises is raised here.
        workers: processes, 1 or more.
        time_limit: seconds that a job may go on without `vidgan.data.preparing.reader_process.still_alive`.
        memory_limit: bytes of private memory that a process may take, where the system can bound it (Linux).
        crashed: the result for a job that ended its process, told why: `TIMED_OUT` or `DIED`.

    Raises:
        RuntimeError: no process can be started.
    """
    remaining = iter(jobs)
    more = True
    busy: dict[Any, tuple[_Worker, Job]] = {}
    free: list[_Worker] = []
    try:
        while True:
            while more and len(busy) < workers:
                try:
                    job = next(remaining)
                except StopIteration:
                    more = False
                    break
                worker = free.pop() if free else _take()
                worker.give((function, job, time_limit, memory_limit))
                busy[worker.connection] = worker, job
            if not busy:
                return
            for connection in wait(list(busy)):
                worker, job = busy[connection]
                try:
                    state, value = worker.connection.recv()
                except (EOFError, OSError):
                    del busy[connection]
                    code = worker.ended()
                    if code == 0:  # it had gone to rest just before the job came
                        worker = _Worker()
                        worker.give((function, job, time_limit, memory_limit))
                        busy[worker.connection] = worker, job
                        continue
                    yield crashed(job, TIMED_OUT if code == -signal.SIGALRM else DIED)
                    continue
                if state == READY:
                    worker.started = True
                    continue
                del busy[connection]
                free.append(worker)
                if state != DONE:
                    raise value
                yield value
    finally:
        for worker, _ in busy.values():
            worker.kill()
        for worker in free:
            _release(worker)


class _Worker:
    """A process that runs `vidgan.data.preparing.reader_process.serve` at the other end of `connection`.

    Its temporary files lie in a folder of its own, which goes with it however it ends.
    """

    def __init__(self) -> None:
        self.started = False
        self.path = list(sys.path)
        self.folder = tempfile.mkdtemp(prefix="vidgan-")
        self.connection: Connection
        self.connection, theirs = Pipe()
        descriptor = theirs.fileno()
        code = (
            f"import sys, tempfile; sys.path[:] = {self.path!r}; tempfile.tempdir = {self.folder!r}; "
            f"from vidgan.data.preparing.reader_process import serve; serve({descriptor})"
        )
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], pass_fds=[descriptor], stdin=subprocess.DEVNULL
            )

    def give(self, message: tuple[Any, ...]) -> None:
        """Send a job. A process that is gone already shows when its answer is waited for."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def ended(self) -> int:
        """The exit code of a process that has closed its end. RuntimeError if it never got as far as its first job."""
        self.connection.close()
        code = self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.started:
            raise RuntimeError(f"a reading process could not be started (exit code {code}); see its message above")
        return code

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)


_resting: list[_Worker] = []  # at most one, for the next call: starting a process takes about half a second


def _take() -> _Worker:
    while _resting:
        worker = _resting.pop()
        if worker.process.poll() is None and worker.path == sys.path:  # else it might not find the function
            return worker
        worker.kill()
    return _Worker()


def _release(worker: _Worker) -> None:
    if _resting:
        worker.kill()
    else:
        _resting.append(worker)


@atexit.register
def _end_resting() -> None:
    while _resting:
        _resting.pop().kill()
