"""The source bootstrap: exact means, known intervals, whole sources, pairing."""

import numpy as np
import pytest

from vidgan.evaluation import Estimate, SourceBootstrap


def test_means_by_column_and_over_all() -> None:
    overall, columns = SourceBootstrap(["a", "a", "b"]).mean(np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]]))
    assert overall.mean == pytest.approx(99 / 6)
    assert [entry.mean for entry in columns] == pytest.approx([3.0, 30.0])


def test_two_sources_span_the_interval() -> None:
    # Resamples are {a, a}, {a, b}, {b, a}, {b, b}: a quarter of them is all a, so the percentiles are the extremes.
    overall, _ = SourceBootstrap(["a", "b"]).mean(np.array([[0.0], [1.0]]))
    assert overall == Estimate(0.5, 0.0, 1.0)


def test_the_interval_is_the_normal_one_for_many_sources() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, size=(400, 1))
    overall, _ = SourceBootstrap([str(i) for i in range(400)], resamples=4000).mean(values)
    assert overall.low is not None and overall.high is not None
    half = 1.96 * values.std() / 20
    assert overall.low == pytest.approx(values.mean() - half, abs=0.02)
    assert overall.high == pytest.approx(values.mean() + half, abs=0.02)


def test_windows_of_a_source_stay_together() -> None:
    # 4 sources with 25 equal windows each carry the information of 4 numbers, not of 100.
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 25)[:, None]
    grouped, _ = SourceBootstrap([str(i // 25) for i in range(100)]).mean(values)
    single, _ = SourceBootstrap([str(i) for i in range(100)]).mean(values)
    assert grouped.mean == single.mean == 1.5
    assert grouped.low is not None and grouped.high is not None and single.low is not None and single.high is not None
    assert grouped.high - grouped.low > 3 * (single.high - single.low)


def test_infinite_values_are_left_out() -> None:
    overall, columns = SourceBootstrap(["a", "b"]).mean(np.array([[1.0, np.inf], [3.0, np.inf]]))
    assert overall.mean == 2.0
    assert columns[1] == Estimate(None, None, None)


def test_one_source_has_no_interval() -> None:
    bootstrap = SourceBootstrap(["a", "a"])
    assert bootstrap.mean(np.array([[1.0], [3.0]]))[0] == Estimate(2.0, None, None)
    assert "one source video" in bootstrap.notes()[0]


def test_differences_are_paired() -> None:
    # The sources differ by hundreds, the two forecasters by exactly one everywhere.
    base = np.arange(12.0)[:, None] * 100
    overall, _ = SourceBootstrap([str(i) for i in range(12)]).difference(base + 1, base)
    assert overall == Estimate(1.0, 1.0, 1.0)
    overall, _ = SourceBootstrap(["a", "b"]).difference(np.array([[1.0], [np.inf]]), np.array([[0.0], [5.0]]))
    assert overall.mean == 1.0


def test_skill() -> None:
    reference = np.array([[0.1, 0.4], [0.3, 0.4]])
    overall, columns = SourceBootstrap(["a", "b"]).skill(reference / 4, reference)
    assert [overall.mean, overall.low, overall.high] == pytest.approx([0.75, 0.75, 0.75])
    assert [entry.mean for entry in columns] == pytest.approx([0.75, 0.75])
    still, _ = SourceBootstrap(["a", "b"]).skill(reference, np.zeros((2, 2)))
    assert still == Estimate(None, None, None)  # nothing moves: no skill can be shown


def test_the_seed_decides() -> None:
    values = np.random.default_rng(1).normal(size=(9, 1))
    names = list("aabbccdde")
    first, again, other = (SourceBootstrap(names, seed=seed).mean(values)[0] for seed in (3, 3, 4))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no window"):
        SourceBootstrap([])
    with pytest.raises(ValueError, match="at least 1000"):
        SourceBootstrap(["a"], resamples=100)
    with pytest.raises(ValueError, match=r"\(2, K\)"):
        SourceBootstrap(["a", "b"]).mean(np.zeros((3, 1)))
