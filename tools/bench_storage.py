"""Benchmark the stores of prepared data: reading speed, and the waiting time of a training step.

    python tools/bench_storage.py VIDEOS [--out FOLDER] [--workers 0 2] [--step-seconds 0.05 0.5] [--quick]

Prepares the videos for each store (frames, shards, video) at the frame sizes of shipped configs. Then reads batches as
training does, with the clip length, stride and batch size of the config. Prints one JSON object:

- prepared: seconds taken by `prepare` and megabytes on disk, by size and store
- reading: items per second, median and range of several samples
- waiting: share of time spent waiting for the batch. The training step is replaced by a sleep, like a processor that
  waits for a GPU. For training on the same cores, see the journal of the run.

Everything is read once before it is timed, so that files come from the page cache. A cold disk or network is slower.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benching import spread

from vidgan.config import find_config, load_config
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.data.preparing.prepare import prepare

# Shipped configs and the frame sizes (H, W) for which they are written.
CASES = (("mocogan/demo", (32, 32)), ("mocogan/videos", (64, 64)), ("dual_motion/kitti", (128, 160)))
STORES = ("frames", "shards", "video")


def prepare_stores(source: Path, out: Path, size: tuple[int, int], stores: list[str]) -> dict[str, dict[str, float]]:
    """Prepare `source` at one size for each store; returns seconds and megabytes."""
    costs = {}
    for store in stores:
        begun = time.perf_counter()
        prepared = prepare(source, out / store, size=size, store=store, holdout=0, cuts="off")
        megabytes = sum(path.stat().st_size for path in prepared.root.rglob("*") if path.is_file()) / 1e6
        costs[store] = {"seconds": round(time.perf_counter() - begun, 2), "megabytes": round(megabytes, 2)}
    return costs


def items_per_second(loader: ClipLoader, *, samples: int, seconds: float) -> dict[str, float]:
    """Median, minimum and maximum of `samples` measurements of about `seconds` each, after a warm-up."""
    stream = loader.batches()
    for _ in range(max(2, 2 * loader.workers)):
        next(stream)
    rates = []
    for _ in range(samples):
        begun, items = time.perf_counter(), 0
        while (passed := time.perf_counter() - begun) < seconds:
            items += sum(len(batch.item) for batch in next(stream))
        rates.append(items / passed)
    stream.close()  # type: ignore[attr-defined]
    return {name: round(rate, 1) for name, rate in spread(rates).items()}


def waiting_share(loader: ClipLoader, *, step_seconds: float, seconds: float) -> float:
    """Share of time spent waiting for batches, over at least three steps and `seconds`; excludes the first batch."""
    stream = loader.batches()
    next(stream)
    waited, steps, begun = 0.0, 0, time.perf_counter()
    while steps < 3 or time.perf_counter() - begun < seconds:
        time.sleep(step_seconds)
        requested = time.perf_counter()
        next(stream)
        waited += time.perf_counter() - requested
        steps += 1
    share = waited / (time.perf_counter() - begun)
    stream.close()  # type: ignore[attr-defined]
    return share


def measure(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run all measurements, by config."""
    cases = CASES[1:2] if arguments.quick else CASES
    samples, seconds, waits = (1, 0.3, 0.5) if arguments.quick else (5, arguments.seconds, 2.5 * arguments.seconds)
    report: dict[str, Any] = {"source": str(arguments.source), "cores": os.cpu_count(), "cases": {}}
    for name, size in cases:
        config = load_config(find_config(name), ["data.root=unused"])
        folder = out / name.replace("/", "-")
        case: dict[str, Any] = {"size": list(size), "frames": config.data.frames, "batch": config.train.batch_size}
        case["prepared"] = prepare_stores(arguments.source, folder, size, arguments.stores)
        case["reading"], case["waiting"] = [], []
        for workers, store in itertools.product(arguments.workers, arguments.stores):
            data = ClipDataset(folder / store, frames=config.data.frames, stride=config.data.stride)
            loader = ClipLoader(data, batch_size=config.train.batch_size, seed=0, workers=workers)
            log(f"{name}, {store}, {workers} workers")
            row = {"store": store, "workers": workers}
            case["reading"].append(row | items_per_second(loader, samples=samples, seconds=seconds))
            for step in arguments.step_seconds:
                share = waiting_share(loader, step_seconds=step, seconds=waits)
                case["waiting"].append(row | {"step_seconds": step, "share": round(share, 4)})
        report["cases"][name] = case
    return report


def log(message: str) -> None:
    """Print progress to stderr; stdout holds the JSON."""
    print(message, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of videos")
    parser.add_argument("--out", type=Path, help="folder for the prepared data; default: a temporary folder")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--step-seconds", nargs="+", type=float, default=[0.05, 0.5])
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="duration in seconds of each of five samples",
    )
    parser.add_argument("--quick", action="store_true", help="one config and short samples, as a smoke test")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measure(arguments, arguments.out or Path(temporary)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
