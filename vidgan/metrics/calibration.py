"""Is the spread of a stochastic forecast the right one? Reliability of the samples, pixel by pixel.

N samples of the same future span an interval at every pixel. A calibrated forecaster has the truth as often inside the
central 90 % of its samples as it claims, and its spread equals its error. Scores of the best sample cannot see this:
they reward too wide a spread.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from vidgan.types import ByteClip

Values: TypeAlias = npt.NDArray[np.float64]


class SpreadSkill(NamedTuple):
    """Spread and error in [0, 1] pixel units, and their ratio (NaN for a perfect forecast without spread)."""

    spread: float
    error: float
    ratio: float


class Coverage(NamedTuple):
    """Of the central interval from the (k+1)-th lowest to the (k+1)-th highest sample: claimed and found share."""

    nominal: float
    observed: float


def rank_counts(samples: ByteClip, truth: ByteClip) -> Values:
    """How often the truth is above exactly r of the N samples (Talagrand): (N, ..., H, W), (..., H, W) -> (N+1,).

    Counts of pixel values, so batches add up. Where the truth equals samples, its rank could be any of several, and
    they share the pixel; a saturated sky would else fill one end.

    Raises:
        ValueError: not uint8, other shapes, or fewer than two samples.
    """
    _check(samples, truth)
    below = torch.zeros(truth.shape, dtype=torch.int64)
    equal = torch.zeros(truth.shape, dtype=torch.int64)
    for sample in samples:  # one at a time: a hundred at once would not fit
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
    """Reliability from `rank_counts`: for each level the widest central interval of samples that claims at most it.

    With N samples the central intervals claim (N - 1 - 2k) / (N + 1); the claimed share is given with the found one,
    for 10 samples know no 90 % interval. A level below the narrowest interval is answered by the narrowest.
    """
    number = len(counts) - 1
    shares = np.asarray(counts, dtype=np.float64) / np.sum(counts)
    answers = []
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"a coverage level lies between 0 and 1, got {level}")
        trimmed = next(
            (k for k in range((number - 1) // 2 + 1) if (number - 1 - 2 * k) / (number + 1) <= level),
            (number - 1) // 2,
        )
        inside = shares[1 + trimmed : number - trimmed]
        answers.append(Coverage((number - 1 - 2 * trimmed) / (number + 1), float(inside.sum())))
    return answers


def spread_terms(samples: ByteClip, truth: ByteClip) -> tuple[Values, Values]:
    """Mean variance of the samples, and mean squared error of their mean, per frame, pixels in [0, 1].

    (N, ..., C, H, W), (..., C, H, W) -> two (...). Means over frames stay means, so pool them before the ratio.

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
    """Spread, error and ratio from pooled `spread_terms`; N samples estimate their mean, hence (N + 1) / N."""
    spread = float(np.sqrt(variance * (samples + 1) / samples))
    root = float(np.sqrt(error))
    return SpreadSkill(spread, root, spread / root if root else (float("inf") if spread else float("nan")))


def _check(samples: ByteClip, truth: ByteClip) -> None:
    if samples.dtype != torch.uint8 or truth.dtype != torch.uint8:
        raise ValueError(f"calibration reads uint8 frames, got {samples.dtype} and {truth.dtype}")
    if samples.shape[1:] != truth.shape or truth.dim() < 3:
        raise ValueError(
            f"samples (N, ..., C, H, W) and truth (..., C, H, W) do not fit: {tuple(samples.shape)} and "
            f"{tuple(truth.shape)}"
        )
    if len(samples) < 2:
        raise ValueError(f"calibration needs at least 2 samples, got {len(samples)}")
