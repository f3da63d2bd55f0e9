"""Overlap of masks and background subtraction on clips whose moving pixels are known."""

import pytest
import torch

from vidgan.data.synthetic.shapes import chroma_mask, render_moving_shape
from vidgan.metrics.segmentation import intersection_over_union, moving_share, off_background


def test_overlap_by_hand() -> None:
    first = torch.zeros(3, 1, 2, 2, dtype=torch.bool)
    second = first.clone()
    first[0, 0, 0] = True  # two pixels, one of them shared
    second[0, 0, :, 0] = True
    first[1] = True
    assert intersection_over_union(first, second).tolist() == pytest.approx([1 / 3, 0, 1])
    with pytest.raises(ValueError, match="bool"):
        intersection_over_union(first, second.float())


def test_background_subtraction_finds_a_pixel_that_moves() -> None:
    clips = torch.full((1, 4, 3, 2, 4), 40, dtype=torch.uint8)
    for t in range(4):
        clips[0, t, 1, 0, t] = 67  # 27 levels above the rest, in one channel
    expected = torch.zeros(1, 4, 2, 4, dtype=torch.bool)
    expected[0, torch.arange(4), 0, torch.arange(4)] = True
    assert off_background(clips).equal(expected)
    assert moving_share(clips).tolist() == [1 / 8]
    assert not off_background(clips, threshold=27).any()


@pytest.mark.parametrize("textured", [False, True])
def test_the_colour_rule_equals_the_exact_mask_of_shapes(textured: bool) -> None:
    scores = []
    for index in range(9):
        shape = render_moving_shape(3, index, frames=4, size=64, textured=textured)
        truth, rule = torch.from_numpy(shape.mask > 0.5), torch.from_numpy(chroma_mask(shape.frames))
        scores.append(float(intersection_over_union(rule[None], truth[None])[0]))
    assert min(scores) > 0.95


def test_a_texture_changes_the_background_only() -> None:
    plain, textured = (render_moving_shape(3, 4, frames=3, size=32, textured=flag) for flag in (False, True))
    assert (plain.mask == textured.mask).all() and (plain.flow == textured.flow).all()
    inside, outside = plain.mask == 1, plain.mask == 0
    assert (plain.frames[inside] == textured.frames[inside]).all()
    still = outside.all(axis=0)
    assert (textured.frames[:, still] == textured.frames[:1, still]).all()
    assert textured.frames[0][still].std() > 5 > plain.frames[0][still].std()
