"""Units that are active in broken clips: what their removal does to the set distance, beside random units.

No network says which clips are broken. Here they are the generated clips that are furthest from every real clip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from einops import reduce
from torch import Tensor

from vidgan.evaluation.dissection.effects import random_units
from vidgan.evaluation.dissection.observing import BATCH, Inputs, Subject
from vidgan.metrics.clip_statistics import describe, frechet_inhouse, nearest_distance
from vidgan.metrics.statistics import Estimate
from vidgan.metrics.values import Values
from vidgan.seeding import derive_seed
from vidgan.tasks.synthesis.units import Intervention, intervening, recording, unit_layers
from vidgan.types import ByteClip

__all__ = ["Artefacts", "find_artefacts"]

BROKEN: Final = 0.2  # share of the clips, those furthest from real ones
UNITS: Final = 20  # removed, at most a tenth of all


@dataclass(frozen=True)
class Artefacts:
    """Set distances of clips of fresh codes, without units that are active in broken clips.

    Attributes:
        units: layer -> removed units.
        before: set distance of the model as it is.
        without: set distance without the units.
        without_random: mean, lowest and highest over random sets with as many units in each layer.
        better_than: share of the random sets whose removal gives a larger distance.
        floor: set distance between two halves of the real clips.
    """

    units: dict[str, list[int]]
    before: float
    without: float
    without_random: Estimate
    better_than: float
    floor: float


def find_artefacts(subject: Subject, clips: int, random_sets: int) -> Artefacts:
    """Rank units by how much more active they are in broken clips, remove the first, score fresh clips.

    Args:
        clips: of the ranking, and of each scored set.
        random_sets: sets of random units for comparison.
    """
    inputs = subject.draw(clips, "artefacts")
    made, activity = _activity(subject, inputs)
    known = describe(subject.real)
    distance = nearest_distance(describe(made).pooled, known.pooled)  # (B,)
    broken = distance >= np.quantile(distance, 1 - BROKEN)
    units = _most_active(activity, broken)
    real = known.features
    order = np.random.default_rng(derive_seed("dissect halves", subject.seed)).permutation(len(real))
    reference, other = real[order[: len(real) // 2]], real[order[len(real) // 2 :]]
    spread = real.std(axis=0)
    fresh = subject.draw(clips, "artefact scores")

    def score(removed: Mapping[str, list[int]]) -> float:
        with intervening(subject.model, [Intervention(layer, chosen) for layer, chosen in removed.items()]):
            return frechet_inhouse(describe(subject.render(fresh)).features, reference, spread)

    without = score(units)
    controls = []
    for number in range(random_sets):
        key = f"{subject.seed} artefacts {number}"
        drawn = {
            layer: list(random_units(range(activity[layer].shape[1]), len(chosen), 1, key=f"{key} {layer}")[0])
            for layer, chosen in units.items()
        }
        controls.append(score(drawn))
    return Artefacts(
        units=units,
        before=score({}),
        without=without,
        without_random=Estimate(float(np.mean(controls)), min(controls), max(controls)),
        better_than=float(np.mean(np.asarray(controls) > without)),
        floor=frechet_inhouse(other, reference, spread),
    )


def _activity(subject: Subject, inputs: Inputs) -> tuple[ByteClip, dict[str, Values]]:
    """Clips, and the mean absolute activity of each unit in each: layer -> (B, C)."""
    clips: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {layer: [] for layer in unit_layers(subject.model)}
    for start in range(0, len(inputs), BATCH):
        batch = inputs.rows(slice(start, start + BATCH))
        with recording(subject.model) as maps:
            clips.append(subject.render(batch))
        for layer, output in maps.items():
            if output.dim() == 4:
                parts[layer].append(reduce(output.abs().double(), "(b t) c h w -> b c", "mean", b=len(batch)))
    return torch.cat(clips), {layer: torch.cat(part).numpy() for layer, part in parts.items() if part}


def _most_active(activity: Mapping[str, Values], broken: npt.NDArray[np.bool_]) -> dict[str, list[int]]:
    """The units whose mean activity in broken clips exceeds that in other clips by the most standard deviations."""
    ranked = []
    for layer, values in activity.items():
        spread = values.std(axis=0)
        excess = values[broken].mean(axis=0) - values[~broken].mean(axis=0)
        scores = np.divide(excess, spread, out=np.zeros_like(excess), where=spread > 0)
        ranked += [(float(score), layer, unit) for unit, score in enumerate(scores)]
    ranked.sort(key=lambda entry: -entry[0])
    chosen: dict[str, list[int]] = {}
    for _, layer, unit in ranked[: max(1, min(UNITS, len(ranked) // 10))]:
        chosen.setdefault(layer, []).append(unit)
    return chosen
