"""What units cause: clips without them, and with them switched on at one place, measured at that place.

The official code of GAN dissection inserts units at one place and reads the effect at another. Here both are the same
place, and the change elsewhere is reported beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.evaluation.dissection.matching import Matches
from vidgan.evaluation.dissection.observing import Inputs, Observation, Subject
from vidgan.metrics.statistics import Estimate
from vidgan.seeding import Draws, derive_seed
from vidgan.tasks.synthesis.units import Intervention, intervening

__all__ = ["Effect", "insertion_places", "measure_effect", "random_units"]

UNITS: Final = 5  # changed at once
PATCH: Final = 4  # the place of an insertion has this share of each side: 1 / PATCH


@dataclass(frozen=True)
class Effect:
    """Effects of the best units of a concept, beside random other units of the same layer.

    Shares are of the pixels that show the concept, 0 to 1. `random_*` are mean, lowest and highest over sets of random
    units.

    Attributes:
        others: the first set of random units.
        levels: the activations that were inserted.
        before, ablated: share in all clips, as they are and without the units.
        inserted, removed: share *at the place*, with the units on there and off there; their difference is the causal
            effect.
        elsewhere: change of the share outside the place, units on minus units off.
    """

    concept: str
    layer: str
    units: tuple[int, ...]
    others: tuple[int, ...]
    levels: tuple[float, ...]
    before: float
    ablated: float
    random_ablated: Estimate
    inserted: float
    removed: float
    random_effect: Estimate
    elsewhere: float

    @property
    def effect(self) -> float:
        """Average causal effect at the place of insertion."""
        return self.inserted - self.removed


def measure_effect(
    subject: Subject, inputs: Inputs, chosen: Observation, matches: Matches, concept: str, *, random_sets: int
) -> Effect:
    """Ablate and insert the best units of a concept, all of the layer that holds the best one.

    Args:
        inputs: of the clips that are changed; other ones than those on which units were chosen.
        chosen: the clips on which units were chosen; inserted values are the units' means where they show the concept.
        random_sets: sets of as many other units of the layer.
    """
    ranked = matches.ranked(concept)
    layer = ranked[0].layer
    same = [match.unit for match in ranked if match.layer == layer]
    best = tuple(same[: min(UNITS, max(1, len(same) // 2))])
    sets = [best, *random_units(same[len(best) :], len(best), random_sets, key=f"{subject.seed} {concept}")]
    mark = chosen.marks((concept,))[:, 0]
    values = chosen.values(layer)
    present = (values[:, mark] if bool(mark.any()) else values).mean(dim=1)
    grid = chosen.maps[layer].shape[-2:]
    places = insertion_places(len(inputs), grid, subject.seed)
    there = _in_pixels(places, subject.model.image_size)

    def label(*changes: Intervention) -> Tensor:
        """(B, T, H, W) bool: the concept in clips under interventions, whose places belong to the rows of `inputs`."""
        with intervening(subject.model, changes):
            clips = subject.render(inputs, batch_size=len(inputs))
            return subject.label(inputs, clips, (concept,))[concept]

    before, ablations, effects = _share(label()), [], []
    for number, units in enumerate(sets):
        ablations.append(_share(label(Intervention(layer, units))))
        level = [float(present[unit]) for unit in units]
        on, off = label(Intervention(layer, units, level, places)), label(Intervention(layer, units, None, places))
        effects.append(_share(on, there) - _share(off, there))
        if number == 0:
            inserted, removed = _share(on, there), _share(off, there)
            elsewhere = _share(on, ~there) - _share(off, ~there)
    return Effect(
        concept=concept,
        layer=layer,
        units=best,
        others=sets[1],
        levels=tuple(float(present[unit]) for unit in best),
        before=before,
        ablated=ablations[0],
        random_ablated=_range(ablations[1:]),
        inserted=inserted,
        removed=removed,
        random_effect=_range(effects[1:]),
        elsewhere=elsewhere,
    )


def random_units(pool: Sequence[int], number: int, sets: int, key: str) -> list[tuple[int, ...]]:
    """Sets of different random units of a pool."""
    random = np.random.default_rng(derive_seed("random units", key))
    return [tuple(int(unit) for unit in random.choice(pool, number, replace=False)) for _ in range(sets)]


def insertion_places(clips: int, grid: tuple[int, ...], seed: int) -> Tensor:
    """One rectangle of a quarter of each side (at least one cell) per clip at random: (B, h, w) bool."""
    height, width = grid
    tall, wide = max(1, height // PATCH), max(1, width // PATCH)
    draws = Draws(seed, "insertion", rows=range(clips))
    top, left = draws.integers(height - tall + 1), draws.integers(width - wide + 1)  # (B,) each
    rows = torch.arange(height)[None, :] - top[:, None]  # (B, h)
    columns = torch.arange(width)[None, :] - left[:, None]
    return ((rows >= 0) & (rows < tall))[:, :, None] & ((columns >= 0) & (columns < wide))[:, None, :]


def _in_pixels(places: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(places[:, None].float(), size=size, mode="nearest")[:, 0] > 0.5  # (B, H, W)


def _share(label: Tensor, where: Tensor | None = None) -> float:
    """Share of the pixels with the label, of those in `where` (B, H, W) if given."""
    inside = label if where is None else label[where[:, None].expand_as(label)]
    return float(inside.float().mean())


def _range(values: Sequence[float]) -> Estimate:
    return Estimate(float(np.mean(values)), min(values), max(values))
