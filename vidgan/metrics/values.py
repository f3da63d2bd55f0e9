"""Arrays of metric values, and the one rule for values that are not finite.

A decibel metric (PSNR, sharpness) of two identical frames is +inf: the frame is *exact*. A metric whose definition
leaves a frame out (a motion mask without a moving pixel) gives NaN: the frame is *skipped*. Neither is replaced by
a cap such as 100 dB, because the choice of the cap would decide the mean. Instead:

- arrays of measurements keep +inf and NaN, in memory and in `RESULT.rows.npz`;
- a mean is taken over the finite values; a mean over exact values alone is +inf, over skipped ones alone NaN;
- a result reports the number of exact and of skipped frames with each mean;
- JSON has no infinity: a value that is not finite is stored as null, and printed as a dash;
- a window without a finite mean ranks above every other one;
- paired differences use the pairs in which both values are finite.
"""

from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

EXACT_TEXT = "identical to the truth"  # what a reader sees for the mean of a window whose frames are all exact


def enters_mean(values: Values) -> npt.NDArray[np.bool_]:
    """Select the values that enter a mean: neither exact (+inf) nor skipped (NaN)."""
    return np.isfinite(values)


@overload
def finite_mean(values: Values) -> float: ...
@overload
def finite_mean(values: Values, axis: int) -> Values: ...
def finite_mean(values: Values, axis: int | None = None) -> float | Values:
    """Mean over the finite values, along ``axis`` or over the whole array.

    Returns:
        float64 without the reduced axis; without finite values, +inf if any value is exact and NaN if all are skipped.
    """
    finite = enters_mean(values)
    without = np.where(np.isnan(values).all(axis=axis), np.nan, np.inf)
    if axis is None:
        return float(values[finite].mean()) if finite.any() else float(without)
    count = finite.sum(axis=axis)
    mean = np.where(finite, values, 0).sum(axis=axis) / np.maximum(count, 1)
    return np.where(count > 0, mean, without)


def count_exact(values: Values) -> int:
    """Number of exact frames."""
    return int(np.isinf(values).sum())


def count_skipped(values: Values) -> int:
    """Number of skipped frames."""
    return int(np.isnan(values).sum())


def finite_or_none(value: float) -> float | None:
    """The value as JSON stores it: None if it is not finite."""
    return float(value) if np.isfinite(value) else None


def rank_quality(means: Values, *, higher_is_better: bool) -> Values:
    """Means turned so that larger is better; +inf for a mean that is not finite."""
    return np.where(enters_mean(means), means if higher_is_better else -means, np.inf)
