"""The rule for infinite and undefined metric values."""

import numpy as np
import pytest

from vidgan.metrics.values import count_exact, count_skipped, finite_mean, finite_or_none, rank_quality

INF, NAN = np.inf, np.nan


def test_means_are_taken_over_the_finite_values() -> None:
    table = np.array([[1.0, INF, NAN], [INF, INF, NAN], [NAN, NAN, NAN], [2.0, 4.0, 9.0]])
    np.testing.assert_array_equal(finite_mean(table, axis=1), [1.0, INF, NAN, 5.0])
    np.testing.assert_array_equal(finite_mean(table, axis=0), [1.5, 4.0, 9.0])
    assert finite_mean(table) == 4.0
    assert finite_mean(table[1]) == INF and np.isnan(finite_mean(table[2]))
    assert np.isnan(finite_mean(np.zeros(0)))


def test_exact_and_skipped_frames_are_counted() -> None:
    values = np.array([[1.0, INF], [NAN, INF]])
    assert (count_exact(values), count_skipped(values)) == (2, 1)


def test_json_stores_none_for_what_is_not_finite() -> None:
    assert [finite_or_none(value) for value in (1.5, INF, NAN)] == [1.5, None, None]


@pytest.mark.parametrize(("higher", "expected"), [(True, [1.0, 2.0, INF, INF]), (False, [-1.0, -2.0, INF, INF])])
def test_a_window_without_a_finite_mean_ranks_first(higher: bool, expected: list[float]) -> None:
    assert rank_quality(np.array([1.0, 2.0, INF, NAN]), higher_is_better=higher).tolist() == expected
