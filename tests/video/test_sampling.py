"""Index and time arithmetic."""

import math
from fractions import Fraction

import pytest

from vidgan.video.sampling import clip_starts, presentation_times, resample_indices, windows


@pytest.mark.parametrize(
    ("total", "frames", "stride", "starts"),
    [
        (10, 4, 1, [0, 1, 2, 3, 4, 5, 6]),
        (10, 4, 3, [0]),  # frames 0, 3, 6, 9
        (9, 4, 3, []),
        (4, 4, 1, [0]),
        (3, 4, 1, []),
        (0, 1, 1, []),
        (5, 1, 7, [0, 1, 2, 3, 4]),
    ],
)
def test_a_clip_starts_wherever_its_last_frame_still_exists(
    total: int, frames: int, stride: int, starts: list[int]
) -> None:
    assert list(clip_starts(total, frames, stride)) == starts


def test_windows_lie_wholly_within_the_video() -> None:
    assert windows(20, 10, 5) == [0, 5, 10]
    assert windows(19, 10, 5) == [0, 5]
    assert windows(10, 10, 5) == [0]
    assert windows(9, 10, 5) == []


@pytest.mark.parametrize("call", [lambda: clip_starts(5, 0), lambda: clip_starts(5, 1, 0), lambda: windows(5, 2, 0)])
def test_counts_below_one_are_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        call()


def test_a_third_of_the_rate_takes_every_third_frame() -> None:
    times = [k / 30 for k in range(31)]
    assert resample_indices(times, 10) == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30]


def test_of_two_equally_near_frames_the_earlier_one_is_taken() -> None:
    # Ticks 0.05, 0.15, ... lie half way between two frames.
    times = [k / 30 for k in range(13)]
    assert resample_indices(times, 20) == [0, 1, 3, 4, 6, 7, 9, 10, 12]


def test_a_higher_rate_repeats_frames() -> None:
    assert resample_indices([0.0, 0.1, 0.2], 20) == [0, 0, 1, 1, 2]
    assert resample_indices([0.0, 0.1, 0.2], 30) == [0, 0, 1, 1, 1, 2, 2]


def test_uneven_times_are_met_by_time_and_not_by_index() -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.0]
    # Ticks 0, 0.25, 0.5, 0.75, 1: at 0.25 frame 2 (0.08) is nearer than frame 3 (0.5).
    assert resample_indices(times, 4) == [0, 2, 3, 4, 5]


def test_ticks_count_from_the_first_frame() -> None:
    assert resample_indices([5.0, 5.5, 6.0], 1) == [0, 2]
    assert resample_indices([5.0], 25) == [0]
    assert resample_indices([], 25) == []


@pytest.mark.parametrize("rate", [7.3, 12.5, 24.0, 25.0, 29.97, 59.94])
def test_every_tick_gets_the_nearest_frame(rate: float) -> None:
    times = [k * 1001 / 30000 for k in range(100)]
    chosen = resample_indices(times, rate)
    assert len(chosen) == math.floor(times[-1] * rate + 1e-6) + 1
    for k, index in enumerate(chosen):
        assert abs(times[index] - k / rate) <= min(abs(time - k / rate) for time in times) + 1e-8


def test_bad_times_and_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="must increase"):
        resample_indices([0.0, 0.2, 0.1], 10)
    for fps in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="fps"):
            resample_indices([0.0, 0.1], fps)


def test_presentation_times_start_at_zero() -> None:
    assert presentation_times([50, 90, 130], Fraction(1, 1000), Fraction(25)) == ([0.0, 0.04, 0.08], 0)


def test_missing_timestamps_are_filled_at_the_nominal_rate() -> None:
    times, repaired = presentation_times([None, None, None], Fraction(1, 1000), Fraction(20))
    assert times == pytest.approx([0.0, 0.05, 0.1])
    assert repaired == 3
    times, repaired = presentation_times([0, None, 100, None], Fraction(1, 1000), Fraction(20))
    assert times == pytest.approx([0.0, 0.05, 0.1, 0.15])
    assert repaired == 2


def test_a_clock_that_goes_back_goes_on_from_there() -> None:
    times, repaired = presentation_times([0, 40, 80, 0, 40, 80], Fraction(1, 1000), Fraction(25))
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.20])
    assert repaired == 1


def test_a_timestamp_that_repeats_still_gives_a_later_time() -> None:
    times, repaired = presentation_times([0, 40, 40, 80], Fraction(1, 1000), Fraction(25))
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert repaired == 1
