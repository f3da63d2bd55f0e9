"""Calibration of a stochastic forecast: rank histogram, coverage and spread-skill ratio, pixel by pixel.

N samples of one future span an interval at every pixel. If the forecaster is calibrated, the central 90 % of its
samples contain the truth for 90 % of the pixels, and its spread equals its error. Best-of-N scores cannot detect this,
because they reward a spread that is too wide.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from vidgan.metrics.values import Values
from vidgan.types import ByteClip


class SpreadSkill(NamedTuple):
    """Spread and error, pixels in [0, 1], and spread / error: 1 is calibrated, below 1 overconfident.

    The ratio is NaN where both are 0 and +inf where only the error is.
    """

    spread: float
    error: float
    ratio: float


class Coverage(NamedTuple):
    """Coverage of the central interval from the (k+1)-th lowest to the (k+1)-th highest sample, in [0, 1]."""

    nominal: float  # share of the truth that a calibrated forecaster has in the interval
    observed: float  # share of the pixels whose truth is in the interval


def rank_counts(samples: ByteClip, truth: ByteClip) -> Values:
    """Rank histogram (Talagrand): number of pixel values whose truth exceeds exactly r of the N samples, r = 0..N.

    The counts of several batches can be added. A truth that equals some samples has several possible ranks, and each
    gets the same share of the count; otherwise a saturated sky would fill one end of the histogram.

    Args:
        samples: (N, ..., C, H, W) uint8.
        truth: (..., C, H, W) uint8.

    Returns:
        (N + 1,) float64, whose sum is the number of pixel values: flat if calibrated, a U if overconfident.

    Raises:
        ValueError: frames that are not uint8, shapes that do not fit, or fewer than two samples.
    """
    _check(samples, truth)
    below = torch.zeros(truth.shape, dtype=torch.int64)
    equal = torch.zeros(truth.shape, dtype=torch.int64)
    for sample in samples:  # one at a time: a hundred samples at once would not fit in memory
        below += sample < truth
        equal += sample == truth
    number = len(samples)
    pairs = torch.bincount((below * (number + 1) + equal).flatten(), minlength=(number + 1) ** 2)
    counts = np.zeros(number + 1)
    for code in pairs.nonzero().flatten().tolist():
        lowest, ties = divmod(code, number + 1)
        counts[lowest : lowest + ties + 1] += float(pairs[code]) / (ties + 1)
    return counts


def coverage(counts: Values, levels: Sequence[float] = (0.5, 0.8, 0.9)) -> list[Coverage]:
    """Coverage of central intervals of the samples, from `rank_counts`.

    With N samples the k-th central interval has the nominal coverage (N - 1 - 2k) / (N + 1), so 10 samples have no
    exact 90 % interval. For each level this takes the widest interval whose nominal coverage does not exceed it, or the
    narrowest interval if there is none.

    Raises:
        ValueError: a level outside (0, 1).
    """
    number = len(counts) - 1
    shares = np.asarray(counts, dtype=np.float64) / np.sum(counts)
    result = []
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"coverage levels must lie between 0 and 1, got {level}")
        trimmed = next(
            (k for k in range((number - 1) // 2 + 1) if (number - 1 - 2 * k) / (number + 1) <= level),
            (number - 1) // 2,
        )
        inside = shares[1 + trimmed : number - trimmed]
        result.append(Coverage((number - 1 - 2 * trimmed) / (number + 1), float(inside.sum())))
    return result


def spread_terms(samples: ByteClip, truth: ByteClip) -> tuple[Values, Values]:
    """Variance of the samples and squared error of their mean, averaged over each frame, pixels in [0, 1].

    Average both over all frames before `spread_skill`: the mean of ratios is another number.

    Args:
        samples: (N, ..., C, H, W) uint8.
        truth: (..., C, H, W) uint8.

    Returns:
        The unbiased variance and the squared error, (...) float64 each.

    Raises:
        ValueError: as `rank_counts`.
    """
    _check(samples, truth)
    number = len(samples)
    total = torch.zeros(truth.shape, dtype=torch.int64)
    squares = torch.zeros(truth.shape, dtype=torch.int64)
    for sample in samples:
        total += sample
        squares += sample.long().square()
    variance = (squares - total.double().square() / number) / (number - 1)
    error = (total.double() / number - truth.double()).square()
    means = [part.mean(dim=(-3, -2, -1)).numpy() / 255**2 for part in (variance, error)]
    return means[0], means[1]


def spread_skill(variance: float, error: float, samples: int) -> SpreadSkill:
    """Spread-skill ratio (Fortin et al. 2014) from pooled `spread_terms`.

    spread = sqrt((N + 1) / N * variance), since the mean of N samples is itself an estimate; error = sqrt(error).
    """
    spread = float(np.sqrt(variance * (samples + 1) / samples))
    root = float(np.sqrt(error))
    return SpreadSkill(spread, root, spread / root if root else (float("inf") if spread else float("nan")))


def _check(samples: ByteClip, truth: ByteClip) -> None:
    if samples.dtype != torch.uint8 or truth.dtype != torch.uint8:
        raise ValueError(f"samples and truth must be uint8, got {samples.dtype} and {truth.dtype}")
    if samples.shape[1:] != truth.shape or truth.dim() < 3:
        raise ValueError(
            f"samples must be (N, ..., C, H, W) and truth (..., C, H, W) of the same frames, got "
            f"{tuple(samples.shape)} and {tuple(truth.shape)}"
        )
    if len(samples) < 2:
        raise ValueError(f"calibration needs at least 2 samples, got {len(samples)}")
