"""Reconstructions beside still clips: hand-computed numbers, and the verdict on frozen ones."""

import math

import pytest
import torch

from vidgan.metrics.still_fits import reconstruction_scores


def moving_bar(frames: int = 4) -> torch.Tensor:
    """A white column that moves one pixel to the right in each frame, (T, 3, 4, 8)."""
    clip = torch.zeros(frames, 3, 4, 8, dtype=torch.uint8)
    for t in range(frames):
        clip[t, :, :, t] = 255
    return clip


def test_values_of_a_moving_bar() -> None:
    clip = moving_bar()
    scores = reconstruction_scores(clip, clip)
    assert scores.psnr == math.inf and scores.energy_ratio == 1 and scores.correlation == pytest.approx(1)
    # A repeated frame is wrong in 2 of 8 columns of 3 of 4 frames: an error of 3/16.
    assert scores.best_frame_psnr == pytest.approx(-10 * math.log10(3 / 16), abs=1e-6)
    # The mean frame is 1/4 (64 of 255) in 4 columns: (0.75^2 + 3 * 0.25^2) / 8 = 0.09375, before rounding.
    assert scores.mean_frame_psnr == pytest.approx(-10 * math.log10(0.09375), abs=0.02)
    assert not scores.is_frozen


def test_still_and_wrongly_moving_reconstructions_are_frozen() -> None:
    clip = moving_bar()
    still = reconstruction_scores(clip[1:2].expand_as(clip), clip)
    assert still.is_frozen and still.energy_ratio == 0 and still.correlation == 0
    assert still.psnr == pytest.approx(still.best_frame_psnr)
    backward = reconstruction_scores(clip.flip(0), clip)
    assert backward.is_frozen and backward.energy_ratio == 1 and backward.correlation < 0.3


def test_an_object_displaced_by_a_pixel_still_follows() -> None:
    """16 squares along a side of 64: a thin column one pixel aside has the same coarse motion."""
    clip = torch.zeros(6, 3, 64, 64, dtype=torch.uint8)
    aside = clip.clone()
    for t in range(6):
        clip[t, :, :, 8 + 8 * t] = 255
        aside[t, :, :, 9 + 8 * t] = 255
    scores = reconstruction_scores(aside, clip)
    assert scores.correlation == pytest.approx(1) and scores.psnr < scores.best_frame_psnr + 0.01


def test_a_still_clip_cannot_be_frozen() -> None:
    clip = moving_bar()[:1].expand(4, -1, -1, -1)
    scores = reconstruction_scores(clip, clip)
    assert not scores.is_frozen and math.isnan(scores.energy_ratio)
    assert scores.to_json()["energy_ratio"] is None and scores.to_json()["frozen"] is False


def test_other_shapes_are_refused() -> None:
    clip = moving_bar()
    with pytest.raises(ValueError, match="shapes"):
        reconstruction_scores(clip[:3], clip)
    with pytest.raises(ValueError, match="uint8"):
        reconstruction_scores(clip.float(), clip)
