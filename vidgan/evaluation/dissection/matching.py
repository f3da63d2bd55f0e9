"""Which unit matches which concept, beside the best match under two null hypotheses.

The threshold of each unit is chosen on one set of clips to maximise the information quality ratio, and scored on
another (Bau et al., ICLR 2019). Only positive associations count: a unit that is quiet on a concept does not match it.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from vidgan.errors import ConfigError
from vidgan.evaluation.dissection.observing import Inputs, Observation, Subject, observe
from vidgan.metrics.units import association, count_tables, tail_thresholds
from vidgan.metrics.values import Values
from vidgan.seeding import derive_seed

__all__ = ["RAREST", "Match", "Matches", "match_units", "random_model"]

RAREST: Final = 1e-3  # share of the pixels below which a concept is left out
INTERPRETABLE: Final = 0.01  # information quality ratio above which GAN dissection calls a unit interpretable


@dataclass(frozen=True)
class Match:
    """A unit and a concept; `iou` and `iqr` are of the evaluation clips."""

    concept: str
    layer: str
    unit: int
    threshold: float
    iou: float
    iqr: float
    selected_iqr: float  # on the clips on which the threshold was chosen


@dataclass(frozen=True)
class Matches:
    """All units of all layers against all concepts.

    Attributes:
        concepts: those that are frequent enough, with their share of the pixels.
        left_out: those that are not.
        tables: layer -> (units, concepts, 3): threshold, IoU, ratio on the evaluation clips, at the chosen threshold.
        selected: layer -> (units, concepts), the ratio on the selection clips.
        nulls: name -> concept -> best ratio and IoU of any unit under a null hypothesis.
    """

    concepts: dict[str, float]
    left_out: dict[str, float]
    tables: dict[str, Values]
    selected: dict[str, Values]
    nulls: dict[str, dict[str, tuple[float, float]]]

    def ranked(self, concept: str) -> list[Match]:
        """All units, those with the highest ratio on the *selection* clips first."""
        column = list(self.concepts).index(concept)
        matches = [
            Match(
                concept=concept,
                layer=layer,
                unit=unit,
                threshold=float(table[unit, column, 0]),
                iou=float(table[unit, column, 1]),
                iqr=float(table[unit, column, 2]),
                selected_iqr=float(self.selected[layer][unit, column]),
            )
            for layer, table in self.tables.items()
            for unit in range(len(table))
        ]
        return sorted(matches, key=lambda match: -match.selected_iqr)

    def above_nulls(self, concept: str) -> int:
        """Number of units whose ratio exceeds the best one of every null, and `INTERPRETABLE`."""
        column = list(self.concepts).index(concept)
        return int(sum((table[:, column, 2] > self.bar(concept)).sum() for table in self.tables.values()))

    def is_above_nulls(self, match: Match) -> bool:
        """Whether a unit's ratio on the evaluation clips exceeds the best one of every null, and `INTERPRETABLE`."""
        return match.iqr > self.bar(match.concept)

    def bar(self, concept: str) -> float:
        """The ratio that an interpretable unit exceeds."""
        return max([INTERPRETABLE, *(table[concept][0] for table in self.nulls.values())])


def match_units(
    subject: Subject, selection: tuple[Inputs, Observation], evaluation: tuple[Inputs, Observation]
) -> Matches:
    """Match units with concepts, and with the concepts of other clips, and match the units of an untrained generator.

    Args:
        subject: the model.
        selection: clips on which thresholds are chosen.
        evaluation: other clips, on which matches are scored.

    Raises:
        ConfigError: no concept is frequent enough.
    """
    chosen, scored = selection[1], evaluation[1]
    shares = {
        name: min(float(chosen.labels[name].float().mean()), float(scored.labels[name].float().mean()))
        for name in chosen.labels
    }
    kept = {name: share for name, share in shares.items() if RAREST <= share <= 1 - RAREST}
    if not kept:
        rarest = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
        raise ConfigError(
            f"no concept covers {RAREST:.1%} to {1 - RAREST:.1%} of the pixels ({rarest}): the clips show hardly"
            " anything; train longer, or give masks or rules for concepts that they show"
        )
    names = tuple(kept)
    (tables, selected), (moved, _) = _match(chosen, scored, names, rolled=(False, True))
    nulls = {"labels of other clips": _best(moved, names)}
    untrained = Subject(random_model(subject), subject.frames, subject.real, subject.seed)
    pair = [_with_maps_of(untrained, inputs, seen) for inputs, seen in (selection, evaluation)]
    ((drawn, _),) = _match(pair[0], pair[1], names)
    nulls["random weights"] = _best(drawn, names)
    return Matches(
        concepts=kept,
        left_out={name: share for name, share in shares.items() if name not in kept},
        tables=tables,
        selected=selected,
        nulls=nulls,
    )


def random_model(subject: Subject) -> Any:
    """The same networks with freshly drawn weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("dissect", subject.seed, "random weights"))
        model = type(subject.model).from_architecture(copy.deepcopy(subject.model.architecture))
    return model.eval()


def _with_maps_of(untrained: Subject, inputs: Inputs, seen: Observation) -> Observation:
    """The same clips and labels with the untrained generator's maps."""
    other = observe(untrained, inputs, {})
    return Observation(seen.clips, seen.times, other.maps, seen.labels)


def _match(
    selection: Observation, evaluation: Observation, concepts: tuple[str, ...], *, rolled: tuple[bool, ...] = (False,)
) -> list[tuple[dict[str, Values], dict[str, Values]]]:
    """`Matches.tables` and `.selected` for each entry of `rolled`: with labels of other clips, or with their own."""
    marks = [
        [seen.marks(concepts, rolled=len(seen.clips) // 2 if moved else 0) for seen in (selection, evaluation)]
        for moved in rolled
    ]
    results: list[tuple[dict[str, Values], dict[str, Values]]] = [({}, {}) for _ in rolled]
    for layer in selection.maps:
        values, others = selection.values(layer), evaluation.values(layer)
        thresholds = tail_thresholds(values)  # (U, K), the same for all labels
        for (chosen, scored), (tables, selected) in zip(marks, results, strict=True):
            found = association(count_tables(values, thresholds, chosen))
            ratio = np.where(found.is_positive, found.iqr, 0.0)  # (U, K, Q)
            best = ratio.argmax(axis=1)  # (U, Q)
            units, columns = np.indices(best.shape)
            again = association(count_tables(others, thresholds, scored))
            iqr = np.where(again.is_positive, again.iqr, 0.0)[units, best, columns]
            level = thresholds.double().numpy()[units, best]
            tables[layer] = np.stack([level, again.iou[units, best, columns], iqr], axis=-1)
            selected[layer] = ratio[units, best, columns]
    return results


def _best(tables: dict[str, Values], concepts: Sequence[str]) -> dict[str, tuple[float, float]]:
    whole = np.concatenate(list(tables.values()))  # (all units, Q, 3)
    return {
        name: (float(whole[:, column, 2].max()), float(whole[:, column, 1].max()))
        for column, name in enumerate(concepts)
    }
