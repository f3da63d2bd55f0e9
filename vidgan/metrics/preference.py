"""Bradley-Terry scores of paired votes.

The model: i is preferred to j with probability 1 / (1 + exp(s_j - s_i)) (Bradley and Terry 1952). Scores add up to
zero. A tie counts as half a vote for each side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vidgan.metrics.statistics import NORMAL, Estimate

__all__ = ["PRIOR_VOTES", "Scores", "Vote", "bradley_terry"]

PRIOR_VOTES = 1.0  # a virtual tie of each pair that was compared, so that unanimous votes keep a finite score
STEPS, PRECISE = 100, 1e-12


class Vote(NamedTuple):
    """One comparison: the numbers of two items, the share of the vote that the first gets, and what was compared.

    Votes of one `unit` (the same clip) may depend on each other.
    """

    first: int
    second: int
    share: float  # 1: the first is preferred, 0: the second, 0.5: a tie
    unit: str


@dataclass(frozen=True)
class Scores:
    """Scores of N items.

    Attributes:
        strength: (N,) log-odds, mean zero, with 95 % intervals.
        preferred: (i, j) for i < j -> probability that i is preferred to j, with its 95 % interval.
    """

    strength: list[Estimate]
    preferred: dict[tuple[int, int], Estimate]


def bradley_terry(votes: Sequence[Vote], items: int) -> Scores:
    """Maximum-likelihood scores with one virtual tie per compared pair.

    The variance is the larger of that of independent votes (inverse information) and of votes that depend on each other
    within a unit (sandwich estimator over units).

    Args:
        votes: at least one.
        items: N, their number.

    Raises:
        ValueError: no vote, or items that no chain of comparisons connects.
    """
    if not votes:
        raise ValueError("no vote is left to score")
    wins = np.zeros((items, items))  # wins[i, j]: votes for i against j
    for vote in votes:
        wins[vote.first, vote.second] += vote.share
        wins[vote.second, vote.first] += 1 - vote.share
    compared = wins + wins.T > 0
    if (np.linalg.matrix_power(compared + np.eye(items), items)[0] == 0).any():
        raise ValueError("some sets were never compared, directly or through others, so that no common score exists")
    wins = wins + PRIOR_VOTES / 2 * compared
    strength = np.zeros(items)
    for _ in range(STEPS):
        step = np.linalg.pinv(_information(wins, strength)) @ _gradient(wins, strength)
        strength += np.clip(step, -1, 1)
        if np.abs(step).max() < PRECISE:
            break
    inverse = np.linalg.pinv(_information(wins, strength))
    robust = inverse @ _scatter(votes, strength) @ inverse
    centred = np.eye(items) - 1 / items
    widths = [_width(direction, inverse, robust) for direction in centred]
    preferred = {}
    for i in range(items):
        for j in range(i + 1, items):
            direction = np.eye(items)[i] - np.eye(items)[j]
            difference, half = strength[i] - strength[j], _width(direction, inverse, robust)
            preferred[i, j] = Estimate(
                *(float(_logistic(x)) for x in (difference, difference - half, difference + half))
            )
    return Scores(
        [Estimate(float(s), float(s - half), float(s + half)) for s, half in zip(strength, widths, strict=True)],
        preferred,
    )


def _logistic(x: np.ndarray | float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.asarray(x))))


def _gradient(wins: np.ndarray, strength: np.ndarray) -> np.ndarray:
    chance = _logistic(strength[:, None] - strength[None])
    return np.asarray((wins - (wins + wins.T) * chance).sum(axis=1))


def _information(wins: np.ndarray, strength: np.ndarray) -> np.ndarray:
    chance = _logistic(strength[:, None] - strength[None])
    weight = (wins + wins.T) * chance * (1 - chance)
    np.fill_diagonal(weight, 0)
    return np.asarray(np.diag(weight.sum(axis=1)) - weight)


def _scatter(votes: Sequence[Vote], strength: np.ndarray) -> np.ndarray:
    """Sum over units of the outer product of their gradients, with the correction for few units."""
    gradients: dict[str, np.ndarray] = {}
    for vote in votes:
        residual = vote.share - float(_logistic(strength[vote.first] - strength[vote.second]))
        gradient = gradients.setdefault(vote.unit, np.zeros(len(strength)))
        gradient[vote.first] += residual
        gradient[vote.second] -= residual
    total = sum((np.outer(g, g) for g in gradients.values()), np.zeros((len(strength),) * 2))
    return np.asarray(total * len(gradients) / max(1, len(gradients) - 1))


def _width(direction: np.ndarray, inverse: np.ndarray, robust: np.ndarray) -> float:
    """Half of the interval of a linear combination of scores."""
    variance = max(float(direction @ inverse @ direction), float(direction @ robust @ direction))
    return NORMAL * variance**0.5
