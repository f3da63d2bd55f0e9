"""Scores of moving shapes, on clips with known answers."""

import numpy as np
import pytest

from vidgan.data.synthetic.shape_scores import (
    DEFINITIONS,
    PATHS,
    Reading,
    best_permutation,
    colour_floor,
    matched_attributes,
    path_scores,
    read_shapes,
    shape_scores,
)
from vidgan.data.synthetic.shapes import BACKGROUND, SHAPES, recoloured, render_moving_shape

RENDERED = [render_moving_shape(3, index, frames=24, size=32) for index in range(18)]
CLIPS = np.stack([shape.frames[::2] for shape in RENDERED])
CATEGORIES = np.array([shape.category for shape in RENDERED])


def test_rendered_clips_reach_the_maximum_of_every_score() -> None:
    scores = shape_scores(CLIPS, CATEGORIES)
    assert scores.keys() == DEFINITIONS.keys()
    assert scores["one"] == scores["shape_held"] == scores["category"] == 1
    assert scores["outline"] > 0.99 and scores["colour"] < 0.005


def test_shape_colour_and_position_are_measured() -> None:
    reading = read_shapes(CLIPS)
    assert (reading.shape == np.array([shape.shape for shape in RENDERED])[:, None]).all()
    colours = np.array([shape.colour for shape in RENDERED])[:, None] / 255
    assert np.abs(reading.colour - colours).max() < 0.03
    round_or_square = [row for row, shape in enumerate(RENDERED) if SHAPES[shape.shape] != "triangle"]
    centres = np.stack([RENDERED[row].centres[::2] for row in round_or_square])
    assert np.abs(reading.centre[round_or_square] - centres).max() < 0.6


def test_wrong_categories_are_detected() -> None:
    assert shape_scores(CLIPS, (CATEGORIES + 1) % 3)["category"] == 0
    still = np.repeat(CLIPS[:, :1], 12, axis=1)
    assert shape_scores(still, CATEGORIES)["category"] == 0  # a path without motion has no category


def test_empty_frames_and_second_objects_are_detected() -> None:
    empty = CLIPS.copy()
    empty[:, ::2] = BACKGROUND
    scores = shape_scores(empty, CATEGORIES)
    assert scores["one"] == scores["shape_held"] == 0.5
    assert scores["outline"] == pytest.approx(0.5, abs=0.01)
    double = np.maximum(CLIPS, CLIPS[:, :, ::-1, ::-1])
    assert shape_scores(double, CATEGORIES)["one"] < 0.7


def test_blurred_outlines_and_changing_colours_are_detected() -> None:
    blurred = CLIPS.astype(np.float64)
    for axis in (2, 3):
        blurred = np.mean([np.roll(blurred, by, axis) for by in (-2, -1, 0, 1, 2)], axis=0)
    assert shape_scores(blurred.astype(np.uint8), CATEGORIES)["outline"] < 0.85
    faded = (CLIPS * np.linspace(1, 0.5, 12)[:, None, None, None]).astype(np.uint8)
    assert shape_scores(faded, CATEGORIES)["colour"] > 0.04


def test_a_path_is_measured() -> None:
    """A square of 8 pixels that moves 2 pixels right per frame, and one of 12 pixels that moves down 3 and back."""
    clips = np.zeros((2, 5, 64, 64, 3), np.uint8)
    for time, down in enumerate((0, 3, 6, 3, 0)):
        clips[0, time, 20:28, 10 + 2 * time : 18 + 2 * time] = (255, 0, 0)
        clips[1, time, 30 + down : 42 + down, 40:52] = (0, 255, 0)
    scores = path_scores(read_shapes(clips))
    assert scores.keys() == PATHS.keys()
    assert scores["step"] == pytest.approx(2.5) and scores["path"] == pytest.approx(10)
    assert scores["straight"] == pytest.approx(0.5)  # one ends 8 pixels away, the other at its start
    assert scores["turn"] == pytest.approx((0 + 2 / 3) / 2)  # three changes of step, one of them of 6 pixels
    assert scores["size_held"] == pytest.approx(0) and scores["size_spread"] == pytest.approx(2)
    assert scores["colour_spread"] == pytest.approx(1 / 3)
    assert scores["start_spread"] == pytest.approx(np.mean([np.std([13.5, 45.5]), np.std([23.5, 35.5])]))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"accepted: uint8 \(N, T, H, W, 3\)"):
        read_shapes(CLIPS.astype(np.float32))


def test_what_a_translation_keeps() -> None:
    """A recoloured clip keeps all but its colour; another clip keeps its shape and path by chance."""
    shapes = [render_moving_shape(0, index, frames=4, size=32) for index in range(4)]
    given = read_shapes(np.stack([shape.frames for shape in shapes]))
    blue = read_shapes(np.stack([recoloured(shape, (20, 40, 230)) for shape in shapes]))
    kept = matched_attributes(given, blue)
    assert kept["shape"] == kept["visible"] == 1 and kept["motion"] < 0.3 and kept["size"] == pytest.approx(1, abs=0.05)
    assert blue.colour.mean(axis=(0, 1)) * 255 == pytest.approx((20, 40, 230), abs=4)
    moved = matched_attributes(given, Reading(*(part[::-1] for part in blue)))
    assert moved["motion"] > 2


def test_mappings_are_scored_up_to_a_permutation() -> None:
    classes = np.array([0, 0, 1, 1, 2, 2])
    assert best_permutation(classes, (classes + 1) % 3, 3) == (1.0, [1, 2, 0])
    share, order = best_permutation(classes, np.array([2, 2, 1, -1, 0, 0]), 3)
    assert (share, order) == (pytest.approx(5 / 6), [2, 1, 0])
    assert best_permutation(classes, np.zeros(6, np.int64), 3)[0] == pytest.approx(1 / 3), "all to one is no mapping"


def test_no_honest_return_is_below_the_colour_floor() -> None:
    """Two colours, .2 and .6 in every channel: the variance is .04; over a quarter of the frame, .01."""
    colour = np.array([0.2, 0.6])[:, None, None] * np.ones((2, 3, 3))
    empty = np.zeros((2, 3))
    reading = Reading(empty.astype(int), empty.astype(int), empty, colour, np.zeros((2, 3, 2)), empty)
    assert colour_floor(reading, 0.25) == pytest.approx(0.01)
