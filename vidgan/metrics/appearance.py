"""Measures of sets of clips in the features of an image classifier: coverage, change between frames, consistency.

They are functions of features (N, T, D), one row per frame, of any network that describes single frames. Precision and
recall follow Kynkäänniemi et al. (2019), density and coverage Naeem et al. (2020), on one point per clip.
"""

import numpy as np
import torch

from vidgan.metrics.frechet import frechet_between, kernel_distance
from vidgan.metrics.values import Values

NEIGHBOURS = 5  # k of the k-th nearest neighbour that bounds the region of a point
COVERAGE = ("precision", "recall", "density", "coverage")
DEFINITIONS = {
    "appearance_frechet": "Fréchet distance of the features of single frames; not FID",
    "appearance_kernel": "kernel distance, unbiased MMD^2 with (x.y / D + 1)^3, of the features of single frames; not"
    " KID",
    "transition_frechet": "Fréchet distance of the changes of the features between neighbouring frames, divided by"
    " their root mean square over the reference",
    "transition_kernel": "kernel distance, unbiased MMD^2 with (x.y / D + 1)^3, of the same changes",
    "precision": f"share of the clips that lie within the distance of a reference clip to its {NEIGHBOURS}th neighbour"
    " in the reference; one point per clip, the mean of its frames' features",
    "recall": "share of the reference clips that lie within such a distance of a clip of the set",
    "density": f"mean number of reference regions that contain a clip, over {NEIGHBOURS}",
    "coverage": "share of the reference clips whose region contains a clip of the set",
    "nearest_appearance": "distance to the nearest reference clip, the root mean square over frames of the distance of"
    " unit-length features, mean over clips; 0 is a copy",
    "semantic_consistency": "mean cosine of the features of two frames of a clip, over the lags of the curve (1, 2,"
    " 4, ... frames and the whole clip); read it beside the real clips, a frozen clip has 1",
}


def lags(frames: int) -> list[int]:
    """The lags of the consistency curve of clips of so many frames: 1, 2, 4, ... and `frames` - 1."""
    powers = [2**n for n in range(frames.bit_length()) if 2**n < frames - 1]
    return [*powers, frames - 1]


def consistency(features: Values) -> Values:
    """Mean cosine of the features of frames `lag` apart, for each of `lags`: (N, T, D) -> (N, L)."""
    unit = features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    columns = [(unit[:, lag:] * unit[:, :-lag]).sum(axis=-1).mean(axis=1) for lag in lags(features.shape[1])]
    return np.stack(columns, axis=1)


def cosines(features: Values) -> Values:
    """Cosine of the features of every two frames of a clip: (N, T, D) -> (N, T, T)."""
    unit = features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    return unit @ unit.transpose(0, 2, 1)


def by_lag(table: Values, segment: int) -> Values:
    """Mean of a measure of two frames over the lags 1..L-1, L..2L-1, ...: (N, S*L, S*L) -> (N, S).

    Every lag has the same weight, however many pairs of frames have it.

    Args:
        table: the measure of every two frames.
        segment: L, 2 or more.
    """
    means = [np.diagonal(table, lag, axis1=1, axis2=2).mean(axis=1) for lag in range(1, table.shape[1])]
    lags = np.stack(means, axis=1)  # (N, S*L - 1)
    starts = range(0, table.shape[1], segment)
    return np.stack([lags[:, max(0, at - 1) : at + segment - 1].mean(axis=1) for at in starts], axis=1)


def transition_distances(features: Values, reference: Values) -> tuple[float, float]:
    """Fréchet and kernel distance of the changes between neighbouring frames, (N, T, D) and (M, T, D).

    The changes are divided by their root mean square over the reference, so that the kernel's scale fits them.
    """
    ours, theirs = (np.diff(rows, axis=1).reshape(-1, rows.shape[-1]) for rows in (features, reference))
    scale = max(float(np.sqrt(np.square(theirs).mean())), 1e-12)
    return frechet_between(ours / scale, theirs / scale), kernel_distance(ours / scale, theirs / scale)


def clip_points(features: Values) -> Values:
    """One point per clip, the mean over its frames: (N, T, D) -> (N, D)."""
    return features.mean(axis=1)


def coverage_scores(points: Values, reference: Values) -> dict[str, float]:
    """Precision, recall, density and coverage of points (N, D) with respect to a reference (M, D); higher is better.

    Raises:
        ValueError: a set has no `NEIGHBOURS` + 1 points.
    """
    fewest = min(len(points), len(reference))
    if fewest <= NEIGHBOURS:
        raise ValueError(f"precision and recall need at least {NEIGHBOURS + 1} clips in each set, got {fewest}")
    radius_reference, radius_points = _radii(reference), _radii(points)
    between = _distances(points, reference)  # (N, M)
    inside = between <= radius_reference
    return {
        "precision": float(inside.any(axis=1).mean()),
        "recall": float((between <= radius_points[:, None]).any(axis=0).mean()),
        "density": float(inside.sum(axis=1).mean() / NEIGHBOURS),
        "coverage": float(inside.any(axis=0).mean()),
    }


def nearest_points(features: Values, candidates: Values) -> tuple[Values, list[int]]:
    """Distance of each clip to its nearest candidate, and that candidate's row.

    Args:
        features: (N, T, D) features of the clips.
        candidates: (M, T, D) features of the windows compared.

    Returns:
        (N,) root mean squared distance over the T frames of the unit-length features, 0 for a copy and at most 2; and
        the rows of `candidates`.
    """
    first, second = (
        (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)).reshape(len(rows), -1)
        for rows in (features, candidates)
    )
    distances = _distances(first, second) / np.sqrt(features.shape[1])
    return distances.min(axis=1), [int(row) for row in distances.argmin(axis=1)]


def _radii(points: Values) -> Values:
    """Distance of each point to its k-th nearest neighbour, itself excluded: (N, D) -> (N,)."""
    return np.partition(_distances(points, points), NEIGHBOURS, axis=1)[:, NEIGHBOURS]


def _distances(first: Values, second: Values) -> Values:
    # The expansion |a|^2 + |b|^2 - 2ab would lose small distances to rounding.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(torch.from_numpy(first), torch.from_numpy(second), compute_mode=mode).numpy()
