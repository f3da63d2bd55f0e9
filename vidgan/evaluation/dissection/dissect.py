"""A whole dissection: factors, matches, effects, artefacts, and for layered models the masks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.evaluation.dissection.artefacts import Artefacts, find_artefacts
from vidgan.evaluation.dissection.concepts import DEFINITIONS
from vidgan.evaluation.dissection.effects import Effect, measure_effect
from vidgan.evaluation.dissection.factors import split_factors
from vidgan.evaluation.dissection.matching import Matches, match_units
from vidgan.evaluation.dissection.observing import MASK, Inputs, Observation, Subject, observe
from vidgan.evaluation.dissection.segmenting import Segmentation, score_masks
from vidgan.metrics.units import Split
from vidgan.metrics.values import Values

__all__ = ["FEWEST_MASKS", "Dissection", "GivenMasks", "dissect_model"]

CONTENTS, MOTIONS = 8, 8  # of the two-way split
EFFECT_CLIPS, EFFECT_SETS = 8, 5  # clips that units are changed in, most sets of random units beside each concept
FEWEST_MASKS: Final = 4  # clips with a given mask: half of them choose thresholds, the others score
SHOWN: Final = 5  # best units of a concept in the result

GivenMasks = Mapping[str, Mapping[int, Tensor]]
"""Concept -> number of a clip of `vidgan generate RUN --seed SEED` -> (T, H, W) bool."""


@dataclass(frozen=True)
class Dissection:
    """The result.

    Attributes:
        layers: name -> number of units, from input to output.
        places: layer -> split of the maps, each place a variable of its own.
        means: layer -> split of the maps' means over space.
        matches: of the built-in concepts and the user's rules.
        given: of given masks; None without.
        effects: of each concept whose best unit is above all nulls.
        artefacts: removal of units that are active in broken clips.
        masks: of a layered model.
        evaluation, given_evaluation: the clips that scored matches; not saved.
        effect_inputs: codes of the clips that effects were measured on; not saved.
        settings: model, data, seeds and numbers of clips.
    """

    layers: dict[str, int]
    places: dict[str, Split]
    means: dict[str, Split]
    matches: Matches
    given: Matches | None
    effects: list[Effect]
    artefacts: Artefacts
    masks: list[Segmentation]
    evaluation: Observation
    given_evaluation: Observation | None
    effect_inputs: Inputs
    settings: dict[str, Any] = field(default_factory=dict)

    def layer_shares(self) -> dict[str, list[float]]:
        """Mean over the units of each layer of the shares of content, motion and interaction."""
        return {layer: _mean_shares(split) for layer, split in self.places.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything but clips and maps; shares per unit in the order of the units."""
        shares = {
            name: {layer: np.round(split.shares(), 5).tolist() for layer, split in table.items()}
            for name, table in (("places", self.places), ("means", self.means))
        }
        return {
            "kind": "dissection",
            "settings": self.settings,
            "layers": self.layers,
            "split": {
                "columns": ["content", "motion", "interaction"],
                "by_layer": {layer: np.round(row, 5).tolist() for layer, row in self.layer_shares().items()},
                "by_unit": shares,
            },
            "concepts": _matches_json(self.matches) | ({} if self.given is None else _matches_json(self.given)),
            "left_out": self.matches.left_out | ({} if self.given is None else self.given.left_out),
            "definitions": DEFINITIONS,
            "effects": [asdict(effect) | {"effect": effect.effect} for effect in self.effects],
            "artefacts": asdict(self.artefacts),
            "masks": [asdict(entry) for entry in self.masks],
        }


def dissect_model(subject: Subject, *, clips: int, random_sets: int, given: GivenMasks | None = None) -> Dissection:
    """Dissect a model.

    Args:
        subject: the model, its clip length, real clips and rules.
        clips: of each set: those that choose thresholds, those that score, those of the set distance.
        random_sets: sets of random units beside the artefact units, and at most `EFFECT_SETS` beside each concept's.
        given: masks of clips that `vidgan generate` wrote with the same seed.

    Raises:
        ConfigError: given masks that do not fit, or no concept that is frequent enough.
    """
    numbers = _masked_clips(given) if given else []
    places, means = split_factors(subject, CONTENTS, MOTIONS)
    chosen_inputs, scored_inputs = subject.draw(clips, "selection"), subject.draw(clips, "evaluation")
    chosen, scored = observe(subject, chosen_inputs), observe(subject, scored_inputs)
    matches = match_units(subject, (chosen_inputs, chosen), (scored_inputs, scored))
    given_matches, given_scored = _match_given(subject, given, numbers) if given else (None, None)
    effect_inputs = scored_inputs.rows(slice(0, min(clips, EFFECT_CLIPS)))
    effects = [
        measure_effect(subject, effect_inputs, chosen, matches, concept, random_sets=min(random_sets, EFFECT_SETS))
        for concept in matches.concepts
        if matches.is_above_nulls(matches.ranked(concept)[0])
    ]
    return Dissection(
        layers={layer: len(split.total) for layer, split in places.items()},
        places=places,
        means=means,
        matches=matches,
        given=given_matches,
        effects=effects,
        artefacts=find_artefacts(subject, clips, random_sets),
        masks=_score_layers(subject, scored_inputs) if subject.model.is_layered else [],
        evaluation=scored,
        given_evaluation=given_scored,
        effect_inputs=effect_inputs,
    )


def _masked_clips(given: GivenMasks) -> list[int]:
    """Numbers of the clips that all concepts have masks of."""
    numbers = sorted(set.intersection(*(set(masks) for masks in given.values())))
    if len(numbers) < FEWEST_MASKS:
        raise ConfigError(
            f"--masks: {len(numbers)} clips have a mask of every concept ({', '.join(given)}); at least {FEWEST_MASKS}"
            " are needed, because half of them choose thresholds"
        )
    return numbers


def _match_given(subject: Subject, given: GivenMasks, numbers: list[int]) -> tuple[Matches, Observation]:
    """Match units with given masks of the clips of these numbers."""
    latents = subject.model.latents(max(numbers) + 1, subject.frames, seed=subject.seed)
    inputs = subject.continuing(latents)
    halves = numbers[::2], numbers[1::2]
    seen = []
    for rows in halves:
        labels = {name: torch.stack([masks[row] for row in rows]) for name, masks in given.items()}
        seen.append((inputs.rows(list(rows)), observe(subject, inputs.rows(list(rows)), labels)))
    return match_units(subject, seen[0], seen[1]), seen[1][1]


def _score_layers(subject: Subject, inputs: Inputs) -> list[Segmentation]:
    clips = subject.render(inputs)
    mask = subject.label(inputs, clips, (MASK,))[MASK]
    scores = [score_masks(clips, mask)]
    for name, rule in subject.rules.items():
        scores.append(score_masks(clips, mask, rule(clips), name))
    return scores


def _mean_shares(split: Split) -> list[float]:
    shares: Values = split.shares()[split.total > 0]
    return [float(share) for share in shares.mean(axis=0)] if len(shares) else [0.0, 0.0, 0.0]


def _matches_json(matches: Matches) -> dict[str, Any]:
    return {
        concept: {
            "share": share,
            "units": [asdict(match) for match in matches.ranked(concept)[:SHOWN]],
            "units_above_nulls": matches.above_nulls(concept),
            "nulls": {
                name: {"iqr": table[concept][0], "iou": table[concept][1]} for name, table in matches.nulls.items()
            },
        }
        for concept, share in matches.concepts.items()
    }
