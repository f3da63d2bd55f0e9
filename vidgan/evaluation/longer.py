"""Clips longer than a model was trained on, stretch by stretch: do they freeze, loop or decay?

A clip of S stretches of the trained length L is measured a stretch at a time, so that a slow change shows as a curve
that leaves its start. All measures are this project's own and read uint8 clips (N, S*L, 3, H, W); they compare with the
same measure of real clips of that length and of other stretches, and with no published number.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vidgan.evaluation.results import LongerScores, Score
from vidgan.evaluation.set_scores import halves, over_splits
from vidgan.metrics.clip_statistics import POOLED, frechet_inhouse, motion_energy, pool_frames
from vidgan.metrics.content import BACKGROUND, check_clips, frame_colours
from vidgan.metrics.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]

SHORTEST = 3  # frames of a stretch
FRAME_FEATURES = 20
STILL = 1e-9  # squared difference of pooled frames in [0, 1] below which nothing has happened

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
BETTER = {"frame_frechet": "lower"}


def score_longer(
    real: ByteClip,
    generated: ByteClip,
    *,
    stretch: int,
    sources: Sequence[str] | None = None,
    background: int | None = BACKGROUND,
    splits: int = 5,
    protocol: str = "longer",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> LongerScores:
    """Measure generated clips stretch by stretch, with real clips as far as they reach.

    For ``frame_frechet`` the real clips are halved at random, by source where there are several: the frames of one half
    are the reference, the other half gives the row "real", the floor; generated clips are compared at that number. The
    other measures are means over clips with bootstrap intervals over sources. The horizon of each score is its curve
    over the stretches; ``recurrence`` takes the clip from its start to the end of each stretch, from the second on, and
    its mean is that of the whole clip.

    Args:
        real: (N, R*stretch, 3, H, W) uint8, N >= 4, R from 1 up to that of the generated clips.
        generated: (M, S*stretch, 3, H, W) uint8, M >= 2, S >= 2.
        stretch: frames, the length that the model was trained on, 3 or more.
        sources: the video that each real clip was cut from; default: each is its own.
        background: level up to which a pixel is background for the content; None: no background.
        splits: how many random halvings; the Fréchet distance gives mean, smallest and largest over them.
        protocol, fingerprint: recorded in the result.
        resamples, seed: of the bootstrap; the seed also draws the halvings.

    Raises:
        ValueError: clips of other shapes or lengths, or too few.
    """
    _check(real, generated, stretch, sources)
    names = [str(row) for row in range(len(real))] if sources is None else [str(name) for name in sources]
    own = [str(row) for row in range(len(generated))]
    scores: dict[str, dict[str, Score]] = {}
    for row, clips, units in (("generated", generated, own), ("real", real, names)):
        estimate = SourceBootstrap(units, resamples=resamples, seed=seed).mean
        scores[row] = {metric: Score(*estimate(values)) for metric, values in _by_clip(clips, stretch, background)}
        curve = recurrence(clips, stretch)
        scores[row]["recurrence"] = Score(estimate(curve[:, -1:])[0], estimate(curve)[1])
    separable = len(set(names)) > 1
    distances, number = _frechet(real, generated, stretch, names if separable else None, splits, seed)
    for row, values in distances.items():
        means = [over_splits(column.tolist()) for column in values.T]
        scores[row]["frame_frechet"] = Score(over_splits(values.mean(axis=1).tolist()), means)
    notes = [
        f"frame_frechet compares the {stretch} frames of {number} clips a stretch with as many real ones: small sets"
        " bias it upwards, so read it beside the first stretch and the row 'real'"
    ]
    if not separable:
        notes.append("the real clips are of one source: the row 'real' of frame_frechet is too low as a floor")
    return LongerScores(
        protocol=protocol,
        definitions=DEFINITIONS,
        better=BETTER,
        fingerprint=fingerprint,
        frame_size=(generated.shape[-2], generated.shape[-1]),
        seed=seed,
        scores={row: {metric: scores[row][metric] for metric in DEFINITIONS} for row in scores},
        notes=notes,
        clips=len(generated),
        real_clips=len(real),
        frames=generated.shape[1],
        real_frames=real.shape[1],
        stretch=stretch,
        splits=splits,
        resamples=resamples,
    )


def content_drift(clips: ByteClip, stretch: int, background: int | None = BACKGROUND) -> Array:
    """Distance of each stretch's content colour from that of the first stretch: (N, S*L, 3, H, W) -> (N, S), 0..255."""
    colours = frame_colours(clips, background)  # (N, S*L, 3)
    start = colours[:, :stretch].mean(axis=1, keepdims=True)
    apart = np.linalg.norm(colours - start, axis=-1)  # (N, S*L)
    return apart.reshape(len(clips), -1, stretch).mean(axis=2)


def edge_strength(clips: ByteClip, stretch: int) -> Array:
    """Mean difference of neighbouring pixels, down and across, of each stretch: (N, S*L, 3, H, W) -> (N, S)."""
    rows = []
    for clip in clips:
        pixels = clip.cpu().float() / 255  # (S*L, 3, H, W)
        both = sum(pixels.diff(dim=axis).abs().mean(dim=(1, 2, 3)) for axis in (2, 3)) / 2
        rows.append(torch.as_tensor(both).reshape(-1, stretch).mean(dim=1))
    return torch.stack(rows).double().numpy()


def recurrence(clips: ByteClip, stretch: int) -> Array:
    """How near a clip comes to what it was before: (N, S*L, 3, H, W) -> (N, S), NaN for the first stretch.

    Column s takes the first s+1 stretches. For each lag up to half of them the mean squared difference d(lag) of frames
    so far apart; least of d(lag) / max over shorter lags of d, for lags from half a stretch up, at most 1.
    """
    out = np.full((len(clips), clips.shape[1] // stretch), np.nan)
    for row, clip in enumerate(clips):
        pooled = torch.from_numpy(pool_frames(clip))  # (S*L, D)
        squared = (torch.cdist(pooled, pooled).square() / pooled.shape[1]).numpy()  # (S*L, S*L)
        for last in range(1, out.shape[1]):
            length = (last + 1) * stretch
            lags = range(1, length // 2 + 1)
            apart = np.array([np.diagonal(squared[:length, :length], lag).mean() for lag in lags])
            before = np.maximum.accumulate(apart)
            moved = apart / np.maximum(before, STILL)
            out[row, last] = moved[max(1, stretch // 2) - 1 :].min() if before[-1] > STILL else 0.0
    return out


def frame_features(clips: ByteClip) -> Array:
    """(N, T, 3, H, W) -> (N, T, 20): 12 mean colour of each quadrant, 4 contrast of each quadrant, 4 edges of each."""
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


def _by_clip(clips: ByteClip, stretch: int, background: int | None) -> list[tuple[str, Array]]:
    """The measures of single clips by name, (N, S) each."""
    energy = np.stack([motion_energy(part) for part in clips.split(stretch, dim=1)], axis=1)
    drift, edges = content_drift(clips, stretch, background), edge_strength(clips, stretch)
    return [("motion_energy", energy), ("content_drift", drift), ("edge_strength", edges)]


def _frechet(
    real: ByteClip, generated: ByteClip, stretch: int, sources: Sequence[str] | None, splits: int, seed: int
) -> tuple[Mapping[str, Array], int]:
    """Row -> (splits, stretches) distances of its frames to the reference half's, and the clips in each set."""
    truth, made = frame_features(real), frame_features(generated)
    spread = truth.reshape(-1, FRAME_FEATURES).std(axis=0)
    found: dict[str, list[list[float]]] = {"generated": [], "real": []}
    groups = [str(row) for row in range(len(real))] if sources is None else sources
    fewest = len(generated)
    for split in range(splits):
        random = np.random.default_rng(derive_seed("stretches split", seed, split))
        first, second = halves(groups, random)
        number = min(len(first), len(second), len(generated))
        fewest = min(fewest, number)
        reference = _spread_frames(truth[first[:number]], stretch)
        rows = {"generated": made[random.permutation(len(made))[:number]], "real": truth[second[:number]]}
        for name, row in rows.items():
            parts = [row[:, at : at + stretch] for at in range(0, row.shape[1], stretch)]
            found[name].append([frechet_inhouse(part.reshape(-1, FRAME_FEATURES), reference, spread) for part in parts])
    return {name: np.array(values) for name, values in found.items()}, fewest


def _spread_frames(features: Array, stretch: int) -> Array:
    """`stretch` frames of each clip, evenly over its length: the reference is as large as what is compared with it."""
    chosen = np.linspace(0, features.shape[1] - 1, stretch).round().astype(int)
    return features[:, chosen].reshape(-1, FRAME_FEATURES)


def _check(real: ByteClip, generated: ByteClip, stretch: int, sources: Sequence[str] | None) -> None:
    for name, clips, fewest in (("real", real, 4), ("generated", generated, 2)):
        check_clips(clips)
        if len(clips) < fewest or clips.shape[1] % stretch:
            raise ValueError(
                f"at least {fewest} {name} clips of whole stretches of {stretch} frames are needed, got {len(clips)} of"
                f" {clips.shape[1]} frames"
            )
    if stretch < SHORTEST or generated.shape[1] < 2 * stretch or real.shape[1] > generated.shape[1]:
        raise ValueError(
            f"a stretch has {SHORTEST} frames or more, generated clips at least two stretches and real ones at most as"
            f" many; got stretches of {stretch}, {generated.shape[1]} and {real.shape[1]} frames"
        )
    if real.shape[2:] != generated.shape[2:]:
        raise ValueError(f"clips of one size are needed, got {tuple(real.shape[2:])} and {tuple(generated.shape[2:])}")
    if sources is not None and len(sources) != len(real):
        raise ValueError(f"every real clip needs its source: {len(real)} clips, {len(sources)} sources")
