"""Run the present command line in several processes, on several nodes, in several attempts, with torchrun's engine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Self

import torch

from vidgan.build import build_training_data, share_of_batch
from vidgan.config import RunConfig, find_config, load_config
from vidgan.cores import usable_cores
from vidgan.errors import ConfigError
from vidgan.files import temporary_folder
from vidgan.training.checkpoint import newest_step
from vidgan.training.launcher import REPORTS, FailureReport, first_failure, num_launched

MAX_PAUSE = 60.0  # seconds between two attempts; the first pause is 1 second, each further one twice as long
OPTIONS = ("--processes", "--nodes", "--node-rank", "--master-addr", "--master-port", "--restarts")


@dataclass(frozen=True)
class Layout:
    """Where processes run.

    Attributes:
        processes: on each node.
        nodes: number of machines.
        node_rank: number of this machine, from 0.
        endpoint: host:port of node 0, where several nodes connect; empty for one node.
    """

    processes: int = 1
    nodes: int = 1
    node_rank: int = 0
    endpoint: str = ""


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
    """Run the present command line in `processes` processes on each of `nodes` machines, and restart it after a crash.

    User errors are found first, in this process, and reported once. SIGINT and SIGTERM are passed on; this process then
    waits until the others have saved at the end of their step. All nodes need access to the same data and run folders.

    Args:
        node_rank, master_addr, master_port: see `Layout`; only for several nodes. The default port is 29500.
        restarts: maximum number of failures in a row, without a new checkpoint between them, that are followed by
            another attempt. Each attempt is a fresh launcher and resumes from the last checkpoint. User errors,
            diverged trainings and a full disk are not retried.

    Returns:
        0, 1 (failed), 2 (user error), or 128 + the signal that stopped the run.

    Raises:
        ConfigError, DataError: as `vidgan.commands.train.train`.
    """
    running = num_launched()
    if running is not None:
        raise ConfigError(
            f"a launcher has already started {running} processes, so {', '.join(OPTIONS)} have no effect; omit them"
        )
    layout = _layout(processes, nodes, node_rank, master_addr, master_port)
    settings = load_config(find_config(config), overrides)
    build_training_data(settings)
    share_of_batch(settings, processes * nodes)
    _check_devices(settings, processes)

    command = [sys.executable, "-m", "vidgan", *without_options(sys.argv[1:])]
    checkpoints = settings.run_dir / "checkpoints"
    with _SignalForwarder() as signals:
        newest, failures = newest_step(checkpoints), 0
        while True:
            report = _attempt(command, layout, signals)
            if signals.received is not None:
                return 128 + signals.received
            if report is None:
                return 0
            if report.code > 128:
                return report.code
            step = newest_step(checkpoints)
            failures = failures + 1 if step <= newest else 1
            newest = max(newest, step)
            if not report.can_retry or failures > restarts:
                print(f"vidgan: {report.message}", file=sys.stderr)
                return report.code
            pause = min(MAX_PAUSE, 2.0 ** (failures - 1))
            origin = f"from step {step}" if step >= 0 else "from the start"
            print(f"vidgan: {report.message}", file=sys.stderr)
            print(f"vidgan: starting again {origin} in {pause:.0f} s", file=sys.stderr, flush=True)
            if signals.wait(pause):
                return 128 + (signals.received or 0)


def run_processes(processes: int) -> int:
    """Run the present command line, without --processes, once in each of `processes` processes on this machine.

    Returns:
        As `relaunch`.

    Raises:
        ConfigError: a launcher has started this process already.
    """
    if num_launched() is not None:
        raise ConfigError("--processes has no effect, because a launcher has already started the processes; omit it")
    command = [sys.executable, "-m", "vidgan", *without_options(sys.argv[1:])]
    with _SignalForwarder() as signals:
        report = _attempt(command, Layout(processes), signals)
        if signals.received is not None:
            return 128 + signals.received
    if report is None:
        return 0
    print(f"vidgan: {report.message}", file=sys.stderr)
    return report.code


class _SignalForwarder:
    """Records SIGINT and SIGTERM, and passes them on to the running attempt as SIGTERM.

    Attributes:
        received: number of the last signal, None before the first.
        child: the running attempt.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Sleep; return True as soon as a signal has arrived."""
        end = time.monotonic() + seconds
        while self.received is None and time.monotonic() < end:
            time.sleep(0.1)
        return self.received is not None


def _attempt(command: Sequence[str], layout: Layout, signals: _SignalForwarder) -> FailureReport | None:
    """Run the processes once; return how the first of them failed, None if none did."""
    with temporary_folder() as folder:
        full = list(command)
        if layout.processes * layout.nodes > 1:
            full = [sys.executable, "-m", "vidgan.training.torchrun_agent", json.dumps(asdict(layout)), *command]
        # A separate session, so that Ctrl-C reaches only this process, which passes it on once.
        signals.child = subprocess.Popen(
            full, env=_environment(layout) | {REPORTS: str(folder)}, start_new_session=True
        )
        code = signals.child.wait()
        signals.child = None
        if code == 0:
            return None
        if code < 0:
            return FailureReport(0, f"the run was killed by {signal.Signals(-code).name}", 1, True)
        unknown = FailureReport(0, f"the run failed with exit code {code} and no message", code, True)
        return first_failure(folder) or unknown


def _environment(layout: Layout) -> dict[str, str]:
    """Environment of the processes; variables that the user has set stay as they are."""
    defaults = {}
    if layout.processes > 1:  # each process gets its share of the cores for torch's CPU threads
        defaults["OMP_NUM_THREADS"] = str(max(1, usable_cores() // layout.processes))
    if layout.nodes == 1 and Path("/sys/class/net/lo").exists():
        defaults["GLOO_SOCKET_IFNAME"] = "lo"  # the host's name may not resolve to this host
    return defaults | dict(os.environ)


def _layout(
    processes: int, nodes: int, node_rank: int | None, master_addr: str | None, master_port: int | None
) -> Layout:
    """Check that the options fit together.

    Raises:
        ConfigError: an option has no effect with one node, or is missing for several.
    """
    required = {"--node-rank": node_rank, "--master-addr": master_addr}
    if nodes == 1:
        for option, value in (required | {"--master-port": master_port}).items():
            if value is not None:
                raise ConfigError(f"{option} has no effect with one node; set --nodes too")
        return Layout(processes)
    for option, value in required.items():
        if value is None:
            raise ConfigError(f"--nodes {nodes} needs {option}; run the same command on each node, numbered from 0")
    if node_rank is not None and node_rank >= nodes:
        raise ConfigError(f"--node-rank {node_rank}: accepted are 0 to {nodes - 1}")
    return Layout(processes, nodes, node_rank or 0, f"{master_addr}:{master_port or 29500}")


def _check_devices(settings: RunConfig, processes: int) -> None:
    """Raise ConfigError if there are more processes than GPUs to train on."""
    gpus = torch.cuda.device_count()
    if settings.train.device != "cpu" and gpus and processes > gpus:
        raise ConfigError(f"--processes {processes}: at most {gpus}, because each process needs its own GPU")


def without_options(arguments: Sequence[str]) -> list[str]:
    """Remove the options that only the launcher reads from a command line."""
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
