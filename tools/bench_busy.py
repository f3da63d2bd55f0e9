"""Training and forecasting on an idle and on a busy machine: fixed numbers of threads beside the automatic one.

    python tools/bench_busy.py [--taken 1] [--duty 1.0] [--seconds 12] [--rounds 3] [--json FILE]

A competitor computes on `--taken` cores, for `--duty` of the time (in slices of 20 ms), at this process's priority.
Measured: training steps of `mocogan/demo` (clips per second) and next-frame forecasts at 128x160 with
`dual_motion/vidgan` (frames per second, batch 1), each with all n threads, with n minus `--taken`, and with the number
that vidgan chooses. Modes alternate within each round, idle and busy, in one process; a mode's first second is not
counted. Weights are initial ones: speed does not depend on their values.

The last lines compare with three targets, and the exit code is 1 if one is missed. With k of n cores taken, the
automatic number keeps 0.9 (n-k)/n of the idle speed, and no call takes more than twice the median. An idle machine
loses at most 2 %.
Run it on a machine that does nothing else.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench_infer import network
from benching import format_spread, machine, save, spread, table

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.config import find_config, load_config
from vidgan.cores import adapt_threads, usable_cores
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.precision import resolve_precision, with_precision
from vidgan.training.accelerator import build_accelerator
from vidgan.training.allocator import keep_large_blocks
from vidgan.training.batches import BatchStream

COMPETITOR = """
import sys, time
duty = float(sys.argv[1])
while True:
    end = time.perf_counter() + 0.02 * duty
    while time.perf_counter() < end:
        pass
    if duty < 1:
        time.sleep(0.02 * (1 - duty))
"""
BATCH = 16
WARM_UP = 1.0  # seconds


def training_job(folder: Path) -> Callable[[], None]:
    """One training step of mocogan/demo on rendered shapes."""
    render_shapes(folder / "videos", clips=64, frames=32, size=32, seed=0)
    prepare(folder / "videos", folder / "data", size=(32, 32), categories=True, holdout=0.15)
    config = load_config(
        find_config("mocogan/demo"),
        [f"data.root={folder / 'data'}", f"train.batch_size={BATCH}"],
    )
    accelerator, dataset = build_accelerator("cpu"), build_dataset(config)
    config = with_precision(config, resolve_precision(config, dataset, accelerator))
    algorithm = build_algorithm(config, build_networks(config, dataset), accelerator)
    batches = BatchStream(build_loader(config, dataset, accelerator), seed=0, device=accelerator.device)
    batches.seek(0)
    step = 0

    def job() -> None:
        nonlocal step
        algorithm.step(step, batches.take())
        step += 1

    return job


def forecasting_job() -> Callable[[], None]:
    """The next frame after four context frames at 128x160."""
    model = network("dual_motion/vidgan", "cpu")
    context = torch.randint(0, 256, (1, 4, 3, 128, 160), dtype=torch.uint8)

    def job() -> None:
        model.predict(context, horizon=1)

    return job


@contextmanager
def competitor(cores: int, duty: float) -> Iterator[None]:
    """Processes that compute on this many cores."""
    processes = [subprocess.Popen([sys.executable, "-c", COMPETITOR, str(duty)]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(job: Callable[[], None], threads: int | None, seconds: float) -> list[float]:
    """Durations of the calls in `seconds` after the warm-up; `threads` None: chosen before each call."""
    torch.set_num_threads(threads or usable_cores())
    calls: list[float] = []
    start = time.perf_counter()
    while len(calls) < 3 or time.perf_counter() - start < WARM_UP + seconds:
        begin = time.perf_counter()
        if threads is None:
            adapt_threads()
        job()
        if begin - start >= WARM_UP:
            calls.append(time.perf_counter() - begin)
    return calls


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taken", type=int, default=1, help="Cores that the competitor takes.")
    parser.add_argument("--duty", type=float, default=1.0, help="Share of the time in which it computes.")
    parser.add_argument("--seconds", type=float, default=12.0, help="Measured time per mode and round.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cores = usable_cores()
    if os.environ.get("OMP_NUM_THREADS"):
        parser.error("OMP_NUM_THREADS fixes the number of threads; unset it")
    if not 0 < arguments.taken < cores:
        parser.error(f"--taken {arguments.taken}: accepted: 1 to {cores - 1} on this machine")
    keep_large_blocks()
    free = cores - arguments.taken
    modes = {f"{cores} threads": cores, f"{free} threads": free, "automatic": None}
    with tempfile.TemporaryDirectory() as folder:
        jobs = {"training mocogan/demo": training_job(Path(folder)), "forecasting 128x160": forecasting_job()}
        calls: dict[tuple[str, str, str], list[list[float]]] = {}
        for _ in range(arguments.rounds):
            for state in ("idle", "busy"):
                with competitor(arguments.taken if state == "busy" else 0, arguments.duty):
                    for name, job in jobs.items():
                        for mode, threads in modes.items():
                            calls.setdefault((name, state, mode), []).append(measure(job, threads, arguments.seconds))
    report: dict[str, Any] = {"machine": machine(), "taken": arguments.taken, "duty": arguments.duty, "rows": {}}
    rows = []
    for (name, state, mode), rounds in calls.items():
        speeds = spread([len(times) / sum(times) for times in rounds])
        times = [value for part in rounds for value in part]
        worst = max(times) / median(times)
        report["rows"]["/".join((name, state, mode))] = {"calls_per_second": speeds, "worst_over_median": worst}
        shown = {key: value * BATCH for key, value in speeds.items()} if name.startswith("training") else speeds
        rows.append((name, state, mode, format_spread(shown), f"{1000 * median(times):.0f}", f"{worst:.1f}"))
    print(table(("job", "machine", "threads", "clips/s or frames/s", "ms per call", "worst/median"), rows))
    missed = 0
    for name in jobs:
        full, idle, busy = (
            report["rows"][f"{name}/{row}"] for row in (f"idle/{cores} threads", "idle/automatic", "busy/automatic")
        )
        kept, unburdened = (
            row["calls_per_second"]["median"] / full["calls_per_second"]["median"] for row in (busy, idle)
        )
        loss, worst, target = 1 - unburdened, busy["worst_over_median"], 0.9 * free / cores
        goals = {
            f"kept {kept:.2f} of the idle speed, target {target:.2f}": kept >= target,
            f"slowest call {worst:.1f} times the median, target 2.0": worst <= 2,
            f"lost {100 * loss:.1f} % when idle, target 2 %": loss <= 0.02,
        }
        for text, is_met in goals.items():
            print(f"{'met   ' if is_met else 'MISSED'}  {name}: {text}")
            missed += not is_met
    save(arguments.json, report)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
