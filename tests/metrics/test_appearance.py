"""Coverage, transitions, consistency and copies on features whose values are known."""

import numpy as np
import pytest

from vidgan.metrics.appearance import (
    by_lag,
    clip_points,
    consistency,
    cosines,
    coverage_scores,
    lags,
    nearest_points,
    transition_distances,
)


def test_lags() -> None:
    assert [lags(frames) for frames in (2, 3, 5, 8, 16)] == [[1], [1, 2], [1, 2, 4], [1, 2, 4, 7], [1, 2, 4, 8, 15]]


def test_consistency_is_the_cosine_over_the_lag() -> None:
    angles = np.deg2rad([0.0, 30.0, 60.0, 90.0, 120.0])
    turning = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None] * 7.0  # (1, 5, 2)
    assert consistency(turning)[0] == pytest.approx(np.cos(np.deg2rad([30, 60, 120])))
    assert consistency(turning[:, :1].repeat(5, axis=1))[0] == pytest.approx([1, 1, 1])


def test_consistency_beyond_the_training_length_is_the_mean_over_the_lags() -> None:
    angles = np.deg2rad(15.0 * np.arange(6))
    turning = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None] * 7.0  # (1, 6, 2)
    curve = by_lag(cosines(turning), 3)
    assert curve.shape == (1, 2)
    assert curve[0] == pytest.approx([np.cos(np.deg2rad(part)).mean() for part in ([15, 30], [45, 60, 75])])


def test_coverage_of_points_on_a_line() -> None:
    """Reference 0..9: the 5th neighbour of an end is 5 away, of the 4th point 4 (to 8 or -1), and so on."""
    reference = np.arange(10.0)[:, None]
    same = coverage_scores(reference, reference)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    # Six copies of the point 14: only the region of 9, which reaches 14, contains them.
    collapsed = coverage_scores(np.full((6, 1), 14.0), reference)
    assert collapsed == pytest.approx({"precision": 1.0, "recall": 0.0, "density": 1 / 5, "coverage": 0.1})
    far = coverage_scores(reference + 100, reference)
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    with pytest.raises(ValueError, match="at least 6 clips"):
        coverage_scores(reference[:5], reference)


def test_transitions_ignore_the_level_and_see_the_change() -> None:
    random = np.random.default_rng(0)
    steps = random.normal(size=(40, 6, 3))
    clips, other = steps.cumsum(axis=1), random.normal(size=(40, 6, 3)).cumsum(axis=1) + 100
    floor = transition_distances(other, clips)
    frozen = transition_distances(clips[:, :1].repeat(6, axis=1), clips)
    assert floor[0] < 0.2 and abs(floor[1]) < 0.3
    assert frozen[0] == pytest.approx(3.0, rel=0.1)  # all of the variance, 1 for each of three features
    assert transition_distances(7 * other, 7 * clips) == pytest.approx(floor)


def test_nearest_points_find_a_copy() -> None:
    random = np.random.default_rng(0)
    candidates = random.normal(size=(5, 4, 8))
    distances, rows = nearest_points(candidates[[3, 1]] * 2.0, candidates)
    assert rows == [3, 1] and distances == pytest.approx([0, 0], abs=1e-7)
    opposite, _ = nearest_points(-candidates[:1], candidates[:1])
    assert opposite == pytest.approx([2.0])


def test_clip_points() -> None:
    assert clip_points(np.arange(12.0).reshape(2, 3, 2)).tolist() == [[2, 3], [8, 9]]
