"""Scores of clips beside their captions, by hand."""

import pytest

from vidgan.metrics.captions import r_precision, slot_accuracy, wilson_interval

RED_UP, RED_DOWN, BLUE_UP, BLUE_DOWN = (
    {"colour": colour, "motion": motion} for colour in ("red", "blue") for motion in ("up", "down")
)
EVERY = [RED_UP, RED_DOWN, BLUE_UP, BLUE_DOWN]


def test_wilson_interval() -> None:
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_slots_and_all_of_them() -> None:
    nothing = {"colour": None, "motion": None}
    scores = slot_accuracy([RED_UP, RED_UP, BLUE_UP, BLUE_DOWN], [RED_UP, RED_DOWN, BLUE_UP, nothing])
    assert {slot: score[0] for slot, score in scores.items()} == {"colour": 0.75, "motion": 0.5, "all": 0.5}
    assert all(low < share < high for share, low, high in scores.values())


def test_r_precision_shares_ties() -> None:
    """A clip of both attributes ranks its caption first; one of one attribute shares the first place."""
    assert r_precision([RED_UP], [RED_UP], EVERY) == (1.0, 0.25)
    assert r_precision([RED_UP], [RED_DOWN], EVERY)[0] == 0.0, "the caption of what it shows ranks first"
    assert r_precision([RED_UP], [{"colour": "red", "motion": None}], EVERY)[0] == pytest.approx(1 / 2)
    assert r_precision([RED_UP], [{"colour": None, "motion": None}], EVERY)[0] == pytest.approx(1 / 4)
    assert r_precision(EVERY, [RED_UP] * 4, EVERY)[0] == pytest.approx(0.25), "clips that ignore captions: by chance"
