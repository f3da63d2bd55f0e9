"""Confidence intervals: a bootstrap over source videos.

Windows cut from one video are correlated, so the unit of resampling is the source (a video, a drive, a person). Sources
are drawn with replacement, and all windows of a drawn source enter together. The 95 % interval runs from the 2.5th to
the 97.5th percentile of the resampled means (percentile method, Efron 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidgan.metrics.values import Values, enters_mean

PERCENTILES = (2.5, 97.5)
MIN_RESAMPLES = 1000
FEW_SOURCES = 10


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    The mean is None where no value is finite; the bounds are also None where all windows come from one source.
    """

    mean: float | None
    low: float | None
    high: float | None


# 97.5th percentile of Student's t for 1, 2, ... degrees of freedom; beyond the table, that of the normal distribution.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.96  # 97.5th percentile


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean over evaluation seeds with its 95 % interval by Student's t; no bounds for a single seed."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, None, None)
    t = _T[len(values) - 2] if len(values) - 2 < len(_T) else NORMAL
    half = t * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(mean, mean - half, mean + half)


class SourceBootstrap:
    """Bootstrap resamples of the sources, drawn once, so that every quantity is estimated on the same resamples."""

    def __init__(self, sources: Sequence[str], *, resamples: int = MIN_RESAMPLES, seed: int = 0) -> None:
        """
        Args:
            sources: the source of each window, W names.
            resamples: number of bootstrap resamples, at least 1000.
            seed: seed of the draws.

        Raises:
            ValueError: there is no window, or too few resamples.
        """
        if not len(sources):
            raise ValueError("no window to average over")
        if resamples < MIN_RESAMPLES:
            raise ValueError(f"resamples must be at least {MIN_RESAMPLES} for a 95 % interval, got {resamples}")
        names, self._group = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
        self.num_sources = len(names)
        draws = np.random.default_rng(seed).multinomial(
            self.num_sources, np.full(self.num_sources, 1 / self.num_sources), size=resamples
        )
        # Row 0 is the original sample, every source once; rows 1.. count each source in each resample.
        self._multiplicity = np.concatenate([np.ones((1, self.num_sources)), draws])  # (1+R, G)

    def mean(self, values: Values) -> tuple[Estimate, list[Estimate]]:
        """Mean over windows of (W, K) values: pooled over all columns, and of each of the K columns.

        Every window has the same weight. Values that are not finite enter neither the sums nor the counts.
        """
        return self._estimates(self._means(values))

    def difference(self, values: Values, reference: Values) -> tuple[Estimate, list[Estimate]]:
        """Mean of ``values - reference``, both (W, K), over the entries where both are finite."""
        both = enters_mean(values) & enters_mean(reference)
        return self.mean(np.where(both, np.where(both, values, 0) - np.where(both, reference, 0), np.nan))

    def skill(self, errors: Values, reference: Values) -> tuple[Estimate, list[Estimate]]:
        """Skill score 1 - mean(errors) / mean(reference), both (W, K): 1 is perfect, 0 equals the reference."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._estimates(1 - self._means(errors) / self._means(reference))

    def notes(self) -> list[str]:
        """Warnings to print with the intervals: one source only, or fewer than `FEW_SOURCES`."""
        if self.num_sources == 1:
            return ["all windows come from one source video: no interval, and nothing is known of other videos"]
        if self.num_sources < FEW_SOURCES:
            return [f"only {self.num_sources} source videos: the 95 % intervals are rough, and rather too narrow"]
        return []

    def _means(self, values: Values) -> Values:
        """(W, K) -> (1+R, 1+K): means on the original sample and on each resample; column 0 pools the others."""
        if values.ndim != 2 or len(values) != len(self._group):
            raise ValueError(f"values must be ({len(self._group)}, K), one row per window, got {values.shape}")
        finite = enters_mean(values)
        sums, counts = np.zeros((2, self.num_sources, values.shape[1]))  # (G, K) each
        np.add.at(sums, self._group, np.where(finite, values, 0))
        np.add.at(counts, self._group, finite)
        pooled = [np.concatenate([table.sum(axis=1, keepdims=True), table], axis=1) for table in (sums, counts)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self._multiplicity @ pooled[0]) / (self._multiplicity @ pooled[1])

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
