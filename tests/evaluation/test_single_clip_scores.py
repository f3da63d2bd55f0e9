"""Scores of clips from one clip, on clips whose scores are known."""

import pytest
import torch

from vidgan.evaluation.single_clip import measure_clips, reference_clips
from vidgan.types import ByteClip


@pytest.fixture(scope="module")
def source() -> ByteClip:
    """A textured square that moves over a textured ground: (10, 3, 36, 40)."""
    draws = torch.Generator().manual_seed(0)
    ground, square = (torch.rand(3, *size, generator=draws) for size in ((36, 40), (14, 14)))
    clip = ground.repeat(10, 1, 1, 1)
    for t in range(10):
        clip[t, :, 10:24, 2 + 2 * t : 16 + 2 * t] = square
    return (clip * 255).round().to(torch.uint8)


def test_copies_have_neither_distance_nor_diversity(source: ByteClip) -> None:
    scores = measure_clips(source, reference_clips(source, 2)["copy"])
    assert scores["nearest_patch"] == 0 and scores["rearranged"] == 0 and scores["spread"] == 0
    assert scores["motion_ratio"] == scores["warp_ratio"] == scores["sharpness_ratio"] == 1


def test_a_shifted_copy_has_no_distance_and_is_not_rearranged(source: ByteClip) -> None:
    scores = measure_clips(source, source[None, :, :, 3:, 2:])
    assert scores["nearest_patch"] == pytest.approx(0, abs=1e-6) and scores["spread"] is None
    assert scores["rearranged"] < 0.1  # a patch that stands still has equals at other times, with other neighbours


def test_reference_rows_fail_in_the_way_that_they_should(source: ByteClip) -> None:
    rows = {name: measure_clips(source, clips) for name, clips in reference_clips(source, 3).items()}
    assert rows["frozen"]["motion_ratio"] == 0
    assert rows["shuffled"]["motion_ratio"] > 1.1
    assert rows["reversed"]["motion_ratio"] == pytest.approx(1) and rows["reversed"]["spread"] == 0
    assert rows["noise"]["nearest_patch"] > 3 * rows["shuffled"]["nearest_patch"] > 0
    assert rows["shuffled"]["spread"] > 0.1


def test_an_exact_distance(source: ByteClip) -> None:
    black = torch.zeros(6, 3, 8, 8, dtype=torch.uint8)
    scores = measure_clips(black, black[None] + 51)
    assert scores["nearest_patch"] == pytest.approx(0.2)
    assert scores["motion_ratio"] is None and scores["warp_ratio"] is None


def test_clips_smaller_than_a_patch_are_refused(source: ByteClip) -> None:
    with pytest.raises(ValueError, match="smaller than the patches"):
        measure_clips(source, source[None, :2])
