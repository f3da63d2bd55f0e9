"""Score sets of clips by a published protocol: distances of network features at equal n, and the Inception Score.

Only features are kept, a few clips at a time, so that memory does not limit the number of clips.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from vidgan.errors import ConfigError, DataError, WeightsError
from vidgan.evaluation.clip_streams import Fingerprint
from vidgan.evaluation.networks import set_networks
from vidgan.evaluation.protocols import GenerationProtocol
from vidgan.evaluation.protocols.fitting import mark_deviations
from vidgan.evaluation.results import Score, Scores, SynthesisScores
from vidgan.evaluation.settings import ClipSettings, SetSettings
from vidgan.metrics import fvd, inception
from vidgan.metrics.features import FeatureNet, distance_definitions, distance_names, feature_distances
from vidgan.metrics.inception import inception_score
from vidgan.metrics.statistics import Estimate, over_seeds
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]
Features: TypeAlias = Callable[[ByteClip], Array]
ClipStream: TypeAlias = Callable[[], Iterator[ByteClip]]  # each call starts again

PROBABILITIES = "probabilities"  # name of the classifier among the feature functions
CHUNK_BYTES = 2**28
_HOW_TO_GET = {"i3d": fvd.HOW, "c3d": inception.HOW, "c3d-mean": inception.HOW}
_BIAS = {
    "fvd": "a Fréchet distance grows about as 1/n, so {count} clips would give a far higher value",
    "inception_score": "an Inception Score falls if there are too few clips to show all classes",
}


def score_by_protocol(
    generated: ClipStream,
    real: ClipStream,
    protocol: GenerationProtocol,
    settings: ClipSettings | SetSettings,
    seed: int,
    *,
    counts: tuple[int | None, int],
) -> SynthesisScores:
    """Score one evaluation seed of a protocol.

    Args:
        generated, real: streams of clips (T, 3, H, W) uint8; the real ones in random order.
        counts: number of generated clips (None: unlimited) and of real clips.

    Raises:
        ConfigError: another number of clips than the protocol's, and deviations are not allowed.
        DataError: too few clips, or clips of different sizes.
    """
    number = settings.clips or protocol.clips
    if number != protocol.clips:
        deviations = [f"{number} clips, not {protocol.clips}"]
        protocol = mark_deviations(protocol, deviations, allow_deviation=settings.allow_deviation)
    for side, count in zip(("generated", "real"), counts, strict=True):
        if count is not None and count < number:
            bias = _BIAS[protocol.measures[0]].format(count=count)
            raise DataError(
                f"--protocol {protocol.name} compares {number} clips of {protocol.frames} frames, there are {count}"
                f" {side} ones; {bias}. To compare fewer clips: --clips {count} --allow-deviation"
            )
    networks = _load_networks(protocol, settings)
    fingerprint = Fingerprint()
    fake_features = extract_features(_checked(islice(generated(), number), protocol), networks)
    real_features = extract_features(fingerprint.add(_checked(islice(real(), 2 * number), protocol)), networks)
    height, width = next(real()).shape[-2:]
    scores = score_features(
        fake_features,
        real_features,
        {name: net for name, net in networks.items() if name != PROBABILITIES},
        splits=protocol.splits,
        frames=protocol.frames,
        frame_size=(height, width),
        protocol=protocol.name,
        fingerprint=fingerprint.hexdigest(),
        seed=seed,
    )
    notes = [*scores.notes, f"the protocol: {protocol.data}", *protocol.notes]
    return replace(scores, notes=notes, provenance=weight_hashes(networks))


def require_weights(protocol: GenerationProtocol, weights: Mapping[str, Path]) -> None:
    """Raise WeightsError, with how to get them, if weights of the protocol are missing."""
    missing = [name for name in protocol.needs if name not in weights]
    if missing:
        options = " ".join(f"--weights {name}=PATH" for name in missing)
        raise WeightsError(f"--protocol {protocol.name} needs {options}; {_HOW_TO_GET[missing[0]]}")


def weight_hashes(networks: Mapping[str, FeatureNet]) -> dict[str, dict[str, str]]:
    """The entry of a result that identifies the weights of its networks."""
    return {"metric_weights": {name: digest for net in networks.values() for name, digest in net.weights.items()}}


def extract_features(clips: Iterable[ByteClip], networks: Mapping[str, Features]) -> dict[str, Array]:
    """Features of N clips (T, 3, H, W) uint8: name -> (N, ...)."""
    parts: dict[str, list[Array]] = {name: [] for name in networks}
    for chunk in _chunks(clips):
        for name, extract in networks.items():
            parts[name].append(extract(chunk))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def score_features(
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
    """Distances between generated and real clips at equal numbers, their floor, and the Inception Score.

    The floor is the distance between two sets of real clips. With fewer than twice as many real as generated clips, it
    is the distance between halves of the real ones. The generated clips are then also compared at that number, because
    the floor depends on it.

    Args:
        fake, real: results of `extract_features`, M real rows and N <= M generated ones. Real rows in random order.
            `PROBABILITIES` holds class probabilities.
        networks: the feature networks.
        splits: of the Inception Score.
        frames, frame_size, protocol, fingerprint, seed: recorded in the result.

    Raises:
        ValueError: fewer than 4 generated clips, or fewer real than generated ones.
    """
    number, available = (len(next(iter(side.values()))) for side in (fake, real))
    if number < 4 or available < number:
        raise ValueError(
            f"{number} generated and {available} real clips; at least 4 generated and no fewer real ones are needed"
        )
    doubled = available >= 2 * number
    half = number if doubled else number // 2
    scores: Scores = {"generated": {}, "real": {}}
    half_row = f"generated, n={half}"
    notes = _bias_notes(number, networks, fake)
    if networks and not doubled:
        scores[half_row] = {}
        notes.append(
            f"only {available} real clips: the floor ('real') is between sets of {half}; compare it with '{half_row}'"
        )
    for name, network in networks.items():
        for measure, distance in feature_distances(name, network).items():
            generated, true = fake[name], real[name]

            def between(first: Array, second: Array, distance: Callable[[Array, Array], float] = distance) -> Score:
                return Score(Estimate(distance(_rows(first), _rows(second)), None, None), [])

            scores["generated"][measure] = between(generated[:number], true[:number])
            if not doubled:
                scores[half_row][measure] = between(generated[:half], true[:half])
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
    """Merge the results of several seeds: each number is the mean over seeds, its bounds the 95 % interval."""
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
    """Stack clips (T, 3, H, W) into batches (B, T, 3, H, W)."""
    held: list[ByteClip] = []
    for clip in clips:
        held.append(clip)
        if len(held) * clip.numel() >= CHUNK_BYTES:
            yield torch.stack(held)
            held = []
    if held:
        yield torch.stack(held)


def _rows(features: Array) -> Array:
    """(N, D), or (N, T, D) of a frame network -> one row per clip or frame."""
    return features.reshape(-1, features.shape[-1])


def _bias_notes(number: int, networks: Mapping[str, FeatureNet], fake: Mapping[str, Array]) -> list[str]:
    widest = max((fake[name].shape[-1] for name in networks), default=0)
    if not networks or number >= 10 * widest:
        return []
    singular = ", fewer than features, so that the covariance is singular" if number < widest else ""
    return [
        f"n = {number} clips for {widest} features{singular}: sampling bias, about 1/n, is a large part of a Fréchet"
        " distance; compare at equal n only, beside the floor; the kernel distance is unbiased"
    ]


def _checked(clips: Iterable[ByteClip], protocol: GenerationProtocol) -> Iterator[ByteClip]:
    """The clips cut to the length of the protocol; raise DataError unless all have one frame size."""
    size = None
    for clip in clips:
        size = size or clip.shape[-2:]
        if len(clip) < protocol.frames or clip.shape[-2:] != size:
            raise DataError(
                f"--protocol {protocol.name} takes clips of {protocol.frames} frames and one size, got {len(clip)}"
                f" frames of {tuple(clip.shape[-2:])} (H, W)"
            )
        yield clip[: protocol.frames]


def _load_networks(protocol: GenerationProtocol, settings: ClipSettings | SetSettings) -> dict[str, FeatureNet]:
    """The networks of the protocol and those that the user adds; each is loaded once."""
    device = settings.torch_device()
    networks = set_networks(settings.weights, device, also=protocol.needs)
    if unused := [name for name, net in networks.items() if not distance_names(name, net)]:
        raise ConfigError(
            f"--weights {', '.join(unused)} has no effect on --protocol {protocol.name}, which measures distances"
        )
    if "inception_score" in protocol.measures:
        c3d, mean = (settings.weights[name] for name in ("c3d", "c3d-mean"))
        networks[PROBABILITIES] = inception.c3d_classifier(c3d, mean, device=device)
    return networks
