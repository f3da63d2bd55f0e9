"""Fault injection that is too slow for `make test`: random kills, several nodes, orphans, hangs, compiled networks.

    python tools/nightly.py [--kills 20] [--only NAME] [--out runs/nightly]

Repeatedly trains a small MoCoGAN on generated shapes and compares each run with injected faults to an undisturbed run.
Prints one line per check; exit code 1 if any fails. A kill takes about 10 seconds on two cores. `hanging` waits for the
timeout of a step (`vidgan.training.accelerator.HANGING`), and `compiled` needs a C++ compiler.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from compare_runs import checkpoint_differences, journal_differences

from vidgan.config import dump_config, parse_config
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.training.accelerator import HANGING
from vidgan.training.checkpoint import load_latest
from vidgan.training.journal import read_journal
from vidgan.training.lock import RunLock

STEPS = 60
VALUES = {
    "task": "synthesis",
    "data": {"frames": 13},
    "model": {"dim_content": 4, "dim_motion": 4, "frame": {"kind": "dcgan", "width": 4, "norm": "none"}},
    "discriminators": {"frame": {"width": 4}, "video": {"width": 4}},
    "objective": {"weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0}},
    "optimizers": {"generator": {}, "frame": {}, "video": {}},
    "train": {"steps": STEPS, "batch_size": 4, "precision": "fp32", "device": "cpu"},
    "every": {"log": 1, "preview": 20, "checkpoint": 5},
}


class Bench:
    """Creates the data, configs and processes of the checks below the folder `out`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.data = out / "data"
        if not self.data.exists():
            render_shapes(out / "videos", clips=18, frames=20, size=32, seed=0)
            prepare(out / "videos", self.data, size=(32, 32), holdout=0.3)

    def config(self, name: str) -> Path:
        """Write the config file of a run in `out/name` and return its path."""
        values = VALUES | {"name": name, "out": str(self.out), "data": {"frames": 13, "root": str(self.data)}}
        path = self.out / f"{name}.yaml"
        path.write_text(dump_config(parse_config(values, name)))
        return path

    def start(self, name: str, *options: str) -> subprocess.Popen[str]:
        """Start `vidgan train` in the background."""
        command = [sys.executable, "-m", "vidgan", "train", str(self.config(name)), "--quiet", *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def run(self, name: str, *options: str) -> tuple[int, str]:
        """Run `vidgan train` to its end; returns exit code and stderr."""
        process = self.start(name, *options)
        _, stderr = process.communicate(timeout=1800)
        return process.returncode, stderr

    def step(self, name: str) -> int:
        """Return the last step in the journal of a run, 0 if there is none."""
        return max((record["step"] for record in read_journal(self.out / name)), default=0)

    def differences(self, one: str, other: str) -> list[str]:
        """Compare the journals and the newest common checkpoints of two runs."""
        a, b = self.out / one, self.out / other
        return journal_differences(a, b) + checkpoint_differences(a, b)


def kills(bench: Bench, count: int) -> list[str]:
    """Kill a run at random moments and repeat the command: the result equals that of the undisturbed run."""
    bench.run("undisturbed")
    rng = random.Random(0)
    problems = []
    for number in range(count):
        name = f"killed-{number}"
        reached = 0
        while True:
            process = bench.start(name)
            goal = reached + rng.randint(1, 25)
            while process.poll() is None and bench.step(name) < goal:
                time.sleep(0.02)
            if process.poll() is not None:
                break
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
            process.wait()
            saved = load_latest(bench.out / name / "checkpoints")
            if saved is not None and saved.skipped:
                problems.append(f"{name}: a kill left a damaged checkpoint: {saved.skipped}")
            reached = saved.step if saved is not None else 0
        problems += [f"{name}: {line}" for line in bench.differences("undisturbed", name)]
    return problems


def lost_processes(bench: Bench, count: int) -> list[str]:
    """Kill one of two processes repeatedly: with `--restarts` the run ends in the same result."""
    bench.run("undisturbed-two", "--processes", "2")
    process = bench.start("lost", "--processes", "2", "--restarts", "3")
    rng = random.Random(0)
    for goal in range(10, STEPS - 10, 20):
        while process.poll() is None and bench.step("lost") < goal:
            time.sleep(0.02)
        for worker in psutil.Process(process.pid).children(recursive=True):
            if worker.environ().get("RANK") == str(rng.randint(0, 1)):
                worker.kill()
                break
    _, stderr = process.communicate(timeout=1800)
    problems = [f"exit code {process.returncode}: {stderr}"] if process.returncode else []
    return problems + bench.differences("undisturbed-two", "lost")


def two_nodes(bench: Bench, count: int) -> list[str]:
    """Connect two launchers, as on two machines: the result equals that of one launcher with two processes."""
    bench.run("one-node", "--processes", "2")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    endpoint = ["--nodes", "2", "--master-addr", "127.0.0.1", "--master-port", port]
    nodes = [bench.start("two-nodes", *endpoint, "--node-rank", rank) for rank in ("0", "1")]
    outputs = [node.communicate(timeout=1800)[1] for node in nodes]
    problems = [f"exit code {n.returncode}: {text}" for n, text in zip(nodes, outputs, strict=True) if n.returncode]
    return problems + bench.differences("one-node", "two-nodes")


def orphans(bench: Bench, count: int) -> list[str]:
    """Kill the launcher: its processes save and exit, and the run directory is unlocked."""
    process = bench.start("orphans", "--processes", "2")
    while process.poll() is None and bench.step("orphans") < 8:
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    with RunLock(bench.out / "orphans"):
        return [f"still alive: {alive}"] if alive else []


def compiled(bench: Bench, count: int) -> list[str]:
    """Resume a run with train.compile: the result equals that of an uninterrupted one."""
    problems = []
    for name, steps in (("compiled", STEPS), ("compiled-resumed", 40), ("compiled-resumed", STEPS)):
        code, stderr = bench.run(name, "train.compile=true", f"train.steps={steps}")
        problems += [f"{name}: exit code {code}: {stderr}"] if code else []
    return problems + bench.differences("compiled", "compiled-resumed")


def hanging(bench: Bench, count: int) -> list[str]:
    """Suspend one of two processes: the other gives up after the timeout, and a new pair resumes the run."""
    bench.run("undisturbed-pair", "--processes", "2")
    process = bench.start("hanging", "--processes", "2", "--restarts", "1")
    while process.poll() is None and bench.step("hanging") < 12:
        time.sleep(0.02)
    start = time.monotonic()
    for worker in psutil.Process(process.pid).children(recursive=True):
        if worker.environ().get("RANK") == "1":
            worker.suspend()
    _, stderr = process.communicate(timeout=HANGING.total_seconds() + 600)
    problems = [] if time.monotonic() - start > HANGING.total_seconds() else ["ended before the timeout"]
    problems += [] if "waiting for another process" in stderr else [f"the hang was not reported: {stderr}"]
    problems += [f"exit code {process.returncode}: {stderr}"] if process.returncode else []
    return problems + bench.differences("undisturbed-pair", "hanging")


CHECKS: dict[str, Callable[[Bench, int], list[str]]] = {
    "kills": kills,
    "lost_processes": lost_processes,
    "two_nodes": two_nodes,
    "orphans": orphans,
    "compiled": compiled,
    "hanging": hanging,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="number of runs that are killed [20]")
    parser.add_argument("--only", choices=CHECKS, help="run one check")
    parser.add_argument("--out", type=Path, default=Path("runs/nightly"), help="new folder for all runs")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True)
    bench = Bench(options.out)
    failed = False
    for name, check in CHECKS.items():
        if options.only in (None, name):
            problems = check(bench, options.kills)
            print(f"{name}: {'ok' if not problems else f'{len(problems)} problems'}", flush=True)
            for problem in problems[:10]:
                print(f"  {problem}")
            failed |= bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
