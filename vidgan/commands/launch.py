"""Several processes, several nodes, several attempts: the same command again, under torchrun's engine."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import torch

from vidgan.build import build_dataset, share_of_batch
from vidgan.config import RunConfig, find_config, load_config
from vidgan.errors import ConfigError
from vidgan.training.checkpoint import newest_step
from vidgan.training.launcher import REPORTS, FailureReport, first_failure, num_launched

LONGEST_PAUSE = 60.0  # seconds between two attempts; the first pause is 1 second, each further one twice as long
OPTIONS = ("--processes", "--nodes", "--node-rank", "--master-addr", "--master-port", "--restarts")


@dataclass(frozen=True)
class Layout:
    """Where processes run: `processes` on each of `nodes` machines; this one is number `node_rank`."""

    processes: int = 1
    nodes: int = 1
    node_rank: int = 0
    endpoint: str = ""  # host:port of node 0, where several nodes meet


def relaunch(
    config: str,
    overrides: Sequence[str],
    *,
    processes: int = 1,
    nodes: int = 1,
    node_rank: int | None = None,
    master_addr: str | None = None,
    master_port: int | None = None,
    restarts: int = 0,
) -> int:
    """Run this very command line in `processes` processes on each of `nodes` machines, again when it fails.

    What the user can mend is found first, in this process, so that it is told in one line. SIGINT and SIGTERM are
    passed on and waited for: the processes save at the step's edge. All nodes need the same files: data and run.

    Args:
        restarts: failures in a row without a new checkpoint that are survived. Each attempt is a fresh launcher, and
            begins with the last checkpoint. Mistakes, diverged trainings and a full disk are not tried again.

    Returns:
        0, 1 (failed), 2 (the user can mend it), or 128 + the signal that stopped the run.

    Raises:
        ConfigError, DataError: as `vidgan.commands.train.train`.
    """
    running = num_launched()
    if running is not None:
        raise ConfigError(
            f"a launcher has already started {running} processes, so {', '.join(OPTIONS)} have no effect; leave them"
            " out"
        )
    layout = _layout(processes, nodes, node_rank, master_addr, master_port)
    settings = load_config(find_config(config), overrides)
    build_dataset(settings)
    share_of_batch(settings, processes * nodes)
    _check_devices(settings, processes)

    command = [sys.executable, "-m", "vidgan", *without_options(sys.argv[1:])]
    checkpoints = settings.run_dir / "checkpoints"
    with _Signals() as signals:
        reached, failures = newest_step(checkpoints), 0
        while True:
            report = _attempt(command, layout, signals)
            if signals.received is not None:
                return 128 + signals.received
            if report is None:
                return 0
            if report.code > 128:
                return report.code
            step = newest_step(checkpoints)
            failures = failures + 1 if step <= reached else 1
            reached = max(reached, step)
            if not report.can_retry or failures > restarts:
                print(f"vidgan: {report.message}", file=sys.stderr)
                return report.code
            pause = min(LONGEST_PAUSE, 2.0 ** (failures - 1))
            since = f"from step {step}" if step >= 0 else "from the start"
            print(f"vidgan: {report.message}\nvidgan: again {since} in {pause:.0f} s", file=sys.stderr, flush=True)
            if signals.wait(pause):
                return 128 + (signals.received or 0)


def run_processes(processes: int) -> int:
    """Run this very command line, less its --processes, once in so many processes on this machine.

    Returns:
        As `relaunch`.

    Raises:
        ConfigError: a launcher has started this process already.
    """
    if num_launched() is not None:
        raise ConfigError("a launcher has already started the processes, so --processes has no effect; leave it out")
    command = [sys.executable, "-m", "vidgan", *without_options(sys.argv[1:])]
    with _Signals() as signals:
        report = _attempt(command, Layout(processes), signals)
        if signals.received is not None:
            return 128 + signals.received
    if report is None:
        return 0
    print(f"vidgan: {report.message}", file=sys.stderr)
    return report.code


class _Signals:
    """Notes SIGINT and SIGTERM, and passes them on to the attempt that runs."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Sleep; True as soon as a signal came."""
        end = time.monotonic() + seconds
        while self.received is None and time.monotonic() < end:
            time.sleep(0.1)
        return self.received is not None


def _attempt(command: Sequence[str], layout: Layout, signals: _Signals) -> FailureReport | None:
    """Run the processes once; how the first of them failed, None if none did."""
    with tempfile.TemporaryDirectory(prefix="vidgan-") as folder:
        full = list(command)
        if layout.processes * layout.nodes > 1:
            full = [sys.executable, "-m", "vidgan.training.torchrun_agent", json.dumps(asdict(layout)), *command]
        # A group of its own: Ctrl-C on a terminal reaches this process alone, which passes it on once.
        signals.child = subprocess.Popen(full, env=_environment(layout) | {REPORTS: folder}, start_new_session=True)
        code = signals.child.wait()
        signals.child = None
        if code == 0:
            return None
        if code < 0:
            return FailureReport(0, f"the run was killed by {signal.Signals(-code).name}", 1, True)
        unknown = FailureReport(0, f"the run failed with exit code {code}, without a word", code, True)
        return first_failure(Path(folder)) or unknown


def _environment(layout: Layout) -> dict[str, str]:
    """Set for the processes, unless the user has set it."""
    chosen = {}
    if layout.processes > 1:  # torch's CPU threads are shared out, or the processes would fight for the same cores
        chosen["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // layout.processes))
    if layout.nodes == 1 and Path("/sys/class/net/lo").exists():
        chosen["GLOO_SOCKET_IFNAME"] = "lo"  # the host's name may not lead back to the host
    return chosen | dict(os.environ)


def _layout(
    processes: int, nodes: int, node_rank: int | None, master_addr: str | None, master_port: int | None
) -> Layout:
    meeting = {"--node-rank": node_rank, "--master-addr": master_addr}
    if nodes == 1:
        for option, value in (meeting | {"--master-port": master_port}).items():
            if value is not None:
                raise ConfigError(f"{option} has no effect with one node; set --nodes too")
        return Layout(processes)
    for option, value in meeting.items():
        if value is None:
            raise ConfigError(f"--nodes {nodes} needs {option}: run the same command on each node, numbered from 0")
    if node_rank is not None and node_rank >= nodes:
        raise ConfigError(f"--node-rank {node_rank}: the nodes are numbered from 0 to {nodes - 1}")
    return Layout(processes, nodes, node_rank or 0, f"{master_addr}:{master_port or 29500}")


def _check_devices(settings: RunConfig, processes: int) -> None:
    """One process a GPU."""
    gpus = torch.cuda.device_count()
    if settings.train.device != "cpu" and gpus and processes > gpus:
        raise ConfigError(f"--processes {processes}: this machine has {gpus} GPUs; each process needs its own")


def without_options(arguments: Sequence[str]) -> list[str]:
    """The command line for each process: without what only the launcher reads."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip or argument.startswith(tuple(f"{option}=" for option in OPTIONS)):
            skip = False
        elif argument in OPTIONS:
            skip = True
        else:
            kept.append(argument)
    return kept
