"""The Fréchet distance between two sets of features, in float64."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


def frechet_distance(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians (Dowson and Landau 1982), the form FID and FVD use.

    |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)). The last trace is taken from the symmetric matrix A S2 A with
    A = S1^(1/2), which has the same eigenvalues as S1 S2 but never complex ones; tiny negative ones are rounding.

    Args:
        mean1: (D,).
        covariance1: (D, D) symmetric, positive semi-definite; may be singular.
        mean2: (D,).
        covariance2: (D, D).

    Returns:
        A number >= 0.

    Raises:
        ValueError: the shapes do not fit or a value is not finite.
    """
    mean1, mean2, covariance1, covariance2 = (
        np.asarray(array, dtype=np.float64) for array in (mean1, mean2, covariance1, covariance2)
    )
    size = mean1.shape[0] if mean1.ndim == 1 else -1
    if mean2.shape != (size,) or covariance1.shape != (size, size) or covariance2.shape != (size, size):
        shapes = [a.shape for a in (mean1, covariance1, mean2, covariance2)]
        raise ValueError(f"frechet_distance takes (D,), (D, D), (D,), (D, D), got {shapes}")
    if not all(np.isfinite(array).all() for array in (mean1, mean2, covariance1, covariance2)):
        raise ValueError("frechet_distance got values that are not finite")
    values, vectors = np.linalg.eigh(covariance1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance2 @ root), 0)).sum()
    distance = np.square(mean1 - mean2).sum() + np.trace(covariance1) + np.trace(covariance2) - 2 * shared
    return max(0.0, float(distance))  # never negative but for rounding


def frechet_between(features1: Array, features2: Array) -> float:
    """The Fréchet distance between two feature sets (N, D) and (M, D), covariances divided by N - 1 and M - 1.

    Biased upwards by about 1/N: compare only sets of equal size, beside the floor of real against real at that size.

    Raises:
        ValueError: fewer than two rows on a side, or other feature counts.
    """
    for features in (features1, features2):
        if features.ndim != 2 or features.shape[0] < 2:
            raise ValueError(f"a feature set is (N, D) with N >= 2, got {features.shape}")
    means = [np.asarray(features.mean(axis=0), dtype=np.float64) for features in (features1, features2)]
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (features1, features2)]
    return frechet_distance(means[0], covariances[0], means[1], covariances[1])
