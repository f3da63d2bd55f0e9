"""Cost of an iteration of a recipe: counted operations, and seconds measured in alternation."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from benching import format_spread, ratios, spread, table

from vidgan.build import build_algorithm, build_networks
from vidgan.config import find_config, load_config
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.cost import turn_costs
from vidgan.types import ClipBatch

# Frame size, frames, clips per batch, our recipe, and changes with which the published one accepts that few frames.
CASES: tuple[tuple[tuple[int, int], int, int, str, tuple[str, ...]], ...] = (
    ((64, 64), 16, 32, "mocogan/vidgan", ()),
    ((64, 64), 16, 32, "mocogan/shapes", ()),
    ((32, 32), 12, 16, "mocogan/demo", ("discriminators.video.max_receptive_frames=10",)),
)
CATEGORIES = 3


class Recipe:
    """A shipped config's training step on random clips."""

    def __init__(self, name: str, size: tuple[int, int], frames: int, precision: str, changes: tuple[str, ...]) -> None:
        changes = ("data.root=unused", f"data.frames={frames}", f"train.precision={precision}", *changes)
        config = load_config(find_config(name), [*changes, "train.channels_last=true"])
        data: Any = SimpleNamespace(size=size, num_categories=CATEGORIES, captions=None)
        self.algorithm = build_algorithm(config, build_networks(config, data), build_accelerator("cpu"))
        self.shape = (frames, 3, *size)
        self.every = config.objective.penalty.every if config.objective.penalty is not None else 1

    def micros(self, clips: int) -> Any:
        """One micro-batch."""
        batch = ClipBatch(
            clip=torch.randint(256, (clips, *self.shape), dtype=torch.uint8),
            category=torch.arange(clips) % CATEGORIES,
            flow=torch.zeros(clips, 0),
            item=torch.arange(clips),
        )
        return [(batch, Draws(0, "work", rows=range(clips)))]

    def gflop(self) -> dict[str, float]:
        """GFLOP of one clip by turn; a lazy penalty is averaged over its steps."""
        plain, due = (
            {turn: cost.flops / 2e9 for turn, cost in turn_costs(self.algorithm, step, self.micros(2)).items()}
            for step in (0, self.every - 1)
        )
        return {turn: (due[turn] + (self.every - 1) * plain[turn]) / self.every for turn in plain}

    def step(self, clips: int) -> Callable[[int], float]:
        """A function from the step's number to the seconds that it took."""
        micros = self.micros(clips)

        def timed(number: int) -> float:
            start = time.perf_counter()
            self.algorithm.step(number, micros)
            return time.perf_counter() - start

        return timed

    def mean_seconds(self, plain: float, due: float) -> float:
        """Mean seconds of a step, from those of one without and of one with a lazy penalty."""
        return (due + (self.every - 1) * plain) / self.every


def recipes_report(rounds: int = 3, *, timed: bool = True) -> dict[str, Any]:
    """Print and return the cost of each recipe and of the published one at the same size, frames and batch."""
    precision = "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"  # what `auto` chooses with matrix units
    report: dict[str, Any] = {"precision": precision, "recipes": {}}
    lines = []
    for size, frames, clips, name, changes in CASES:
        pair = {
            "ours": Recipe(name, size, frames, precision, ()),
            "paper": Recipe("mocogan/paper", size, frames, precision, changes),
        }
        work = {side: recipe.gflop() for side, recipe in pair.items()}
        less = sum(work["paper"].values()) / sum(work["ours"].values())
        result: dict[str, Any] = {
            "size": size,
            "frames": frames,
            "batch": clips,
            "gflop_a_clip": work,
            "less_work": less,
        }
        if timed:
            steps = {side: recipe.step(clips) for side, recipe in pair.items()}
            seconds: dict[str, list[float]] = {side: [] for side in pair}
            for step in steps.values():
                step(0)
            for _ in range(rounds):
                for side, recipe in pair.items():
                    plain = steps[side](0)
                    due = steps[side](recipe.every - 1) if recipe.every > 1 else plain
                    seconds[side].append(recipe.mean_seconds(plain, due))
            result |= {"seconds": {side: spread(samples) for side, samples in seconds.items()}}
            result |= {"faster": ratios(seconds["paper"], seconds["ours"])}
        report["recipes"][name] = result
        lines.append([
            name, "x".join(map(str, (frames, *size))), clips,
            *(f"{sum(work[side].values()):.1f}" for side in ("paper", "ours")), f"{less:.2f}",
            *(format_spread(result["seconds"][side]) if timed else "" for side in ("paper", "ours")),
            format_spread(result["faster"]) if timed else "",
        ])  # fmt: skip
    head = [
        "recipe",
        "clip",
        "batch",
        "GFLOP a clip: paper",
        "ours",
        "times less",
        "s a step: paper",
        "ours",
        "times faster",
    ]
    print(table(head, lines))
    return report
