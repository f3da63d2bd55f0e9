"""What runs in the processes that read files nobody vouches for: one job after another, under limits.

The limits are the kernel's, so that they hold inside a decoder too: an alarm ends a process that makes no progress, and
the private memory that it may take is bounded where the system can bound it (Linux).
"""

import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any, Final

READY: Final = "ready"
DONE: Final = "done"
FAILED: Final = "failed"
IDLE_SECONDS: Final = 60.0

_time_limit = 0.0  # of the job under way, in seconds; 0 outside a reading process


def still_alive() -> None:
    """Start the time limit of the job under way anew: called where a job makes progress. No effect in other processes.

    The limit is thus on the longest silence, not on the whole job: a file of a thousand clips may take its time.
    """
    if _time_limit:
        signal.setitimer(signal.ITIMER_REAL, _time_limit)


def serve(descriptor: int) -> None:
    """Take (function, job, time limit in seconds, memory limit in bytes) from a connection until it closes or rests.

    Every answer is ``(DONE, result)`` or ``(FAILED, exception)``. A process without work for a minute ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    connection = Connection(descriptor)
    try:
        connection.send((READY, None))
        while connection.poll(IDLE_SECONDS):
            function, job, time_limit, memory_limit = connection.recv()
            _limit_memory(memory_limit)
            connection.send(_run(function, job, time_limit))
    except (EOFError, OSError):
        pass  # the parent is gone


def _run(function: Any, job: Any, time_limit: float) -> tuple[str, Any]:
    global _time_limit
    _time_limit = time_limit
    still_alive()
    try:
        return DONE, function(job)
    except Exception as error:
        return FAILED, error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _time_limit = 0.0


def _limit_memory(limit: int) -> None:
    """Bound private memory. RLIMIT_DATA leaves out mapped files, which may be larger than the memory there is."""
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
