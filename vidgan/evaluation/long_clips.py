"""Evaluation of clips longer than the training clips: do they freeze, loop or decay?

A clip is measured in S segments of the training length L, so that a slow change appears as a curve over the segments.
`evaluate_long_clips` scores a trained model, `score_long_clips` uint8 clips (N, S*L, 3, H, W). All measures are this
project's own. They compare with the same measure of other segments and of real clips, not with published numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.networks import APPEARANCE, FACES, set_networks
from vidgan.evaluation.protocol_scores import weight_hashes
from vidgan.evaluation.results import LongClipScores, Score
from vidgan.evaluation.set_scores import FEWEST_REAL, background_level, halves, over_splits
from vidgan.evaluation.settings import LongClipSettings
from vidgan.evaluation.share import Share
from vidgan.evaluation.windows import WindowSet
from vidgan.metrics.appearance import by_lag
from vidgan.metrics.clip_statistics import POOLED, frechet_inhouse, motion_energy, pool_frames
from vidgan.metrics.content import BACKGROUND, check_clips, frame_colours
from vidgan.metrics.features import FeatureNet
from vidgan.metrics.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]

CLIPS = 64  # generated clips of an evaluation
SHORTEST = 3  # frames of a segment
FRAME_FEATURES = 20
STILL = 1e-9  # squared difference of pooled frames in [0, 1] below which a clip counts as still

# Results are comparable only if their definitions are equal, so these texts do not change.
DEFINITIONS = {
    "motion_energy": "mean absolute difference of neighbouring frames within the stretch, RGB in [0, 1]; falling: the"
    " clips freeze",
    "content_drift": "mean L2 distance (0..255) of the frames' content colour, as in content_distance, from its mean"
    " over the first stretch; rising: the clips become something else",
    "edge_strength": "mean absolute difference of neighbouring pixels, RGB in [0, 1]; falling: the clips blur",
    "frame_frechet": f"Fréchet distance between {FRAME_FEATURES} hand-made features of single frames (colour and"
    " contrast of quadrants, edges) of the stretch and of real frames, in standard deviations of the real ones; rising:"
    " the clips decay; not FID",
    "recurrence": "least over the lags from half a stretch up of the mean squared difference between frames so far"
    f" apart ({POOLED}x{POOLED}), over the largest at a shorter lag, in the clip up to the end of the stretch: 1 never"
    " comes back, 0 repeats itself exactly (or stands still); read it beside real clips up to the same stretch",
}
BY_LAG = (
    "; by the lag between them, mean over the lags: the first value is of lags below one stretch, the second of one to"
    " two stretches, and so on; falling similarity and rising distance: the clips become something else; read it"
    " beside the real clips"
)
BETTER = {"frame_frechet": "lower"}


def evaluate_long_clips(trained: TrainedModel, settings: LongClipSettings, share: Share = Share()) -> LongClipScores:
    """Score clips of `settings.frames` frames, with real clips of up to that length.

    An image-to-video model continues the first frames of the real clips in turn.

    Args:
        share: the position of this process among those that share the features of fetched networks; each process
            returns the same result.

    Raises:
        ConfigError: --frames is not a multiple of the training length, twice or more; or weights without effect.
        DataError: too few real clips of even one segment. WeightsError: weights are missing or altered.
    """
    frames, segment = settings.frames, trained.facts.frames
    if segment < SHORTEST or frames < 2 * segment or frames % segment:
        raise ConfigError(
            f"--frames {frames}: {trained.name} was trained on clips of {segment} frames; accepted are multiples from"
            f" {2 * segment} on. Without --frames clips have the training length"
        )
    networks = set_networks(settings.weights, settings.torch_device(), share=share)
    if unused := [name for name, net in networks.items() if not net.of_pairs]:
        raise ConfigError(
            f"--weights {', '.join(unused)} has no effect on {settings.scored}; accepted are {APPEARANCE} and {FACES}"
        )
    model = trained.clip_model
    if isinstance(model, nn.Module):
        model.to(settings.torch_device())
    count = settings.clips or CLIPS
    split, windows = _longest_windows(trained, frames)
    chosen = windows.spread(2 * count)
    real = windows.read_all(chosen)
    first_frames = torch.stack([real[row % len(real), 0] for row in range(count)]) if model.needs_first_frame else None
    scores = score_long_clips(
        real,
        model.sample(count, frames=frames, seed=settings.seed, first_frame=first_frames),
        segment=segment,
        sources=[window.entry.group for window in chosen],
        background=background_level(real),
        protocol=f"{split}-{frames}-frames-by-{segment}",
        fingerprint=windows.index.fingerprint,
        seed=settings.seed,
        networks=networks,
    )
    notes = list(scores.notes)
    if real.shape[1] < frames:
        notes.append(
            f"fewer than {FEWEST_REAL} real clips are longer than {real.shape[1]} frames: their curves end there"
        )
    if trained.facts.fingerprint != scores.fingerprint:
        notes.append("scored on data other than the training data set")
    return replace(scores, notes=notes, provenance=weight_hashes(networks))


def _longest_windows(trained: TrainedModel, frames: int) -> tuple[str, WindowSet]:
    """Real windows of as many whole segments as enough clips have; of equal length, held-out ones."""
    segment = trained.facts.frames
    for length in range(frames, 0, -segment):
        for name, split in (("held-out", "test"), ("training", "train")):
            try:
                windows = trained.windows(length, split=split)
            except DataError:
                continue
            if len(windows) >= FEWEST_REAL:
                return name, windows
    raise DataError(f"{trained.data}: fewer than {FEWEST_REAL} clips of {segment} frames in either split")


def score_long_clips(
    real: ByteClip,
    generated: ByteClip,
    *,
    segment: int,
    sources: Sequence[str] | None = None,
    background: int | None = BACKGROUND,
    splits: int = 5,
    protocol: str = "longer",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
    networks: Mapping[str, FeatureNet] | None = None,
) -> LongClipScores:
    """Measure generated clips segment by segment, with real clips up to their length.

    For ``frame_frechet`` the real clips are halved at random, by source if there are several. The frames of one half
    are the reference; the other half gives the row "real", the floor. Generated clips are compared at the same number.
    The other measures are means over clips with bootstrap intervals over sources. The horizon of each score is its
    curve over the segments. ``recurrence`` covers the clip from its start to the end of each segment, from the second
    on; its mean is that of the whole clip.

    Args:
        real: (N, R*segment, 3, H, W) uint8, N >= 4, 1 <= R <= S.
        generated: (M, S*segment, 3, H, W) uint8, M >= 2, S >= 2.
        segment: frames of a training clip, 3 or more.
        sources: the source video of each real clip; default: each clip has its own.
        background: level up to which a pixel is background for the content; None: no background.
        splits: number of random halvings; the Fréchet distance reports mean, smallest and largest value over them.
        protocol, fingerprint: recorded in the result.
        resamples, seed: of the bootstrap; the seed also draws the halvings.
        networks: whose measures of two frames are added, by the lag between them.

    Raises:
        ValueError: clips of other shapes or lengths, or too few.
    """
    _check(real, generated, segment, sources)
    nets = list((networks or {}).values())
    definitions = DEFINITIONS | {
        metric: measure.definition + BY_LAG for net in nets for metric, measure in net.of_pairs.items()
    }
    names = [str(row) for row in range(len(real))] if sources is None else [str(name) for name in sources]
    own = [str(row) for row in range(len(generated))]
    scores: dict[str, dict[str, Score]] = {}
    for row, clips, units in (("generated", generated, own), ("real", real, names)):
        estimate = SourceBootstrap(units, resamples=resamples, seed=seed).mean
        scores[row] = {metric: Score(*estimate(values)) for metric, values in _by_clip(clips, segment, background)}
        curve = recurrence(clips, segment)
        scores[row]["recurrence"] = Score(estimate(curve[:, -1:])[0], estimate(curve)[1])
        for net in nets:
            features = net(clips)
            for metric, measure in net.of_pairs.items():
                scores[row][metric] = Score(*estimate(by_lag(measure.function(features), segment)))
    separable = len(set(names)) > 1
    distances, number = _frechet(real, generated, segment, names if separable else None, splits, seed)
    for row, values in distances.items():
        means = [over_splits(column.tolist()) for column in values.T]
        scores[row]["frame_frechet"] = Score(over_splits(values.mean(axis=1).tolist()), means)
    notes = [
        f"frame_frechet compares the {segment} frames of {number} clips of a segment with equally many real frames."
        " Small sets bias it upwards: compare it with the first segment and with the row 'real'"
    ]
    if not separable:
        notes.append("the real clips are of one source: the row 'real' of frame_frechet is too low as a floor")
    return LongClipScores(
        protocol=protocol,
        definitions=definitions,
        better=BETTER,
        fingerprint=fingerprint,
        frame_size=(generated.shape[-2], generated.shape[-1]),
        seed=seed,
        scores={row: {metric: scores[row][metric] for metric in definitions} for row in scores},
        notes=notes,
        clips=len(generated),
        real_clips=len(real),
        frames=generated.shape[1],
        real_frames=real.shape[1],
        stretch=segment,
        splits=splits,
        resamples=resamples,
    )


def content_drift(clips: ByteClip, segment: int, background: int | None = BACKGROUND) -> Array:
    """Distance of a segment's content colour from that of the first: (N, S*L, 3, H, W) -> (N, S), 0..255."""
    colours = frame_colours(clips, background)  # (N, S*L, 3)
    start = colours[:, :segment].mean(axis=1, keepdims=True)
    distance = np.linalg.norm(colours - start, axis=-1)  # (N, S*L)
    return distance.reshape(len(clips), -1, segment).mean(axis=2)


def edge_strength(clips: ByteClip, segment: int) -> Array:
    """Mean difference of vertical and horizontal neighbours in each segment: (N, S*L, 3, H, W) -> (N, S)."""
    rows = []
    for clip in clips:
        pixels = clip.cpu().float() / 255  # (S*L, 3, H, W)
        both = sum(pixels.diff(dim=axis).abs().mean(dim=(1, 2, 3)) for axis in (2, 3)) / 2
        rows.append(torch.as_tensor(both).reshape(-1, segment).mean(dim=1))
    return torch.stack(rows).double().numpy()


def recurrence(clips: ByteClip, segment: int) -> Array:
    """How closely a clip returns to its earlier frames: (N, S*L, 3, H, W) -> (N, S), NaN for the first segment.

    Column s covers the first s+1 segments. d(lag) is the mean squared difference of frames `lag` apart, for lags up to
    half that length. The value is the minimum, over lags from half a segment on, of d(lag) divided by the largest d of
    a lag up to it; it is at most 1.
    """
    out = np.full((len(clips), clips.shape[1] // segment), np.nan)
    for row, clip in enumerate(clips):
        pooled = torch.from_numpy(pool_frames(clip))  # (S*L, D)
        squared = (torch.cdist(pooled, pooled).square() / pooled.shape[1]).numpy()  # (S*L, S*L)
        for last in range(1, out.shape[1]):
            length = (last + 1) * segment
            lags = range(1, length // 2 + 1)
            difference = np.array([np.diagonal(squared[:length, :length], lag).mean() for lag in lags])
            largest = np.maximum.accumulate(difference)
            relative = difference / np.maximum(largest, STILL)
            out[row, last] = relative[max(1, segment // 2) - 1 :].min() if largest[-1] > STILL else 0.0
    return out


def frame_features(clips: ByteClip) -> Array:
    """(N, T, 3, H, W) -> (N, T, 20): mean colour (12), contrast (4) and edge strength (4) of the quadrants."""
    rows = []
    for clip in clips:
        pixels = clip.cpu().float() / 255  # (T, 3, H, W)
        grey = pixels.mean(dim=1, keepdim=True)
        mean, square = F.adaptive_avg_pool2d(grey, 2), F.adaptive_avg_pool2d(grey.square(), 2)
        across = F.pad(grey.diff(dim=3).abs(), (0, 1)) + F.pad(grey.diff(dim=2).abs(), (0, 0, 0, 1))
        parts = [
            F.adaptive_avg_pool2d(pixels, 2),
            (square - mean.square()).clamp_min(0).sqrt(),
            F.adaptive_avg_pool2d(across, 2),
        ]
        rows.append(torch.cat([part.flatten(1) for part in parts], dim=1))
    return torch.stack(rows).double().numpy()


def _by_clip(clips: ByteClip, segment: int, background: int | None) -> list[tuple[str, Array]]:
    """The measures of single clips by name, (N, S) each."""
    energy = np.stack([motion_energy(part) for part in clips.split(segment, dim=1)], axis=1)
    drift, edges = content_drift(clips, segment, background), edge_strength(clips, segment)
    return [("motion_energy", energy), ("content_drift", drift), ("edge_strength", edges)]


def _frechet(
    real: ByteClip, generated: ByteClip, segment: int, sources: Sequence[str] | None, splits: int, seed: int
) -> tuple[Mapping[str, Array], int]:
    """Row -> (splits, segments) distances of its frames to the reference half, and the number of clips per set."""
    truth, fake = frame_features(real), frame_features(generated)
    spread = truth.reshape(-1, FRAME_FEATURES).std(axis=0)
    distances: dict[str, list[list[float]]] = {"generated": [], "real": []}
    groups = [str(row) for row in range(len(real))] if sources is None else sources
    fewest = len(generated)
    for split in range(splits):
        random = np.random.default_rng(derive_seed("stretches split", seed, split))
        first, second = halves(groups, random)
        number = min(len(first), len(second), len(generated))
        fewest = min(fewest, number)
        reference = _spread_frames(truth[first[:number]], segment)
        rows = {"generated": fake[random.permutation(len(fake))[:number]], "real": truth[second[:number]]}
        for name, row in rows.items():
            parts = [row[:, at : at + segment] for at in range(0, row.shape[1], segment)]
            distances[name].append(
                [frechet_inhouse(part.reshape(-1, FRAME_FEATURES), reference, spread) for part in parts]
            )
    return {name: np.array(values) for name, values in distances.items()}, fewest


def _spread_frames(features: Array, segment: int) -> Array:
    """`segment` evenly spaced frames of each clip, so that the reference has the size of the sets compared with it."""
    chosen = np.linspace(0, features.shape[1] - 1, segment).round().astype(int)
    return features[:, chosen].reshape(-1, FRAME_FEATURES)


def _check(real: ByteClip, generated: ByteClip, segment: int, sources: Sequence[str] | None) -> None:
    for name, clips, fewest in (("real", real, 4), ("generated", generated, 2)):
        check_clips(clips)
        if len(clips) < fewest or clips.shape[1] % segment:
            raise ValueError(
                f"at least {fewest} {name} clips are needed, of a multiple of {segment} frames; got {len(clips)} of"
                f" {clips.shape[1]} frames"
            )
    if segment < SHORTEST or generated.shape[1] < 2 * segment or real.shape[1] > generated.shape[1]:
        raise ValueError(
            f"a segment needs at least {SHORTEST} frames, a generated clip at least two segments, and a real clip at"
            f" most as many; got segments of {segment}, {generated.shape[1]} and {real.shape[1]} frames"
        )
    if real.shape[2:] != generated.shape[2:]:
        raise ValueError(f"clips of one size are needed, got {tuple(real.shape[2:])} and {tuple(generated.shape[2:])}")
    if sources is not None and len(sources) != len(real):
        raise ValueError(f"one source per real clip is needed, got {len(real)} clips, {len(sources)} sources")
