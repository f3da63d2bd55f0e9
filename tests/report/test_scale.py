"""Tick marks, number texts, running means and thinning, by hand."""

import math

import pytest

from vidgan.report.scale import log_ticks, nice_ticks, quantile, running_mean, short, thin, tick_text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.13, 0.97, [0.2, 0.4, 0.6, 0.8]),
        (-3, 7, [-2, 0, 2, 4, 6]),
        (0, 2000, [0, 500, 1000, 1500, 2000]),
        (1e-5, 4.1e-5, [1e-5, 2e-5, 3e-5, 4e-5]),
        (99.9, 100.1, [99.9, 99.95, 100, 100.05, 100.1]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == expected


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_an_empty_range_has_no_ticks(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="finite low < high"):
        nice_ticks(low, high)


def test_log_ticks_are_decades_or_steps_between() -> None:
    assert log_ticks(-3, 1) == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10])
    assert log_ticks(-12, 6) == pytest.approx([1e-12, 1e-8, 1e-4, 1, 1e4])
    assert log_ticks(math.log10(0.15), math.log10(6)) == pytest.approx([0.2, 0.5, 1, 2, 5])
    narrow = log_ticks(math.log10(3.1), math.log10(3.9))
    assert narrow == pytest.approx([3.2, 3.4, 3.6, 3.8])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.123456, "0.1235"),
        (12345.6, "12,346"),
        (1e-4, "1e-4"),
        (2.5e-5, "2.5e-5"),
        (3.2e9, "3.2e9"),
        (-7, "-7"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_ticks_of_long_runs_are_short() -> None:
    assert [tick_text(value) for value in (0, 50_000, 250_000, 1_500_000)] == ["0", "50,000", "250k", "1.5M"]
    assert short(0.123456, 2) == "0.12"


def test_the_running_mean_is_centred_and_shorter_at_the_ends() -> None:
    assert running_mean([1, 2, 3, 10, 5], 3) == pytest.approx([1.5, 2, 5, 6, 7.5])
    assert running_mean([4, 5], 1) == [4, 5]
    assert running_mean([], 3) == []


def test_thinning_keeps_ends_and_extremes() -> None:
    points = [(float(i), math.sin(i / 50)) for i in range(5000)]
    points[1234] = (1234.0, 99.0)
    points[4321] = (4321.0, -99.0)
    thinned = thin(points, 400)
    assert len(thinned) <= 400
    assert thinned[0] == points[0] and thinned[-1] == points[-1]
    assert (1234.0, 99.0) in thinned and (4321.0, -99.0) in thinned
    assert thinned == sorted(thinned)
    assert thin(points[:400], 400) == points[:400]


def test_quantiles_by_nearest_rank() -> None:
    assert [quantile([5, 1, 3, 2, 4], share) for share in (0, 0.5, 0.75, 1)] == [1, 3, 4, 5]
