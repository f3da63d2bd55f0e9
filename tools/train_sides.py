"""One side of `bench_train.py` in its own process: build it, train a few iterations, print one line of JSON.

python tools/train_sides.py '{"side": "vidgan", "model": "mocogan", "precision": "bf16", ...}'
"""

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import textbook.dual_motion
import textbook.mocogan
import torch
from torch.utils.data import DataLoader, Dataset

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.config import RunConfig, find_config, load_config
from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import CATEGORIES, render_moving_shape
from vidgan.precision import resolve_precision
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.batches import BatchStream
from vidgan.training.cost import Meter
from vidgan.types import ClipBatch

SIZES = {"mocogan": (64, 64), "dual_motion": (128, 160)}


class Job(NamedTuple):
    """One measurement."""

    side: str  # "vidgan" or "textbook"
    model: str
    precision: str
    batch: int
    iterations: int
    data: str
    device: str = "cpu"
    changes: tuple[str, ...] = ()


class Clock:
    """Seconds by part. The time of a nested part counts for that part only."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block."""
        self._inner.append(0.0)
        start = self._now()
        yield
        elapsed = self._now() - start
        inner = self._inner.pop()
        self.seconds[name] = self.seconds.get(name, 0.0) + elapsed - inner
        if self._inner:
            self._inner[-1] += elapsed

    def watch(self, optimizers: dict[str, torch.optim.Optimizer]) -> None:
        """Time the optimizers' steps."""
        for optimizer in optimizers.values():
            step = optimizer.step

            def timed(*args: Any, step: Callable[..., Any] = step, **kwargs: Any) -> Any:
                with self.part("optimizer"):
                    return step(*args, **kwargs)

            optimizer.step = timed  # type: ignore[method-assign]

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def make_data(folder: Path, model: str, clips: int) -> None:
    """Prepare moving shapes of the model's size, with flow for a forecaster; categories alternate."""
    height, width = SIZES[model]
    for index in range(clips):
        clip = render_moving_shape(0, index, frames=32, size=max(height, width)).frames
        kind = f"{CATEGORIES[index % 3]}{index // 3 % 2}"  # six, as in the published discriminator
        (folder / "videos" / kind).mkdir(parents=True, exist_ok=True)
        np.save(folder / "videos" / kind / f"{index}.npy", clip, allow_pickle=False)
    options: dict[str, Any] = {"flow": "auto"} if model == "dual_motion" else {"categories": True}
    prepare(folder / "videos", folder / "data", size=SIZES[model], holdout=0, cuts="off", **options)


def load_settings(job: Job) -> RunConfig:
    """The published config with the batch, precision and data of the job.

    Each iteration has all turns; the published Dual Motion GAN updates the generator on every fifth step only.
    """
    changes = [f"data.root={job.data}", f"train.batch_size={job.batch}", f"train.precision={job.precision}"]
    changes += [f"train.device={job.device}", "train.channels_last=true", "data.workers=0"]
    changes += [] if job.model == "mocogan" else ["objective.turns=null"]
    return load_config(find_config(f"{job.model}/paper"), [*changes, *job.changes])


def chosen_precision(job: Job) -> str:
    """What `train.precision=auto` means for the job."""
    config = load_settings(job._replace(precision="auto"))
    return resolve_precision(config, build_dataset(config), build_accelerator(job.device))


def vidgan_side(job: Job, clock: Clock) -> Callable[[int], None]:
    """The package's loader and training step, as a function of the step's number."""
    config = load_settings(job)
    dataset = build_dataset(config)
    accelerator = build_accelerator(job.device)
    loader = build_loader(config, dataset, accelerator)
    algorithm = build_algorithm(config, build_networks(config, dataset), accelerator)
    algorithm.trainees.around = clock.part
    clock.watch(algorithm.trainees.optimizers)
    batches = BatchStream(loader, seed=0, device=accelerator.device)
    batches.seek(0)

    def iteration(step: int) -> None:
        with clock.part("data"):
            micros = batches.take()
        algorithm.step(step, micros)

    return iteration


class Items(Dataset[ClipBatch]):
    """The same clips, for torch's DataLoader."""

    def __init__(self, dataset: ClipDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> ClipBatch:
        return self.dataset[0, item]


def textbook_side(job: Job, clock: Clock) -> Callable[[int], None]:
    """The plain implementation with torch's DataLoader, as a function of the step's number."""
    config = load_settings(job)
    dataset = build_dataset(config)
    loader = DataLoader(Items(dataset), batch_size=job.batch, shuffle=True, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    training = getattr(textbook, job.model).Training(device=job.device)
    clock.watch(training.optimizers)

    def iteration(step: int) -> None:
        with clock.part("data"):
            batch = next(batches)
        labels = batch.category if job.model == "mocogan" else batch.flow[:, config.data.context - 1]
        for name in training.networks:
            with clock.part(name):
                training.turn(name, batch.clip, labels)

    return iteration


def count_operations(job: Job) -> dict[str, float]:
    """Floating-point operations of one iteration by turn, counted with two clips and scaled to the batch."""
    config = load_settings(job._replace(batch=2, precision="fp32", device="cpu"))
    dataset = build_dataset(config)
    batch = next(iter(DataLoader(Items(dataset), batch_size=2)))
    flops: dict[str, float] = {}

    @contextmanager
    def around(name: str) -> Iterator[None]:
        with Meter() as meter:
            yield
        flops[name] = meter.flops * job.batch / 2

    if job.side == "vidgan":
        algorithm = build_algorithm(config, build_networks(config, dataset), build_accelerator("cpu"))
        algorithm.trainees.around = around
        algorithm.step(0, [(batch, Draws(0, "count", rows=range(2)))])
    else:
        training = getattr(textbook, job.model).Training()
        labels = batch.category if job.model == "mocogan" else batch.flow[:, config.data.context - 1]
        for name in training.networks:
            with around(name):
                training.turn(name, batch.clip, labels)
    return flops


def run(job: Job) -> dict[str, Any]:
    """Seconds of each iteration after the first by part, page faults and kernel time; and the peak memory."""
    clock = Clock(job.device)
    iteration = {"vidgan": vidgan_side, "textbook": textbook_side}[job.side](job, clock)
    samples: list[dict[str, float]] = []
    for step in range(job.iterations + 1):
        clock.seconds = {}
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        iteration(step)
        total, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        kernel = {"faults": after.ru_minflt - before.ru_minflt, "kernel seconds": after.ru_stime - before.ru_stime}
        if step:
            samples.append({"total": total, **clock.seconds, **kernel})
    gigabytes = torch.cuda.max_memory_allocated() / 1e9 if job.device == "cuda" else after.ru_maxrss * 1024 / 1e9
    return {"samples": samples, "peak_gb": gigabytes}


if __name__ == "__main__":
    print(json.dumps(run(Job(**json.loads(sys.argv[1])))))
