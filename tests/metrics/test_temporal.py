"""Temporal measures against hand-computed values."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vidgan.metrics.frame import psnr, psnr_y, ssim_y, to_grey
from vidgan.metrics.temporal import gradient_energy, step_energy, visible_pixels, warp_errors
from vidgan.nn.warp import warp


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_luma_psnr_of_an_equal_grey_error() -> None:
    target = torch.full((1, 3, 12, 12), 100, dtype=torch.uint8)
    output = target + 10
    assert psnr(output, target)[0] == pytest.approx(28.1308, abs=1e-4)
    assert psnr_y(output, target)[0] == pytest.approx(29.4528, abs=1e-4)  # 20 log10(255 / (10 * 219 / 255))
    assert psnr_y(target, target)[0] == np.inf
    assert ssim_y(target, target)[0] == pytest.approx(1)
    with pytest.raises(ValueError, match="3 channels"):
        psnr_y(to_grey(output), to_grey(target))


def test_luma_psnr_of_one_channel() -> None:
    target = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    output = target.clone()
    output[0, 1, 0, 0] = 255  # green: Y changes by 128.553 at one of four pixels
    assert psnr_y(output, target)[0] == pytest.approx(10 * np.log10(255**2 * 4 / 128.553**2))


def test_energies_by_hand() -> None:
    clip = torch.zeros(1, 3, 3, 1, 2, dtype=torch.uint8)
    clip[0, 1] = 51  # up by 0.2, then the right pixel by another 0.2
    clip[0, 2] = 51
    clip[0, 2, ..., 1] = 102
    np.testing.assert_allclose(step_energy(clip), [[0.2, 0.1]])
    square = torch.zeros(1, 1, 3, 2, 2, dtype=torch.uint8)
    square[..., 1] = 51  # a vertical edge: 0.2 across, 0 down
    np.testing.assert_allclose(gradient_energy(square), [[0.1]])


def test_pixels_from_outside_or_hidden_are_not_visible() -> None:
    backward = torch.zeros(1, 1, 2, 4, 6)
    backward[:, :, 0] = -2.0  # everything came from two pixels to the left
    forward = -backward
    visible = visible_pixels(backward, forward, warp)
    assert not visible[..., :2].any() and visible[..., 2:].all()
    disagreeing = forward.clone()
    disagreeing[..., 3] = -2.0  # the origin of column 5 moved elsewhere
    visible = visible_pixels(backward, disagreeing, warp)
    assert not visible[..., 5].any() and visible[..., 2:5].all()


def test_a_shifted_clip_has_no_warp_error_and_noise_has_its_own() -> None:
    first = noise(3, 8, 8)
    clip = torch.stack([first, first.roll(1, dims=-1)])[None]
    flow = torch.zeros(1, 1, 2, 8, 8)
    flow[:, :, 0] = -1.0
    inside = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    inside[..., 0] = False
    assert warp_errors(clip, flow, inside, warp)[0, 0] == pytest.approx(0, abs=1e-3)
    brighter = torch.stack([torch.full_like(first, 10), torch.full_like(first, 13)])[None]
    np.testing.assert_allclose(warp_errors(brighter, flow, inside, warp), [[3.0]], rtol=1e-5)
    assert np.isnan(warp_errors(brighter, flow, torch.zeros_like(inside), warp)).all()
    with pytest.raises(ValueError, match="need flow"):
        warp_errors(brighter, flow[..., :4], inside, warp)
