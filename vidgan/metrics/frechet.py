"""Distances between two sets of features, in float64: Fréchet (FID, FVD) and kernel (KID, KVD)."""

import numpy as np

from vidgan.metrics.values import Values


def frechet_distance(mean1: Values, covariance1: Values, mean2: Values, covariance2: Values) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians (Dowson and Landau 1982), as in FID and FVD.

    |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)). The trace of the root comes from the symmetric matrix A S2 A with
    A = S1^(1/2), which has the eigenvalues of S1 S2 without rounding into the complex plane.

    Args:
        mean1: (D,).
        covariance1: (D, D) symmetric, positive semi-definite; may be singular.
        mean2: (D,).
        covariance2: (D, D).

    Returns:
        The distance, >= 0, in squared units of the features; 0 for equal Gaussians.

    Raises:
        ValueError: the shapes do not fit or a value is not finite.
    """
    mean1, mean2, covariance1, covariance2 = (
        np.asarray(array, dtype=np.float64) for array in (mean1, mean2, covariance1, covariance2)
    )
    size = mean1.shape[0] if mean1.ndim == 1 else -1
    if mean2.shape != (size,) or covariance1.shape != (size, size) or covariance2.shape != (size, size):
        shapes = [a.shape for a in (mean1, covariance1, mean2, covariance2)]
        raise ValueError(f"frechet_distance needs shapes (D,), (D, D), (D,), (D, D), got {shapes}")
    if not all(np.isfinite(array).all() for array in (mean1, mean2, covariance1, covariance2)):
        raise ValueError("frechet_distance needs finite means and covariances")
    values, vectors = np.linalg.eigh(covariance1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance2 @ root), 0)).sum()
    distance = np.square(mean1 - mean2).sum() + np.trace(covariance1) + np.trace(covariance2) - 2 * shared
    return max(0.0, float(distance))  # negative only by rounding


def frechet_between(features1: Values, features2: Values) -> float:
    """Fréchet distance between feature sets (N, D) and (M, D), covariances divided by N - 1 and M - 1.

    Its upward bias falls as about 1/N: compare only sets of equal size, and report the real-versus-real floor.

    Raises:
        ValueError: a set has fewer than two rows, or the sets differ in D.
    """
    _check_sets(features1, features2)
    if len(features1) + len(features2) < features1.shape[1]:
        return _frechet_of_few(np.asarray(features1, dtype=np.float64), np.asarray(features2, dtype=np.float64))
    means = [np.asarray(features.mean(axis=0), dtype=np.float64) for features in (features1, features2)]
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (features1, features2)]
    return frechet_distance(means[0], covariances[0], means[1], covariances[1])


def _frechet_of_few(features1: Values, features2: Values) -> float:
    """`frechet_between` for fewer rows than features, without a matrix of the number of features.

    With S1 = A'A and S2 = B'B, the eigenvalues of S1 S2 are the squared singular values of AB'.
    """
    means = [features.mean(axis=0) for features in (features1, features2)]
    parts = [
        (features - mean) / np.sqrt(len(features) - 1)
        for features, mean in zip((features1, features2), means, strict=True)
    ]
    shared = np.linalg.svd(parts[0] @ parts[1].T, compute_uv=False).sum()
    spread = sum(np.square(part).sum() for part in parts)
    return max(0.0, float(np.square(means[0] - means[1]).sum() + spread - 2 * shared))


def kernel_distance(features1: Values, features2: Values) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (KID, Binkowski et al. 2018; KVD).

    Its expectation is 0 for two samples of one distribution, whatever their size, so it suits sets too small for a
    Fréchet distance. A single value may be negative.

    Args:
        features1: (N, D), N >= 2.
        features2: (M, D), M >= 2.

    Raises:
        ValueError: a set has fewer than two rows, or the sets differ in D.
    """
    _check_sets(features1, features2)
    first, second = (np.asarray(features, dtype=np.float64) for features in (features1, features2))
    within = 0.0
    for rows in (first, second):
        kernel = _cubic_kernel(rows, rows)
        number = len(rows)
        within += (kernel.sum() - np.trace(kernel)) / (number * (number - 1))
    return float(within - 2 * _cubic_kernel(first, second).mean())


def _cubic_kernel(first: Values, second: Values) -> Values:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _check_sets(features1: Values, features2: Values) -> None:
    for features in (features1, features2):
        if features.ndim != 2 or features.shape[0] < 2:
            raise ValueError(f"a feature set must be (N, D) with N >= 2, got {features.shape}")
    if features1.shape[1] != features2.shape[1]:
        raise ValueError(f"both feature sets must have the same D, got {features1.shape} and {features2.shape}")
