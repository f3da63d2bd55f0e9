"""Measures of one moving object, on clips with known motion."""

import moving_object
import numpy as np
import pytest

from vidgan.data.synthetic.shape_scores import read_shapes


def gliding(dx: int, dy: int) -> np.ndarray:
    """(6, 64, 64, 3): a square of 8 pixels that starts at (28, 28) and moves by (dx, dy) per frame."""
    clip = np.zeros((6, 64, 64, 3), np.uint8)
    for time in range(6):
        clip[time, 28 + dy * time : 36 + dy * time, 28 + dx * time : 36 + dx * time] = (200, 100, 0)
    return clip


CLIPS = np.stack([gliding(0, -3), gliding(-3, 0), gliding(0, -2), gliding(-2, 0)])
MEANS = np.array([[0.0, -12.0], [-12.0, 0.0]])  # up, left


def test_motion_is_the_displacement_from_the_first_to_the_last_frame() -> None:
    np.testing.assert_allclose(moving_object.net_motion(read_shapes(CLIPS)), [[0, -15], [-15, 0], [0, -10], [-10, 0]])


def test_a_clip_belongs_to_the_category_with_the_nearest_motion() -> None:
    kinds = np.array([0, 1, 0, 1])
    row = moving_object.measures(CLIPS, kinds, MEANS)
    assert row["category"] == row["one"] == 1 and row["colour"] == pytest.approx(0)
    assert row["step"] == pytest.approx(2.5) and row["straight"] == pytest.approx(1)
    assert moving_object.measures(CLIPS, 1 - kinds, MEANS)["category"] == 0
    empty = CLIPS.copy()
    empty[0, -1] = 0
    assert moving_object.measures(empty, kinds, MEANS)["category"] == 0.75  # a clip without an object has no category
