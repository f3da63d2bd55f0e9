"""Several processes: the same command again, under torchrun."""

import os
import subprocess
import sys


def launched() -> bool:
    """Whether a launcher (torchrun, accelerate launch) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def relaunch(processes: int) -> int:
    """Run this very command line in `processes` processes; returns their exit code.

    `accelerate launch --cpu --num_processes N` starts a single process without a word; torchrun really starts N.
    """
    # torch's own CPU threads are shared out, or N processes would fight for the same cores.
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return subprocess.call([*command, "-m", "vidgan", *sys.argv[1:]], env=environment)
