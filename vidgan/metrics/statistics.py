"""Confidence intervals: a bootstrap over source videos.

Windows cut from one video are alike, so the unit of analysis is the source (a video, a drive, a subject): whole sources
are drawn with replacement, all windows of a source stay together, and the 95 % interval lies between the 2.5th and the
97.5th percentile (Efron's percentile method).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

PERCENTILES = (2.5, 97.5)
MIN_RESAMPLES = 1000
FEW_SOURCES = 10


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval. None: no finite value to average, or (the bounds) only a single source."""

    mean: float | None
    low: float | None
    high: float | None


# Student's t, 97.5 %, for 1, 2, ... degrees of freedom; the normal value beyond.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL = 1.96


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of the values of several seeds with its 95 % interval by Student's t; no bounds for a single one."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, None, None)
    t = _T[len(values) - 2] if len(values) - 2 < len(_T) else _NORMAL
    half = t * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(mean, mean - half, mean + half)


class SourceBootstrap:
    """Resamples of the sources, drawn once: every quantity is estimated on the same ones, so differences are paired."""

    def __init__(self, sources: Sequence[str], *, resamples: int = MIN_RESAMPLES, seed: int = 0) -> None:
        """
        Args:
            sources: the source of each window, W names.
            resamples: how many bootstrap samples, at least 1000.
            seed: of the draws.

        Raises:
            ValueError: no window, or too few resamples.
        """
        if not len(sources):
            raise ValueError("there is nothing to average: no window was given")
        if resamples < MIN_RESAMPLES:
            raise ValueError(f"a 95 % interval needs at least {MIN_RESAMPLES} bootstrap resamples, got {resamples}")
        names, self._group = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
        self.num_sources = len(names)
        draws = np.random.default_rng(seed).multinomial(
            self.num_sources, np.full(self.num_sources, 1 / self.num_sources), size=resamples
        )
        # Row 0 is the sample itself, every source once; rows 1.. say how often each resample holds each source.
        self._times = np.concatenate([np.ones((1, self.num_sources)), draws])  # (1+R, G)

    def mean(self, values: Values) -> tuple[Estimate, list[Estimate]]:
        """Mean over windows of (W, K) values: over all of them, and for each of the K columns.

        Every window weighs the same. Values that are not finite are left out of the sums and of the counts.
        """
        return self._estimates(self._means(values))

    def difference(self, values: Values, reference: Values) -> tuple[Estimate, list[Estimate]]:
        """Mean of ``values - reference``, both (W, K), over the entries where both are finite."""
        both = np.isfinite(values) & np.isfinite(reference)
        return self.mean(np.where(both, np.where(both, values, 0) - np.where(both, reference, 0), np.nan))

    def skill(self, errors: Values, reference: Values) -> tuple[Estimate, list[Estimate]]:
        """Skill score 1 - mean(errors) / mean(reference), both (W, K): 1 is perfect, 0 as good as the reference."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._estimates(1 - self._means(errors) / self._means(reference))

    def notes(self) -> list[str]:
        """What a reader must know about the intervals, in plain words."""
        if self.num_sources == 1:
            return ["all windows come from one source video: no interval, and nothing is known of other videos"]
        if self.num_sources < FEW_SOURCES:
            return [f"only {self.num_sources} source videos: the 95 % intervals are rough, and rather too narrow"]
        return []

    def _means(self, values: Values) -> Values:
        """(W, K) -> (1+R, 1+K): means on the sample and on each resample; column 0 pools the others."""
        if values.ndim != 2 or len(values) != len(self._group):
            raise ValueError(f"values must be ({len(self._group)}, K), one row a window, got {values.shape}")
        finite = np.isfinite(values)
        sums, counts = np.zeros((2, self.num_sources, values.shape[1]))  # (G, K) each
        np.add.at(sums, self._group, np.where(finite, values, 0))
        np.add.at(counts, self._group, finite)
        pooled = [np.concatenate([table.sum(axis=1, keepdims=True), table], axis=1) for table in (sums, counts)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self._times @ pooled[0]) / (self._times @ pooled[1])

    def _estimates(self, table: Values) -> tuple[Estimate, list[Estimate]]:
        estimates = [self._estimate(column) for column in table.T]
        return estimates[0], estimates[1:]

    def _estimate(self, column: Values) -> Estimate:
        if not np.isfinite(column[0]):
            return Estimate(None, None, None)
        resampled = column[1:][np.isfinite(column[1:])]
        if self.num_sources == 1 or not len(resampled):
            return Estimate(float(column[0]), None, None)
        low, high = np.percentile(resampled, PERCENTILES)
        return Estimate(float(column[0]), float(low), float(high))
