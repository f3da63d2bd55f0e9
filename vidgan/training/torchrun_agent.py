"""One attempt at a run with several processes, on torchrun's engine.

    python -m vidgan.training.torchrun_agent OPTIONS COMMAND...

`vidgan.commands.launch` starts a new agent for each attempt, because torchrun's own in-place restart reuses stale
addresses on gloo. The agent forwards signals to the workers and waits as long as they need: torchrun would kill them
after 30 seconds, and saving a checkpoint may take longer.
"""

import json
import logging
import signal
import sys
import uuid
from dataclasses import fields
from types import FrameType
from typing import Any

import psutil
from torch.distributed.elastic.multiprocessing import api
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vidgan.training.launcher import exit_with_launcher, report_failure

SHUTDOWN_SECONDS = 30
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)


def run(command: list[str], *, processes: int, nodes: int, node_rank: int, endpoint: str) -> int:
    """Run `command` in `processes` processes on this node and return the exit code.

    Args:
        command: program and arguments.
        processes: processes on this node.
        nodes: number of machines.
        node_rank: number of this machine, from 0.
        endpoint: host:port where the nodes meet; unused with one node.
    """
    # Releases of torch before 2.10 and 2.11 lack these two; the timeout there is 30 seconds as well.
    newer: dict[str, Any] = {"signals_to_handle": "SIGQUIT", "shutdown_timeout": SHUTDOWN_SECONDS}
    accepted = {entry.name for entry in fields(LaunchConfig)}
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex if nodes == 1 else "vidgan",
        rdzv_backend="c10d" if nodes == 1 else "static",
        rdzv_endpoint="localhost:0" if nodes == 1 else endpoint,
        rdzv_configs={} if nodes == 1 else {"rank": node_rank},
        max_restarts=0,
        **{name: value for name, value in newer.items() if name in accepted},
    )

    def forward(number: int, frame: FrameType | None) -> None:
        workers = psutil.Process().children()
        if not workers:
            sys.exit(128 + number)
        for worker in workers:
            worker.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    if "signals_to_handle" not in accepted:
        # These releases replace our handler by this function.
        api._terminate_process_handler = forward  # type: ignore[assignment]
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        if all(code in STOPPED for code in codes.values()):
            return 128 + signal.SIGTERM
        first = min(failure.timestamp for failure in error.failures.values())
        for rank, failure in error.failures.items():
            # Processes that torchrun killed itself, because they did not stop after a failure, die later than this.
            was_killed = failure.exitcode < 0 and failure.exitcode not in STOPPED
            if was_killed and failure.timestamp < first + SHUTDOWN_SECONDS / 2:
                name = signal.Signals(-failure.exitcode).name
                report_failure(f"process {rank} was killed by {name}", 1, can_retry=True, killed_rank=rank)
        return max(1, *codes.values())
    return 0


if __name__ == "__main__":
    exit_with_launcher()
    logging.disable(logging.ERROR)  # torchrun's own summary; `launch` prints the cause
    sys.exit(run(sys.argv[2:], **json.loads(sys.argv[1])))
