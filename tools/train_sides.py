"""One side of `bench_train.py` in a process of its own: builds it, trains a few iterations, prints one line of JSON.

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
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.batches import BatchStream
from vidgan.training.cost import Meter
from vidgan.types import ClipBatch

SIZES = {"mocogan": (64, 64), "dual_motion": (128, 160)}


class Task(NamedTuple):
    """What is measured."""

    side: str  # "vidgan" or "textbook"
    model: str
    precision: str
    batch: int
    iterations: int
    data: str
    device: str = "cpu"
    changes: tuple[str, ...] = ()


class Clock:
    """Seconds by part; a part that runs inside another is taken out of it."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times a block."""
        self._inner.append(0.0)
        begun = self._now()
        yield
        passed = self._now() - begun
        inner = self._inner.pop()
        self.seconds[name] = self.seconds.get(name, 0.0) + passed - inner
        if self._inner:
            self._inner[-1] += passed

    def watch(self, optimizers: dict[str, torch.optim.Optimizer]) -> None:
        """Times the optimizers' steps."""
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
    """Prepared moving shapes of the model's size, with flow for a forecaster; categories are dealt out in turn."""
    height, width = SIZES[model]
    for index in range(clips):
        clip = render_moving_shape(0, index, frames=32, size=max(height, width)).frames
        kind = f"{CATEGORIES[index % 3]}{index // 3 % 2}"  # six, as many as the published discriminator knows
        (folder / "videos" / kind).mkdir(parents=True, exist_ok=True)
        np.save(folder / "videos" / kind / f"{index}.npy", clip, allow_pickle=False)
    forecasts = model == "dual_motion"
    chosen: dict[str, Any] = {"flow": "auto"} if forecasts else {"categories": True}
    prepare(folder / "videos", folder / "data", size=SIZES[model], holdout=0, cuts="off", **chosen)


def settings(task: Task) -> RunConfig:
    """The published config at the task's batch and precision, on the task's data.

    Every iteration has every turn: the published critics of Dual Motion GAN move five times for a generator's step.
    """
    changes = [f"data.root={task.data}", f"train.batch_size={task.batch}", f"train.precision={task.precision}"]
    changes += [f"train.device={task.device}", "train.channels_last=true", "data.workers=0"]
    changes += [] if task.model == "mocogan" else ["objective.critic_steps=1"]
    return load_config(find_config(f"{task.model}/paper"), [*changes, *task.changes])


def vidgan_side(task: Task, clock: Clock) -> Callable[[int], None]:
    """The package's own loader and training step."""
    config = settings(task)
    dataset = build_dataset(config)
    accelerator = build_accelerator(task.device)
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


def textbook_side(task: Task, clock: Clock) -> Callable[[int], None]:
    """The plain implementation, fed by torch's DataLoader."""
    config = settings(task)
    dataset = build_dataset(config)
    loader = DataLoader(Items(dataset), batch_size=task.batch, shuffle=True, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    training = getattr(textbook, task.model).Training(device=task.device)
    clock.watch(training.optimizers)

    def iteration(step: int) -> None:
        with clock.part("data"):
            batch = next(batches)
        labels = batch.category if task.model == "mocogan" else batch.flow[:, config.data.context - 1]
        for name in training.networks:
            with clock.part(name):
                training.turn(name, batch.clip, labels)

    return iteration


def count_operations(task: Task) -> dict[str, float]:
    """Floating-point operations of one iteration by turn, counted with two clips and scaled to the batch."""
    config = settings(task._replace(batch=2, precision="fp32", device="cpu"))
    dataset = build_dataset(config)
    batch = next(iter(DataLoader(Items(dataset), batch_size=2)))
    counted: dict[str, float] = {}

    @contextmanager
    def around(name: str) -> Iterator[None]:
        with Meter() as meter:
            yield
        counted[name] = meter.flops * task.batch / 2

    if task.side == "vidgan":
        algorithm = build_algorithm(config, build_networks(config, dataset), build_accelerator("cpu"))
        algorithm.trainees.around = around
        algorithm.step(0, [(batch, Draws(0, "count", rows=range(2)))])
    else:
        training = getattr(textbook, task.model).Training()
        labels = batch.category if task.model == "mocogan" else batch.flow[:, config.data.context - 1]
        for name in training.networks:
            with around(name):
                training.turn(name, batch.clip, labels)
    return counted


def run(task: Task) -> dict[str, Any]:
    """Seconds of each iteration after the first, by part; peak memory; what the kernel had to do."""
    clock = Clock(task.device)
    iteration = {"vidgan": vidgan_side, "textbook": textbook_side}[task.side](task, clock)
    samples: list[dict[str, float]] = []
    for step in range(task.iterations + 1):
        clock.seconds = {}
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        iteration(step)
        total, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
        kernel = {"faults": after.ru_minflt - before.ru_minflt, "kernel seconds": after.ru_stime - before.ru_stime}
        if step:
            samples.append({"total": total, **clock.seconds, **kernel})
    gigabytes = torch.cuda.max_memory_allocated() / 1e9 if task.device == "cuda" else after.ru_maxrss * 1024 / 1e9
    return {"samples": samples, "peak_gb": gigabytes}


if __name__ == "__main__":
    print(json.dumps(run(Task(**json.loads(sys.argv[1])))))
