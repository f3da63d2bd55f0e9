"""Sets of clips by a published protocol: distances of network features at equal n, and the Inception Score.

Clips are described a few at a time, so that thousands of them need no memory; what is compared are their features.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from vidgan.evaluation.results import Score, Scores, SynthesisScores
from vidgan.metrics.features import FeatureNet, distance_definitions, distance_names
from vidgan.metrics.frechet import frechet_between, kernel_distance
from vidgan.metrics.inception import inception_score
from vidgan.metrics.statistics import Estimate, over_seeds
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]
Describer: TypeAlias = Callable[[ByteClip], Array]

PROBABILITIES = "probabilities"  # the classifier's place among the describers
CHUNK_BYTES = 2**28


def describe_clips(clips: Iterable[ByteClip], describers: Mapping[str, Describer]) -> dict[str, Array]:
    """Features of many clips: (T, 3, H, W) uint8 one after another -> name -> (N, ...), N of them."""
    parts: dict[str, list[Array]] = {name: [] for name in describers}
    for chunk in _chunks(clips):
        for name, describe in describers.items():
            parts[name].append(describe(chunk))
    return {name: np.concatenate(found) for name, found in parts.items()}


def score_generation(
    fake: Mapping[str, Array],
    real: Mapping[str, Array],
    networks: Mapping[str, FeatureNet],
    *,
    splits: int = 1,
    frames: int,
    frame_size: tuple[int, int],
    protocol: str,
    fingerprint: str = "",
    seed: int = 0,
) -> SynthesisScores:
    """Distances between generated and real clips at equal numbers, the floor beside, and the Inception Score.

    The floor is the distance between two sets of real clips. Where there are not twice as many real ones, it is taken
    between their halves, and the generated clips are compared at that number too, for the floor depends on it.

    Args:
        fake, real: what `describe_clips` gave; M real rows, M >= N generated ones. The real ones in random order.
        networks: the describers that are feature networks; `PROBABILITIES` holds class probabilities.
        splits: of the Inception Score.
        frames, frame_size, protocol, fingerprint, seed: recorded in the result.

    Raises:
        ValueError: fewer than 4 generated clips, or fewer real than generated ones.
    """
    number, available = (len(next(iter(side.values()))) for side in (fake, real))
    if number < 4 or available < number:
        raise ValueError(f"{number} generated and {available} real clips: at least 4 and as many real ones are needed")
    doubled = available >= 2 * number
    half = number if doubled else number // 2
    scores: Scores = {"generated": {}, "real": {}}
    half_row = f"generated, n={half}"
    notes = _notes(number, networks, fake)
    if networks and not doubled:
        scores[half_row] = {}
        notes.append(
            f"only {available} real clips: the floor ('real') is between sets of {half}; compare it with '{half_row}'"
        )
    for name, network in networks.items():
        for measure, distance in zip(distance_names(name, network), (frechet_between, kernel_distance), strict=True):
            made, true = fake[name], real[name]

            def between(first: Array, second: Array, distance: Callable[[Array, Array], float] = distance) -> Score:
                return Score(Estimate(distance(_rows(first), _rows(second)), None, None), [])

            scores["generated"][measure] = between(made[:number], true[:number])
            if not doubled:
                scores[half_row][measure] = between(made[:half], true[:half])
            scores["real"][measure] = between(true[:half], true[half : 2 * half])
    definitions = {m: text for n, net in networks.items() for m, text in distance_definitions(n, net).items()}
    better = dict.fromkeys(definitions, "lower")
    if PROBABILITIES in fake:
        measure = "inception_score" if splits == 1 else f"inception_score_{splits}"
        for row, side in (("generated", fake), ("real", real)):
            value = inception_score(side[PROBABILITIES][:number], splits)
            spread = (value.score - value.deviation, value.score + value.deviation) if splits > 1 else (None, None)
            scores[row][measure] = Score(Estimate(value.score, *spread), [])
        definitions[measure] = (
            f"Inception Score of {number} clips, C3D, {splits} split{'s, ± deviation over them' if splits > 1 else ''}"
        )
        better[measure] = "higher"
    return SynthesisScores(
        protocol=protocol,
        definitions=definitions,
        better=better,
        fingerprint=fingerprint,
        frame_size=frame_size,
        seed=seed,
        notes=notes,
        clips=number,
        real_clips=available,
        generated_clips=number,
        frames=frames,
        splits=splits,
        resamples=0,
        scores=scores,
        seeds=[seed],
    )


def merge_seeds(results: Sequence[SynthesisScores]) -> SynthesisScores:
    """One result from those of several seeds: every number the mean over seeds, bounds its 95 % interval."""
    first = results[0]
    if len(results) == 1:
        return replace(first, seeds=[first.seed])

    def merged(name: str, measure: str) -> Score:
        means = [result.scores[name][measure].mean.mean for result in results]
        return Score(over_seeds([mean for mean in means if mean is not None]), [])

    scores = {name: {measure: merged(name, measure) for measure in table} for name, table in first.scores.items()}
    note = f"mean over {len(results)} evaluation seeds, 95 % interval of that mean by Student's t"
    return replace(first, scores=scores, seeds=[result.seed for result in results], notes=[*first.notes, note])


def _chunks(clips: Iterable[ByteClip]) -> Iterator[ByteClip]:
    """(T, 3, H, W) one by one -> (B, T, 3, H, W)."""
    held: list[ByteClip] = []
    for clip in clips:
        held.append(clip)
        if len(held) * clip.numel() >= CHUNK_BYTES:
            yield torch.stack(held)
            held = []
    if held:
        yield torch.stack(held)


def _rows(features: Array) -> Array:
    """(N, D), or (N, T, D) of a network of single frames -> one row a clip or frame."""
    return features.reshape(-1, features.shape[-1])


def _notes(number: int, networks: Mapping[str, FeatureNet], fake: Mapping[str, Array]) -> list[str]:
    widest = max((fake[name].shape[-1] for name in networks), default=0)
    if not networks or number >= 10 * widest:
        return []
    singular = ", fewer than features, so that the covariance is singular" if number < widest else ""
    return [
        f"n = {number} clips for {widest} features{singular}: sampling bias, about 1/n, is a large part of a Fréchet"
        " distance; compare at equal n only, beside the floor; the kernel distance is unbiased"
    ]
