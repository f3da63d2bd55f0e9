"""One attempt at a run in several processes, on torchrun's engine: `python -m vidgan.training.torchrun_agent OPTIONS COMMAND...`.

`vidgan.commands.launch` starts it afresh for each attempt, since torchrun's own restart of workers in place meets stale
addresses on gloo. A signal goes straight to the workers and is waited for as long as they need: torchrun would kill
them after 30 seconds, and a checkpoint may take longer.
"""

import json
import logging
import signal
import sys
import uuid
from types import FrameType

import psutil
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vidgan.training.processes import leave_report, stop_with_the_launcher

SHUTDOWN_SECONDS = 30
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)


def run(command: list[str], *, processes: int, nodes: int, node_rank: int, endpoint: str) -> int:
    """Run `command` in `processes` processes on this node; returns the exit code.

    Args:
        endpoint: host:port at which several nodes meet; not used for one.
    """
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex if nodes == 1 else "vidgan",
        rdzv_backend="c10d" if nodes == 1 else "static",
        rdzv_endpoint="localhost:0" if nodes == 1 else endpoint,
        rdzv_configs={} if nodes == 1 else {"rank": node_rank},
        max_restarts=0,
        shutdown_timeout=SHUTDOWN_SECONDS,
        signals_to_handle="SIGQUIT",
    )

    def forward(number: int, frame: FrameType | None) -> None:
        workers = psutil.Process().children()
        if not workers:
            sys.exit(128 + number)
        for worker in workers:
            worker.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        if all(code in STOPPED for code in codes.values()):
            return 128 + signal.SIGTERM
        first = min(failure.timestamp for failure in error.failures.values())
        for rank, failure in error.failures.items():
            # What torchrun itself killed, because it did not stop when another had failed, comes later.
            killed = failure.exitcode < 0 and failure.exitcode not in STOPPED
            if killed and failure.timestamp < first + SHUTDOWN_SECONDS / 2:
                name = signal.Signals(-failure.exitcode).name
                leave_report(f"process {rank} was killed by {name}", 1, again=True, killed=rank)
        return max(1, *codes.values())
    return 0


if __name__ == "__main__":
    stop_with_the_launcher()
    logging.disable(logging.ERROR)  # torchrun's own summary; `launch` tells the cause
    sys.exit(run(sys.argv[2:], **json.loads(sys.argv[1])))
