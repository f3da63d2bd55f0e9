"""Bradley-Terry scores against closed forms, and the coverage of their intervals."""

import math

import numpy as np
import pytest

from vidgan.metrics.preference import Vote, bradley_terry


def votes_of(wins: int, losses: int, ties: int = 0) -> list[Vote]:
    shares = [1.0] * wins + [0.0] * losses + [0.5] * ties
    return [Vote(0, 1, share, f"clip{n}") for n, share in enumerate(shares)]


def test_two_items_have_a_closed_form() -> None:
    """12 to 4 and 4 ties: 14 to 6, and half a vote each from the virtual tie: odds 14.5 / 6.5."""
    scores = bradley_terry(votes_of(12, 4, 4), 2)
    odds = math.log(14.5 / 6.5)
    first, second = (entry.mean for entry in scores.strength)
    assert first == pytest.approx(odds / 2) and second == pytest.approx(-odds / 2)
    chance = scores.preferred[0, 1]
    assert chance.mean == pytest.approx(14.5 / 21)
    half = 1.96 / math.sqrt(21 * 14.5 / 21 * 6.5 / 21)  # independent votes: 1 / (n p q); the sandwich is narrower here
    assert chance.low == pytest.approx(1 / (1 + math.exp(half - odds)), abs=0.02)


def test_unanimous_votes_keep_finite_scores_and_wide_intervals() -> None:
    chance = bradley_terry(votes_of(10, 0), 2).preferred[0, 1]
    assert chance.mean == pytest.approx(10.5 / 11) and chance.low is not None and 0.5 < chance.low < 0.75


def test_votes_on_the_same_clips_count_less() -> None:
    """Ten voters who all agree on each of ten clips know no more than one."""
    alone = [Vote(0, 1, float(n < 7), f"clip{n}") for n in range(10)]
    one, ten = (bradley_terry(alone * times, 2).preferred[0, 1] for times in (1, 10))
    assert one.low is not None and ten.low is not None and abs(one.low - ten.low) < 0.05


def test_three_items_recover_known_strengths() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([1.0, 0.0, -1.0])
    votes = []
    for n in range(6000):
        i, j = [(0, 1), (0, 2), (1, 2)][n % 3]
        chance = 1 / (1 + math.exp(truth[j] - truth[i]))
        votes.append(Vote(i, j, float(rng.random() < chance), str(n)))
    strength = [entry.mean for entry in bradley_terry(votes, 3).strength]
    assert strength == pytest.approx(truth, abs=0.1)


def test_intervals_cover_the_truth() -> None:
    """Thirty votes at a true chance of 0.7: 95 % of 400 surveys should cover it."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        wins = int((rng.random(30) < 0.7).sum())
        chance = bradley_terry(votes_of(wins, 30 - wins), 2).preferred[0, 1]
        assert chance.low is not None and chance.high is not None
        covered += chance.low <= 0.7 <= chance.high
    assert 0.92 <= covered / 400 <= 0.99


def test_items_that_were_never_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="never compared"):
        bradley_terry(votes_of(1, 1), 3)
    with pytest.raises(ValueError, match="no vote"):
        bradley_terry([], 2)
