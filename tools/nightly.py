"""Faults that take too long for `make test`: kills at random moments, nodes that meet, orphans, hangs, compiled code.

    python tools/nightly.py [--kills 20] [--only NAME] [--out runs/nightly]

Trains a small MoCoGAN on generated shapes again and again, and compares each run that met faults with the one that met
none. Prints a line a check; exit code 1 if any fails. About 10 seconds a kill on two cores; `hanging` waits out the
limit of a step (`vidgan.build.HANGING`), `compiled` needs a C++ compiler.
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

from vidgan.build import HANGING
from vidgan.config import dump_config, parse_config
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes_data import render_shapes
from vidgan.training.checkpoint import load_latest
from vidgan.training.journal import read
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
    """Data, configs and processes of the checks."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.data = out / "data"
        if not self.data.exists():
            render_shapes(out / "videos", clips=18, frames=20, size=32, seed=0)
            prepare(out / "videos", self.data, size=(32, 32), holdout=0.3)

    def config(self, name: str) -> Path:
        """A config file; the run goes to `out/name`."""
        values = VALUES | {"name": name, "out": str(self.out), "data": {"frames": 13, "root": str(self.data)}}
        path = self.out / f"{name}.yaml"
        path.write_text(dump_config(parse_config(values, name)))
        return path

    def start(self, name: str, *options: str) -> subprocess.Popen[str]:
        """`vidgan train` on it."""
        command = [sys.executable, "-m", "vidgan", "train", str(self.config(name)), "--quiet", *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def run(self, name: str, *options: str) -> tuple[int, str]:
        """The same, to its end."""
        process = self.start(name, *options)
        _, told = process.communicate(timeout=1800)
        return process.returncode, told

    def step(self, name: str) -> int:
        """The last step in the journal."""
        journal = self.out / name / "journal.jsonl"
        return max((record["step"] for record in read(journal)), default=0) if journal.is_file() else 0

    def differences(self, one: str, other: str) -> list[str]:
        """Between two runs: journal and newest common checkpoint."""
        a, b = self.out / one, self.out / other
        return journal_differences(a, b) + checkpoint_differences(a, b)


def kills(bench: Bench, count: int) -> list[str]:
    """kill -9 at random moments, then the same command; the end is that of the unbroken run."""
    bench.run("unbroken")
    dice = random.Random(0)
    problems = []
    for number in range(count):
        name = f"killed-{number}"
        reached = 0
        while True:
            process = bench.start(name)
            goal = reached + dice.randint(1, 25)
            while process.poll() is None and bench.step(name) < goal:
                time.sleep(0.02)
            if process.poll() is not None:
                break
            time.sleep(dice.uniform(0, 0.1))
            process.kill()
            process.wait()
            saved = load_latest(bench.out / name / "checkpoints")
            if saved is not None and saved.skipped:
                problems.append(f"{name}: a kill left a damaged checkpoint: {saved.skipped}")
            reached = saved.step if saved is not None else 0
        problems += [f"{name}: {line}" for line in bench.differences("unbroken", name)]
    return problems


def lost_processes(bench: Bench, count: int) -> list[str]:
    """One of two processes is killed again and again; `--restarts` brings the run to the same end."""
    bench.run("unbroken-two", "--processes", "2")
    process = bench.start("lost", "--processes", "2", "--restarts", "3")
    dice = random.Random(0)
    for goal in range(10, STEPS - 10, 20):
        while process.poll() is None and bench.step("lost") < goal:
            time.sleep(0.02)
        for worker in psutil.Process(process.pid).children(recursive=True):
            if worker.environ().get("RANK") == str(dice.randint(0, 1)):
                worker.kill()
                break
    _, told = process.communicate(timeout=1800)
    failed = [f"exit code {process.returncode}: {told}"] if process.returncode else []
    return failed + bench.differences("unbroken-two", "lost")


def two_nodes(bench: Bench, count: int) -> list[str]:
    """Two launchers meet at a port, as on two machines, and train what one launcher with two processes trains."""
    bench.run("one-node", "--processes", "2")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    meeting = ["--nodes", "2", "--master-addr", "127.0.0.1", "--master-port", port]
    nodes = [bench.start("two-nodes", *meeting, "--node-rank", rank) for rank in ("0", "1")]
    told = [node.communicate(timeout=1800)[1] for node in nodes]
    problems = [f"exit code {n.returncode}: {t}" for n, t in zip(nodes, told, strict=True) if n.returncode]
    return problems + bench.differences("one-node", "two-nodes")


def orphans(bench: Bench, count: int) -> list[str]:
    """kill -9 of the launcher: the processes save and go, and nothing holds the run."""
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
    """With train.compile, a run that is resumed ends as one that was not."""
    problems = []
    for name, steps in (("compiled", STEPS), ("compiled-resumed", 40), ("compiled-resumed", STEPS)):
        code, told = bench.run(name, "train.compile=true", f"train.steps={steps}")
        problems += [f"{name}: exit code {code}: {told}"] if code else []
    return problems + bench.differences("compiled", "compiled-resumed")


def hanging(bench: Bench, count: int) -> list[str]:
    """One of two processes is stopped, not killed: the other gives up after the limit, and a new pair goes on."""
    bench.run("unbroken-pair", "--processes", "2")
    process = bench.start("hanging", "--processes", "2", "--restarts", "1")
    while process.poll() is None and bench.step("hanging") < 12:
        time.sleep(0.02)
    began = time.monotonic()
    for worker in psutil.Process(process.pid).children(recursive=True):
        if worker.environ().get("RANK") == "1":
            worker.suspend()
    _, told = process.communicate(timeout=HANGING.total_seconds() + 600)
    problems = [] if time.monotonic() - began > HANGING.total_seconds() else ["ended too early: nothing hung"]
    problems += [] if "has waited in vain for another process" in told else [f"told: {told}"]
    problems += [f"exit code {process.returncode}: {told}"] if process.returncode else []
    return problems + bench.differences("unbroken-pair", "hanging")


CHECKS: dict[str, Callable[[Bench, int], list[str]]] = {
    "kills": kills,
    "lost_processes": lost_processes,
    "two_nodes": two_nodes,
    "orphans": orphans,
    "compiled": compiled,
    "hanging": hanging,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", choices=CHECKS)
    parser.add_argument("--out", type=Path, default=Path("runs/nightly"))
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
