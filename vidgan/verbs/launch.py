"""Several processes: the same command again, under torchrun."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from vidgan.build import build_dataset, check_config, share_of_batch
from vidgan.config import ConfigError, find_config, load_config


def launched() -> int | None:
    """How many processes a launcher (torchrun, accelerate launch) started, None when none did."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return None


def relaunch(processes: int, config: str, overrides: Sequence[str]) -> int:
    """Run this very command line in `processes` processes.

    What the user can mend is found first, in this process, so that it is told in one line. SIGINT and SIGTERM are
    passed on and waited for: the processes save at the step's edge.

    Returns:
        The processes' exit code, or 128 + the signal that stopped them.

    Raises:
        ConfigError, DataError: as `vidgan.verbs.train.train`.
    """
    running = launched()
    if running is not None:
        raise ConfigError(
            f"--processes {processes} has no effect: a launcher has already started {running}; leave it out"
        )
    settings = load_config(find_config(config), overrides)
    check_config(settings)
    build_dataset(settings)
    share_of_batch(settings, processes)

    # `accelerate launch --cpu --num_processes N` starts a single process without a word; torchrun really starts N.
    # torch's own CPU threads are shared out, or N processes would fight for the same cores.
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    environment = {"OMP_NUM_THREADS": threads} | os.environ
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    received: list[int] = []
    # A group of its own: Ctrl-C on a terminal reaches this process alone, which passes it on once.
    child = subprocess.Popen(
        [*command, "-m", "vidgan", *_without_processes(sys.argv[1:])], env=environment, start_new_session=True
    )

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        child.send_signal(signal.SIGTERM)  # the launcher hands it to every process and waits for them

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + received[0] if received else code


def _without_processes(arguments: Sequence[str]) -> list[str]:
    """The command line for each process."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip or argument.startswith("--processes="):
            skip = False
        elif argument == "--processes":
            skip = True
        else:
            kept.append(argument)
    return kept
