"""Parzen-window log-likelihood, as in the first GAN paper (Goodfellow et al. 2014, after Breuleux et al. 2011).

    log p(x) = logmeanexp over samples s of (-|x - s|^2 / (2 sigma^2)) - d ln(sigma sqrt(2 pi))

History, not a score to select models by: in many dimensions it does not rank models by their samples, and centres of
k-means can exceed the true data (Theis et al. 2016). The value depends on the scale of the numbers and on d.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_NUMBERS", "SIGMAS", "best_sigma", "parzen_log_likelihood"]

Points = npt.NDArray[np.float64]  # (N, d)

MAX_NUMBERS = 256  # d above which the estimate says nothing
SIGMAS = tuple(float(sigma) for sigma in np.logspace(-2, 0, 17))
_BLOCK = 1 << 22  # distances at once


def parzen_log_likelihood(points: Points, samples: Points, sigma: float) -> npt.NDArray[np.float64]:
    """log p of each point under Gaussians of width sigma around the samples, in nats.

    Args:
        points: (N, d).
        samples: (M, d).
        sigma: standard deviation of the window, above 0.

    Returns:
        (N,) float64.

    Raises:
        ValueError: the shapes do not fit, d exceeds MAX_NUMBERS, or sigma is not positive.
    """
    points, samples = np.asarray(points, np.float64), np.asarray(samples, np.float64)
    if points.ndim != 2 or samples.ndim != 2 or points.shape[1] != samples.shape[1] or not len(samples):
        raise ValueError(f"points (N, d) and samples (M, d) are needed, got {points.shape} and {samples.shape}")
    if points.shape[1] > MAX_NUMBERS:
        raise ValueError(f"{points.shape[1]} numbers per point; at most {MAX_NUMBERS} are accepted")
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    normaliser = points.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    likelihoods = []
    rows = max(1, _BLOCK // len(samples))
    squares = (samples**2).sum(axis=1)
    for start in range(0, len(points), rows):
        some = points[start : start + rows]
        distances = np.maximum((some**2).sum(axis=1)[:, None] - 2 * some @ samples.T + squares, 0)
        exponents = -distances / (2 * sigma**2)  # (rows, M)
        largest = exponents.max(axis=1, keepdims=True)
        likelihoods.append(largest[:, 0] + np.log(np.exp(exponents - largest).mean(axis=1)) - normaliser)
    return np.concatenate(likelihoods) if likelihoods else np.zeros(0)


def best_sigma(validation: Points, samples: Points, sigmas: Sequence[float] = SIGMAS) -> float:
    """The sigma with the largest mean log-likelihood of validation points.

    Raises:
        ValueError: it is the smallest or the largest candidate, so the best one may lie outside.
    """
    means = [float(parzen_log_likelihood(validation, samples, sigma).mean()) for sigma in sigmas]
    best = int(np.argmax(means))
    if best in (0, len(sigmas) - 1):
        raise ValueError(
            f"the best sigma, {sigmas[best]:.3g}, is at the end of the candidates {sigmas[0]:.3g} to {sigmas[-1]:.3g};"
            " give a wider range"
        )
    return sigmas[best]
