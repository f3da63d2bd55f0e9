"""Captioned shapes: what is rendered is what captions say, and what detectors read."""

import itertools
from collections import Counter

import numpy as np
import pytest

from vidgan.data.synthetic.captioned import (
    FRAMES,
    SLOTS,
    caption_of,
    combinations,
    is_held_out,
    read_slots,
    render_captioned_shape,
)
from vidgan.tokens import split_words


@pytest.mark.parametrize("size", [32, 64])
def test_detectors_read_every_combination_of_rendered_clips(size: int) -> None:
    every = [*combinations(held_out=False), *combinations(held_out=True)]
    assert len(every) == 192
    clips = np.stack([render_captioned_shape(5, i, one, size=size).frames for i, one in enumerate(every)])
    assert read_slots(clips) == every


def test_nothing_is_read_where_nothing_of_the_kind_is_shown() -> None:
    empty = np.full((1, FRAMES, 32, 32, 3), 12, np.uint8)
    assert read_slots(empty) == [dict.fromkeys(SLOTS)]
    clip = render_captioned_shape(0, 0, combinations(held_out=False)[0], size=32).frames
    (still,) = read_slots(np.broadcast_to(clip[:1], clip.shape)[None])
    assert still["motion"] is None and still["speed"] is None and still["colour"] == "red"
    (grey,) = read_slots(np.repeat(clip.max(axis=-1, keepdims=True), 3, axis=-1)[None])
    assert grey["colour"] is None and grey["motion"] is not None
    (back,) = read_slots(clip[None, ::-1])
    (forth,) = read_slots(clip[None])
    assert {back["motion"], forth["motion"]} == {"left", "right"} or {back["motion"], forth["motion"]} == {"up", "down"}


def test_held_out_combinations_leave_every_pair_of_words_in_training() -> None:
    seen, held = combinations(held_out=False), combinations(held_out=True)
    assert len(held) == 32 and not any(is_held_out(one) for one in seen)
    assert not {tuple(one.values()) for one in seen} & {tuple(one.values()) for one in held}
    for first, second in itertools.combinations(SLOTS, 2):
        pairs = Counter((one[first], one[second]) for one in seen)
        assert len(pairs) == len(SLOTS[first]) * len(SLOTS[second]) and min(pairs.values()) >= 8


def test_captions_name_every_attribute() -> None:
    (attributes,) = [one for one in combinations(held_out=True) if one["shape"] == "disc"][:1]
    for sentence, word, verb in itertools.product(range(3), range(2), range(2)):
        words = set(split_words(caption_of(attributes, sentence, word, verb)))
        assert all(words & set(SLOTS[slot][value]) for slot, value in attributes.items())
    assert len({caption_of(attributes, *numbers) for numbers in itertools.product(range(3), range(2), range(2))}) == 12


def test_clips_depend_on_their_key_and_stay_inside() -> None:
    attributes = {"colour": "blue", "shape": "triangle", "size": "large", "motion": "down", "speed": "fast"}
    one, same, other = (render_captioned_shape(3, index, attributes, size=32).frames for index in (7, 7, 8))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    edge = np.concatenate([one[:, 0].ravel(), one[:, -1].ravel(), one[:, :, 0].ravel(), one[:, :, -1].ravel()])
    assert edge.max() <= 16, "only background at the border"
    with pytest.raises(ValueError, match="frames 9"):
        render_captioned_shape(3, 7, attributes, frames=9)
