"""How well clips fit their captions, from attributes that detectors read: no network takes part.

A clip's *slots* are the attributes that its caption names, such as colour and motion. `wanted` and `shown` hold one
mapping, slot -> value, per clip; the value is None where nothing of the kind is seen.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch

from vidgan.seeding import generator

__all__ = ["DEFINITIONS", "MISMATCHED", "r_precision", "slot_accuracy", "wilson_interval"]

Slots = Mapping[str, str | None]

MISMATCHED: Final = 99
"""Captions of another meaning that the right one competes with, as in AttnGAN (Xu et al. 2018)."""

DEFINITIONS: Final[dict[str, str]] = {
    "SLOT": "share of clips that show the attribute that the caption names",
    "all": "share of clips that show all attributes that the caption names",
    "r_precision": "share of clips whose caption agrees with more of the clip's attributes than the others; ties share",
}


_NORMAL: Final = 1.959964  # quantile of the standard normal distribution at 97.5 %


def wilson_interval(hits: int, number: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): `hits` of `number` > 0."""
    share, spread = hits / number, _NORMAL**2 / number
    middle = share + spread / 2
    half = (spread * (share * (1 - share) + spread / 4)) ** 0.5
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def slot_accuracy(wanted: Sequence[Slots], shown: Sequence[Slots]) -> dict[str, tuple[float, float, float]]:
    """Share of clips that show what they should, for each slot and for "all", with its 95 % Wilson interval."""
    slots = list(wanted[0])
    hits = {slot: [want[slot] == show[slot] for want, show in zip(wanted, shown, strict=True)] for slot in slots}
    hits["all"] = np.all([hits[slot] for slot in slots], axis=0).tolist()
    return {slot: (float(np.mean(hit)), *wilson_interval(sum(hit), len(hit))) for slot, hit in hits.items()}


def r_precision(
    wanted: Sequence[Slots], shown: Sequence[Slots], others: Sequence[Slots], *, seed: int = 0
) -> tuple[float, float]:
    """Share of clips whose own caption ranks first among captions of other meanings, and the share by chance.

    A caption's score is the number of its attributes that the clip shows. Where n captions share the best score with
    the right one, the clip counts as 1 / (n + 1), the chance of a random choice among them.

    Args:
        wanted: of each clip's caption.
        shown: of each clip.
        others: different meanings that mismatched captions are drawn from.
        seed: of the draws: `MISMATCHED` others per clip, or all if there are fewer.
    """
    credits = []
    number = 0
    for place, (want, show) in enumerate(zip(wanted, shown, strict=True)):
        pool = [other for other in others if dict(other) != dict(want)]
        order = torch.randperm(len(pool), generator=generator(seed, "r precision", place))[:MISMATCHED].tolist()
        number = len(order)
        right = _agreement(want, show)
        scores = [_agreement(pool[i], show) for i in order]
        credits.append(0.0 if max(scores) > right else 1 / (1 + scores.count(right)))
    return float(np.mean(credits)), 1 / (1 + number)


def _agreement(caption: Slots, show: Slots) -> int:
    return sum(show.get(slot) == value for slot, value in caption.items())
