"""Run jobs in worker processes under time and memory limits; a job that crashes or hangs its process costs only itself.

`run_jobs` is the parent's side, `serve` the worker's. Processes are started anew instead of forked, since a fork copies
locks that threads of video decoders and torch may hold. They do not import the caller's main module, so that a script
needs no ``if __name__ == "__main__"``. The limits are the kernel's and therefore apply inside decoders too: an alarm
ends a process without progress, and its private memory is bounded where the system supports that (Linux).
"""

import atexit
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Final, TypeVar

from vidgan.files import temporary_folder

Job = TypeVar("Job")
Result = TypeVar("Result")

TIMED_OUT: Final = "timed-out"
DIED: Final = "worker-died"

_READY: Final = "ready"
_DONE: Final = "done"
_FAILED: Final = "failed"
_IDLE_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 0.5

_time_limit = 0.0  # seconds, of the current job; 0 outside a worker process


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    time_limit: float,
    memory_limit: int,
    crashed: Callable[[Job, str], Result],
) -> Iterator[Result]:
    """Yield results in order of completion.

    `jobs` is consumed as processes become free, so that few jobs of a generator are in memory.

    Args:
        function: run on each job in a worker process; must be importable by name. Its exceptions are raised here.
        jobs: arguments for `function`; must be picklable.
        workers: number of processes, 1 or more.
        time_limit: maximum seconds between two calls of `still_alive` in a job.
        memory_limit: maximum bytes of private memory of a process, where the system can bound it (Linux).
        crashed: returns the result for a job that ended its process; its second argument is `TIMED_OUT` or `DIED`.

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
                worker = free.pop() if free else _take_worker()
                worker.send((function, job, time_limit, memory_limit))
                busy[worker.connection] = worker, job
            if not busy:
                return
            for connection in wait(list(busy)):
                worker, job = busy[connection]
                try:
                    state, value = worker.connection.recv()
                except (EOFError, OSError):
                    del busy[connection]
                    code = worker.wait_for_exit()
                    if code == 0:  # it ended as idle just before the job arrived
                        worker = _Worker()
                        worker.send((function, job, time_limit, memory_limit))
                        busy[worker.connection] = worker, job
                        continue
                    yield crashed(job, TIMED_OUT if code == -signal.SIGALRM else DIED)
                    continue
                if state == _READY:
                    worker.started = True
                    continue
                del busy[connection]
                free.append(worker)
                if state != _DONE:
                    raise value
                yield value
    finally:
        for worker, _ in busy.values():
            worker.kill()
        for worker in free:
            _release_worker(worker)


class _Worker:
    """A process that runs `serve` at the other end of `connection`.

    It has a folder for temporary files, which is removed with it however it ends.
    """

    def __init__(self) -> None:
        self.started = False
        self.path = list(sys.path)
        self.resources = ExitStack()
        self.folder = str(self.resources.enter_context(temporary_folder()))
        self.connection: Connection
        self.connection, theirs = Pipe()
        descriptor = theirs.fileno()
        code = (
            f"import sys, tempfile; sys.path[:] = {self.path!r}; tempfile.tempdir = {self.folder!r}; "
            f"from {__name__} import serve; serve({descriptor}, {os.getpid()}, {self.folder!r})"
        )
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], pass_fds=[descriptor], stdin=subprocess.DEVNULL
            )

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a job. If the process has ended, waiting for the answer detects it."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def wait_for_exit(self) -> int:
        """Exit code of a process that has closed its end. RuntimeError if it ended before it could take a job."""
        self.connection.close()
        code = self.process.wait()
        self.resources.close()
        if not self.started:
            raise RuntimeError(f"a worker process could not be started (exit code {code}); see its message above")
        return code

    def kill(self) -> None:
        """End the process immediately."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.resources.close()


_idle: list[_Worker] = []  # at most one, for the next call: starting a process takes about half a second


def _take_worker() -> _Worker:
    while _idle:
        worker = _idle.pop()
        if worker.process.poll() is None and worker.path == sys.path:  # with another path it might miss the function
            return worker
        worker.kill()
    return _Worker()


def _release_worker(worker: _Worker) -> None:
    if _idle:
        worker.kill()
    else:
        _idle.append(worker)


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().kill()


def still_alive() -> None:
    """Restart the time limit of the current job; call it at every progress. No effect outside worker processes.

    The limit thus applies to the longest silence, not to the job: a file of a thousand clips may take long.
    """
    if _time_limit:
        signal.setitimer(signal.ITIMER_REAL, _time_limit)


def serve(descriptor: int, parent: int, folder: str) -> None:
    """The worker's main loop: run jobs from a connection until it closes or is idle for a minute.

    Requests are (function, job, time limit in seconds, memory limit in bytes), answers ``(_DONE, result)`` or
    ``(_FAILED, exception)``. A job does not outlive the process `parent` that waits for it.

    Args:
        descriptor: of the connection.
        parent: process id.
        folder: folder of this process's temporary files.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    threading.Thread(target=_end_with, args=(parent, folder), daemon=True).start()
    connection = Connection(descriptor)
    try:
        connection.send((_READY, None))
        while connection.poll(_IDLE_SECONDS):
            function, job, time_limit, memory_limit = connection.recv()
            _limit_memory(memory_limit)
            connection.send(_run_job(function, job, time_limit))
    except (EOFError, OSError):
        pass  # the parent has ended


def _end_with(parent: int, folder: str) -> None:
    """End this process, and remove its temporary files, once `parent` has ended, however it did."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _run_job(function: Any, job: Any, time_limit: float) -> tuple[str, Any]:
    global _time_limit
    _time_limit = time_limit
    still_alive()
    try:
        return _DONE, function(job)
    except Exception as error:
        return _FAILED, error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _time_limit = 0.0


def _limit_memory(limit: int) -> None:
    """Bound private memory. RLIMIT_DATA excludes mapped files, which may be larger than the memory."""
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
