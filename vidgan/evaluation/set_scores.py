"""Scoring a set of generated clips, between the floor of held-out real clips and the damage of the controls."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.evaluation.statistics import MIN_RESAMPLES, Estimate, SourceBootstrap
from vidgan.evaluation.synthesis import (
    BACKGROUND,
    CONTROLS,
    DEFINITIONS,
    FEATURES,
    Description,
    check_clips,
    describe,
    frechet_inhouse,
    histogram_distance,
    nearest_distance,
    pairwise_diversity,
)
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip

Rows: TypeAlias = npt.NDArray[np.intp]

# Below this many clips a feature, sampling bias is a large part of a Fréchet distance.
CLIPS_PER_FEATURE = 10


def score_synthesis(
    real: ByteClip,
    generated: ByteClip,
    *,
    sources: Sequence[str] | None = None,
    training: ByteClip | None = None,
    background: int | None = BACKGROUND,
    splits: int = 5,
    protocol: str = "synthesis-inhouse",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> SynthesisScores:
    """Measure generated clips against real ones, at equal numbers, with floor and controls.

    The real clips are halved at random, no source in both halves where the sources allow it (a note says if not). The
    first half is the reference. Compared with it are as many generated clips ("generated"), the other half ("real": the
    floor, the best score that a perfect model could expect) and damaged copies of that half ("frozen", "shuffled",
    "reversed", "blurred"). Give twice as many real as generated clips to use all of them. A measure tells something
    only where "generated" lies between "real" and the control that it should see.

    Args:
        real: (N, T, 3, H, W) uint8, N >= 4, T >= 3.
        generated: (M, T, 3, H, W) uint8, M >= 2, the same T, H, W and the same frame rate.
        sources: the video that each real clip was cut from; default: each is its own.
        training: (.., T, 3, H, W) uint8, the clips the model saw, if ``real`` is held out: "nearest_clip" is then taken
            to these, and a copied training clip shows as 0.
        background: level up to which a pixel is background for the content distance; None: no background.
        splits: how many random halvings; the set measures give mean, smallest and largest over them.
        protocol, fingerprint: recorded in the result.
        resamples, seed: of the bootstrap; the seed also draws the halvings.

    Raises:
        ValueError: clips of other shapes, too few clips, or no split.
    """
    _check(real, generated, training, sources, splits)
    own = [str(row) for row in range(len(real))]
    names = own if sources is None else [str(name) for name in sources]
    # Two sources of 100 and 2 clips would leave sets of 2: sharing sources is the lesser evil then.
    separable = min(map(len, _halves(names, np.random.default_rng(0)))) >= max(2, len(real) // 4)
    groups = names if separable else own
    truth, made = describe(real, background), describe(generated, background)
    controls = {name: describe(damage(real), background) for name, damage in CONTROLS.items()}
    known = None if training is None else describe(training, background).pooled
    spread = truth.features.std(axis=0)
    measured: dict[str, dict[str, list[float]]] = {}
    smallest = len(made)
    for split in range(splits):
        random = np.random.default_rng(derive_seed("synthesis split", seed, split))
        first, second = _halves(groups, random)
        number = min(len(first), len(second), len(made))
        smallest = min(smallest, number)
        reference, other = truth[first[:number]], second[:number]
        compare = partial(_compare, reference=reference, known=known, spread=spread)
        rows = {"generated": made[random.permutation(len(made))[:number]], "real": truth[other]}
        rows |= {name: description[other] for name, description in controls.items()}
        for name, row in rows.items():
            for measure, value in compare(row).items():
                measured.setdefault(name, {}).setdefault(measure, []).append(value)
    scores = {
        name: {measure: Score(_over_splits(values), []) for measure, values in table.items()}
        for name, table in measured.items()
    }
    for name, description in {"generated": made, "real": truth, **controls}.items():
        units = [str(row) for row in range(len(made))] if name == "generated" else names
        estimate = SourceBootstrap(units, resamples=resamples, seed=seed).mean
        scores[name] = {**_per_clip(description, estimate), **scores[name]}
    return SynthesisScores(
        protocol=protocol,
        definitions=DEFINITIONS,
        better={"motion_histogram": "lower", "frechet_inhouse": "lower"},
        fingerprint=fingerprint,
        frame_size=(real.shape[-2], real.shape[-1]),
        seed=seed,
        notes=_notes(smallest, separable=separable, held_out=training is not None),
        clips=smallest,
        real_clips=len(real),
        generated_clips=len(generated),
        frames=real.shape[1],
        splits=splits,
        resamples=resamples,
        scores=scores,
    )


def _compare(
    row: Description, *, reference: Description, known: npt.NDArray[np.float64] | None, spread: npt.NDArray[np.float64]
) -> dict[str, float]:
    nearest = nearest_distance(row.pooled, reference.pooled if known is None else known)
    return {
        "motion_histogram": histogram_distance(row.histogram.mean(axis=0), reference.histogram.mean(axis=0)),
        "diversity": pairwise_diversity(row.pooled),
        "nearest_clip": float(nearest.mean()),
        "frechet_inhouse": frechet_inhouse(row.features, reference.features, spread),
    }


def _per_clip(
    description: Description, estimate: Callable[[npt.NDArray[np.float64]], tuple[Estimate, list[Estimate]]]
) -> dict[str, Score]:
    columns = {"motion_energy": description.motion_energy, "content_distance": description.content_distance}
    return {measure: Score(estimate(values[:, None])[0], []) for measure, values in columns.items()}


def _over_splits(values: list[float]) -> Estimate:
    return Estimate(float(np.mean(values)), min(values), max(values))


def _halves(names: Sequence[str], random: np.random.Generator) -> tuple[Rows, Rows]:
    """Row numbers of two halves without a common source, as equal as the sources allow, each in random order."""
    unique, group = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    sizes = np.bincount(group)
    side = np.zeros(len(unique), dtype=int)
    filled = [0, 0]
    # Largest sources first, each to the emptier half; equal sizes come in random order.
    for source in sorted(random.permutation(len(unique)), key=lambda index: -sizes[index]):
        side[source] = int(filled[1] < filled[0])
        filled[side[source]] += sizes[source]
    order = random.permutation(len(names))
    return order[side[group[order]] == 0], order[side[group[order]] == 1]


def _check(
    real: ByteClip, generated: ByteClip, training: ByteClip | None, sources: Sequence[str] | None, splits: int
) -> None:
    for name, clips in (("generated", generated), ("training", training)):
        if clips is not None:
            check_clips(clips)
            if clips.shape[1:] != real.shape[1:]:
                raise ValueError(
                    f"real and {name} clips must have one length and size, "
                    f"got {tuple(real.shape[1:])} and {tuple(clips.shape[1:])} (T, C, H, W)"
                )
    if sources is not None and len(sources) != len(real):
        raise ValueError(f"every real clip needs its source: {len(real)} clips, {len(sources)} sources")
    if len(real) < 4 or len(generated) < 2:
        raise ValueError(f"at least 4 real and 2 generated clips are needed, got {len(real)} and {len(generated)}")
    if splits < 1:
        raise ValueError(f"at least one split is needed, got {splits}")


def _notes(number: int, *, separable: bool, held_out: bool) -> list[str]:
    notes = []
    if not separable:
        notes.append(
            "the real clips come from too few source videos to halve without a common one: the row 'real' compares "
            "clips of the same videos, so that floor is too low"
        )
    if number < CLIPS_PER_FEATURE * FEATURES:
        notes.append(
            f"{number} clips a set: sampling bias is a large part of frechet_inhouse below "
            f"{CLIPS_PER_FEATURE * FEATURES}; compare with the row 'real' and with results of the same number only"
        )
    if not held_out:
        notes.append("nearest_clip is taken to half of the real clips, not to all training clips")
    return notes
