"""Measure how costs scale with frames, resolution, batch, horizon, data set size and process count.

    python tools/bench_scale.py [--quick] [--only frames horizon ...] [--json FILE]

Each cost is measured at several sizes n, and k in cost ~ n^k is fitted by least squares of the logarithms. `expected`
is the k of the algorithm. A fitted k more than 0.25 above it is marked, because it indicates quadratic host work or
leaked memory; a smaller k comes from fixed costs and is no fault. The networks are narrow versions of the shipped ones.
Operations and peak tensor bytes are counted; seconds are measured (medians).

- frames, resolution, batch, horizon: a training step.
- items: opening prepared data, ordering an epoch, loading a batch.
- processes: seconds per step of `vidgan train --processes N` at a fixed global batch (k = -1: perfect speed-up).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from benching import exponent, machine, save, seconds, table

from vidgan.build import build_algorithm, build_networks
from vidgan.config import find_config, load_config
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.data.store.index import ClipEntry, Index, save_index
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.cost import start_optimizers, turn_costs
from vidgan.training.journal import read_journal
from vidgan.types import UNLABELLED, ClipBatch

MARGIN = 0.25
NARROW = {
    "mocogan": ("mocogan/vidgan", [
        "model.frame.width=8", "model.frame.max_width=64",
        "discriminators.frame.width=8", "discriminators.frame.max_width=64",
        "discriminators.video.width=8", "discriminators.video.max_width=64",
        "objective.category_source=null", "objective.weights.category=null", "objective.penalty=null",
    ]),
    "dual_motion": ("dual_motion/paper", [
        "model.widths=[8,16,32,64]", "model.dim_latent=32", "model.estimator.widths=[8,8,8,8]",
        "discriminators.frame.width=8", "discriminators.flow.width=8", "data.context=4", "objective.turns=null",
    ]),
}  # fmt: skip


class Series(NamedTuple):
    """One cost at several sizes, and the exponent that is expected."""

    what: str
    unit: str
    expected: float
    sizes: list[float]
    costs: list[float]


def step_costs(
    model: str, *, frames: int, size: tuple[int, int], batch: int, repeat: int
) -> tuple[float, float, float]:
    """Return seconds, operations and peak bytes of one training step."""
    name, changes = NARROW[model]
    config = load_config(
        find_config(name), ["data.root=unused", f"data.frames={frames}", "train.precision=fp32", *changes]
    )
    data: Any = SimpleNamespace(size=size, num_categories=0, captions=None)
    algorithm = build_algorithm(config, build_networks(config, data), build_accelerator("cpu"))
    start_optimizers(algorithm.trainees)
    clips = ClipBatch(
        clip=torch.randint(256, (batch, frames, 3, *size), dtype=torch.uint8),
        category=torch.zeros(batch, dtype=torch.int64),
        flow=torch.zeros(batch, frames - 1, 2, *size) if model == "dual_motion" else torch.zeros(batch, 0),
        item=torch.arange(batch),
    )
    micros = [(clips, Draws(0, "scale", rows=range(batch)))]
    turns = turn_costs(algorithm, 0, micros).values()
    duration = statistics.median(seconds(lambda: algorithm.step(0, micros), repeat))
    return duration, float(sum(turn.flops for turn in turns)), float(max(turn.peak for turn in turns))


def step_series(
    what: str, sizes: Sequence[float], cost: Callable[[float], tuple[float, float, float]], expected: float = 1.0
) -> list[Series]:
    """Return three series of the costs of a training step."""
    costs = zip(*(cost(size) for size in sizes), strict=True)
    units = ("seconds", "operations", "peak bytes")
    return [Series(what, unit, expected, list(sizes), list(c)) for unit, c in zip(units, costs, strict=True)]


def measure_frames(quick: bool) -> list[Series]:
    """Clips of more frames."""
    lengths = (16, 32) if quick else (16, 24, 32, 48)
    square = {"size": (64, 64), "batch": 2, "repeat": 1 if quick else 3}
    return step_series("frames per clip", lengths, lambda n: step_costs("mocogan", frames=int(n), **square))


def measure_resolution(quick: bool) -> list[Series]:
    """Frames of more pixels; doubling the side adds a level to the networks."""
    sides = (64, 128) if quick else (64, 96, 128, 192)
    return step_series(
        "frame side", sides,
        lambda n: step_costs("mocogan", frames=16, size=(int(n), int(n)), batch=2, repeat=1 if quick else 3), 2.0,
    )  # fmt: skip


def measure_batch(quick: bool) -> list[Series]:
    """More clips per batch."""
    clips = (2, 8) if quick else (2, 4, 8, 16)
    square = {"frames": 16, "size": (64, 64), "repeat": 1 if quick else 3}
    return step_series("clips per batch", clips, lambda n: step_costs("mocogan", batch=int(n), **square))


def measure_horizon(quick: bool) -> list[Series]:
    """More predicted frames, each fed back."""
    ahead = (2, 6) if quick else (2, 4, 8, 16)
    wide = {"size": (64, 96), "batch": 2, "repeat": 1 if quick else 3}
    return step_series("predicted frames", ahead, lambda n: step_costs("dual_motion", frames=4 + int(n), **wide))


def measure_items(quick: bool) -> list[Series]:
    """Larger data sets: opening them, ordering an epoch, and loading a batch of 16."""
    numbers = (300, 3000) if quick else (300, 1000, 3000, 10000)
    costs: dict[str, list[float]] = {"opening": [], "an epoch's order": [], "a batch of 16": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in numbers:
            root = small_clips(Path(scratch) / str(number), number)
            costs["opening"].append(statistics.median(seconds(lambda root=root: ClipDataset(root, frames=4), 3)))
            loader = ClipLoader(ClipDataset(root, frames=4), batch_size=16, seed=0)
            costs["an epoch's order"].append(statistics.median(seconds(lambda load=loader: next(load.batches(0)), 3)))
            stream = loader.batches(0)
            costs["a batch of 16"].append(statistics.median(seconds(lambda stream=stream: next(stream), 8)))
            stream.close()  # type: ignore[attr-defined]
    expected = {"opening": 1.0, "an epoch's order": 1.0, "a batch of 16": 0.0}
    return [
        Series(f"items, {what}", "seconds", expected[what], list(numbers), values) for what, values in costs.items()
    ]


def small_clips(root: Path, number: int) -> Path:
    """Write prepared data with `number` tiny clips."""
    (root / "clips").mkdir(parents=True)
    pixels = np.zeros((8, 32, 32, 3), np.uint8)
    entries = []
    for place in range(number):
        name = f"clip{place:06d}"
        np.save(root / "clips" / f"{name}.npy", pixels, allow_pickle=False)
        entries.append(
            ClipEntry(name, f"{name}.npy", name, UNLABELLED, "train", len(pixels), None, name, file=f"{name}.npy")
        )
    save_index(root, Index(size=(32, 32), fps=None, flow=None, categories=[], clips=entries))
    return root


def measure_processes(quick: bool) -> list[Series]:
    """More processes that share one global batch, up to the number of cores."""
    num_cores = min(4, os.cpu_count() or 1)
    numbers = [number for number in (1, 2, 4) if number <= num_cores]
    if quick or len(numbers) < 2:
        return []
    durations = []
    with tempfile.TemporaryDirectory() as scratch:
        root = small_clips(Path(scratch) / "data", 64)
        for number in numbers:
            name, changes = NARROW["mocogan"]
            command = [
                sys.executable, "-m", "vidgan", "train", name, f"data.root={root}", f"out={scratch}", f"name=p{number}",
                "data.frames=8", "data.stride=1", "discriminators.video.max_receptive_frames=7", *changes,
                "train.steps=30", "train.batch_size=16", "train.device=cpu", "every.log=10", "every.preview=1000",
                "every.checkpoint=1000", "every.evaluate=null", "--processes", str(number), "--quiet",
            ]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
            journal = read_journal(Path(scratch) / f"p{number}")
            rates = [record["clips_per_second"] for record in journal if "clips_per_second" in record]
            durations.append(16 / statistics.median(rates[1:]))
    return [Series("processes, one thread each", "seconds", -1.0, [float(n) for n in numbers], durations)]


PARTS = {
    "frames": measure_frames,
    "resolution": measure_resolution,
    "batch": measure_batch,
    "horizon": measure_horizon,
    "items": measure_items,
    "processes": measure_processes,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 if a cost grows faster than expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure [all]")
    parser.add_argument("--quick", action="store_true", help="two sizes each and one repetition; takes a minute")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    args = parser.parse_args(argv)
    report: dict[str, Any] = {"machine": machine(), "series": []}
    lines = []
    for part in args.only:
        print(part, file=sys.stderr, flush=True)
        for series in PARTS[part](args.quick):
            fitted = exponent(series.sizes, series.costs)
            surprising = fitted > series.expected + MARGIN
            report["series"].append(series._asdict() | {"exponent": fitted, "surprising": surprising})
            ends = f"{series.costs[0]:.3g} to {series.costs[-1]:.3g}"
            sizes = "-".join(f"{size:g}" for size in (series.sizes[0], series.sizes[-1]))
            mark = "GROWS FASTER" if surprising else ""
            lines.append([f"{series.what}, {series.unit}", sizes, ends, f"{fitted:.2f}", f"{series.expected:g}", mark])
    print(table(["cost", "sizes", "from, to", "k", "expected", ""], lines))
    save(args.json, report)
    return int(any(series["surprising"] for series in report["series"]))


if __name__ == "__main__":
    sys.exit(main())
