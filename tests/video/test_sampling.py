"""Index and time arithmetic."""

import math
from fractions import Fraction

import pytest

from vidgan.video.sampling import clip_starts, presentation_times, resample_indices


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
def test_a_clip_starts_wherever_its_last_frame_exists(total: int, frames: int, stride: int, starts: list[int]) -> None:
    assert list(clip_starts(total, frames, stride)) == starts


@pytest.mark.parametrize("call", [lambda: clip_starts(5, 0), lambda: clip_starts(5, 1, 0)])
def test_counts_below_one_are_rejected(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="(frames|stride).*1, got 0"):
        call()


def test_a_third_of_the_rate_takes_every_third_frame() -> None:
    times = [k / 30 for k in range(31)]
    assert resample_indices(times, 10) == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30]


def test_of_two_equally_distant_frames_the_earlier_one_is_chosen() -> None:
    # Ticks 0.05, 0.15, ... are half way between two frames.
    times = [k / 30 for k in range(13)]
    assert resample_indices(times, 20) == [0, 1, 3, 4, 6, 7, 9, 10, 12]


def test_a_higher_rate_repeats_frames() -> None:
    assert resample_indices([0.0, 0.1, 0.2], 20) == [0, 0, 1, 1, 2]
    assert resample_indices([0.0, 0.1, 0.2], 30) == [0, 0, 1, 1, 1, 2, 2]


def test_irregular_frames_are_chosen_by_time_and_not_by_index() -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.0]
    # Ticks 0, 0.25, 0.5, 0.75, 1: at 0.25 frame 2 (0.08) is closer than frame 3 (0.5).
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


def test_invalid_times_and_rates_are_rejected() -> None:
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


def test_times_continue_after_the_clock_is_set_back() -> None:
    times, repaired = presentation_times([0, 40, 80, 0, 40, 80], Fraction(1, 1000), Fraction(25))
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.20])
    assert repaired == 1


def test_a_repeated_timestamp_gives_a_later_time() -> None:
    times, repaired = presentation_times([0, 40, 40, 80], Fraction(1, 1000), Fraction(25))
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert repaired == 1
