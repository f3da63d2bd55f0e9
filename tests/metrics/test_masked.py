"""The three UCF-101 protocols on frames whose values are worked out by hand."""

import math

import numpy as np
import pytest
import torch

from vidgan.metrics.frame import METRICS
from vidgan.metrics.masked import MASKED, flow_picture_mask


def moving_corner(error: int = 51) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A grey frame of 16x16 where a 4x4 corner moves; wrong by ``error`` there and by 100 where nothing moves."""
    target = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[:, :4, :4] = True
    prediction = torch.where(mask, target + error, target + 100)
    return prediction, target, mask


def test_psnr_over_the_frame_and_over_the_moving_pixels() -> None:
    prediction, target, mask = moving_corner()
    # Mathieu: 16 of 256 pixels are wrong by 51 = 0.2 of the range. DVF: the same error over those 16 alone.
    mathieu, counted = MASKED["mathieu_psnr"].function(prediction, target, mask)
    assert mathieu == pytest.approx(-10 * math.log10(0.04 / 16)) and counted
    dvf, counted = MASKED["dvf_psnr"].function(prediction, target, mask)
    assert dvf == pytest.approx(-10 * math.log10(0.04)) and counted
    # MCNet: every pixel counts, also the 240 that are wrong by 100.
    full, counted = MASKED["full_psnr"].function(prediction, target, mask)
    assert full == pytest.approx(-10 * math.log10((16 * 51**2 + 240 * 100**2) / 256 / 255**2)) and counted


def test_skipped_frames() -> None:
    prediction, target, mask = moving_corner()
    barely, _, _ = moving_corner(error=1)  # 60 dB of the frame, 48 dB of the moving sixteenth
    still = torch.zeros_like(mask)
    predictions = torch.stack([prediction, barely, target, prediction])
    targets, masks = torch.stack([target] * 4), torch.stack([mask, mask, mask, still])
    results = {name: m.function(predictions, targets, masks) for name, m in MASKED.items()}
    for name in ("mathieu_psnr", "mathieu_ssim", "mathieu_sharpness"):
        assert results[name][1].tolist() == [True, False, False, False], name
    for name in ("dvf_psnr", "dvf_ssim"):
        assert results[name][1].tolist() == [True, True, False, False], name
    assert results["full_psnr"][1].tolist() == [True, True, False, True]
    assert results["full_ssim"][1].all()
    for values, counted in results.values():
        assert np.isfinite(values).all() and (values[~counted] == 0).all()


def test_ssim_borders() -> None:
    # Both frames are uniform: every kernel covers one level, or one level and the border.
    target = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    prediction = torch.full((3, 16, 16), 150, dtype=torch.uint8)
    everywhere = torch.ones(1, 16, 16, dtype=torch.bool)
    c1 = (0.01 * 255) ** 2
    inner = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    # A replicated border keeps the frames uniform, so the map is constant.
    assert MASKED["dvf_ssim"].function(prediction, target, everywhere)[0] == pytest.approx(inner, abs=1e-9)
    assert MASKED["full_ssim"].function(prediction, target, everywhere)[0] == pytest.approx(inner, abs=1e-6)
    # The 'full' border adds black: its edge correlates in both frames and changes the mean.
    padded = [np.pad(np.full((16, 16), level, float), 10) for level in (150, 100)]
    offsets = np.arange(-5, 6)
    taps = np.exp(-(offsets**2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2
    scores = []
    for row in range(26):
        for column in range(26):
            x, y = (p[row : row + 11, column : column + 11] for p in padded)
            mx, my = (x * window).sum(), (y * window).sum()
            vx, vy = (x * x * window).sum() - mx**2, (y * y * window).sum() - my**2
            cov = (x * y * window).sum() - mx * my
            c2 = (0.03 * 255) ** 2
            scores.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    found = MASKED["mathieu_ssim"].function(prediction, target, everywhere)[0]
    assert found == pytest.approx(np.mean(scores), abs=1e-9) and abs(found - inner) > 0.01


def test_masked_metrics_ignore_static_pixels() -> None:
    prediction, target, mask = moving_corner()
    other = torch.where(mask, prediction, 7)
    for name in ("mathieu_ssim", "dvf_ssim", "mathieu_psnr", "mathieu_sharpness"):
        first, second = (MASKED[name].function(p, target, mask)[0] for p in (prediction, other))
        assert first == second, name
    assert (
        MASKED["full_ssim"].function(prediction, target, mask)[0]
        != MASKED["full_ssim"].function(other, target, mask)[0]
    )


def test_sharpness_of_the_script() -> None:
    target = torch.zeros(3, 4, 4, dtype=torch.uint8)
    prediction = target.clone()
    prediction[:, 1, 1] = 51  # 0.4 in [-1, 1]
    everywhere = torch.ones(1, 4, 4, dtype=torch.bool)
    # Of the 2x2 inner pixels only (1, 1) differs, to the right and downward: 0.4 + 0.4 per channel.
    error = 128**2 * 3 * 0.8 / (3 * 4 * 4)
    expected = 10 * math.log10(255**2 / error)
    assert MASKED["mathieu_sharpness"].function(prediction, target, everywhere)[0] == pytest.approx(expected)


def test_the_flow_image_mask() -> None:
    picture = torch.full((3, 2, 2), 255, dtype=torch.uint8)  # white: no motion
    picture[1, 0, 0] = 50  # one channel below 0.2 * 255 = 51
    picture[:, 0, 1] = 52
    assert flow_picture_mask(picture).tolist() == [[[True, False], [False, False]]]


def test_full_ssim_equals_the_frame_metric() -> None:
    prediction, target, mask = moving_corner()
    assert MASKED["full_ssim"].function(prediction, target, mask)[0] == METRICS["ssim_grey"].function(
        prediction, target
    )


@pytest.mark.parametrize("name", MASKED)
def test_invalid_masks_and_frames_are_rejected(name: str) -> None:
    prediction, target, mask = moving_corner()
    with pytest.raises(ValueError, match=r"bool of shape \(1, 16, 16\), got torch.uint8"):
        MASKED[name].function(prediction, target, mask.to(torch.uint8))
    with pytest.raises(ValueError, match=r"bool of shape \(1, 16, 16\)"):
        MASKED[name].function(prediction, target, mask.expand(3, -1, -1))
    with pytest.raises(ValueError, match="to_byte"):
        MASKED[name].function(prediction.float(), target, mask)
