"""Numbers, names and times as text."""

import pytest

from vidgan.report.formatting import count, duration, heading, short, tick_text, words


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


def test_names_become_words() -> None:
    assert (words("copy_last"), heading("psnr"), heading("frechet_inhouse")) == ("copy last", "PSNR", "Frechet inhouse")


def test_durations_and_counts() -> None:
    assert [duration(seconds) for seconds in (12, 200, 7500)] == ["12 s", "3 min 20 s", "2 h 05 min"]
    assert [count(1, "batch", "batches"), count(2, "batch", "batches")] == ["1 batch", "2 batches"]
    assert count(3, "window") == "3 windows"
