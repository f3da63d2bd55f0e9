"""Calibration on small cases worked out by hand, and on forecasters that are calibrated, overconfident or biased."""

import numpy as np
import pytest
import torch

from vidgan.metrics.calibration import coverage, rank_counts, spread_skill, spread_terms


def frames(*levels: int) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1)


def test_ranks_by_hand() -> None:
    samples = torch.stack([frames(10, 10, 10, 50), frames(20, 20, 20, 50)])  # N = 2, four frames of one pixel
    # below both; between; equal to the lower one (rank 0 or 1, shared); equal to both (0, 1 or 2, shared)
    counts = rank_counts(samples, frames(5, 15, 10, 50))
    assert counts.tolist() == pytest.approx([1 + 0.5 + 1 / 3, 1 + 0.5 + 1 / 3, 1 / 3])
    assert counts.sum() == 4


def test_coverage_by_hand() -> None:
    # Four samples: the nominal coverage is 3/5 between the lowest and the highest, 1/5 between the middle two.
    counts = np.array([1.0, 2.0, 3.0, 2.0, 2.0])
    assert coverage(counts, (0.6, 0.5, 0.1)) == [
        pytest.approx((0.6, 0.7)),
        pytest.approx((0.2, 0.3)),
        pytest.approx((0.2, 0.3)),
    ]
    with pytest.raises(ValueError, match="between 0 and 1"):
        coverage(counts, (1.0,))


def test_spread_and_error_by_hand() -> None:
    samples = torch.stack([frames(100), frames(151)])  # variance 51^2 / 2, mean 125.5
    variance, error = spread_terms(samples, frames(100))
    assert variance == pytest.approx([0.04 / 2]) and error == pytest.approx([0.1**2])
    skill = spread_skill(float(variance[0]), float(error[0]), samples=2)
    assert skill.spread == pytest.approx(np.sqrt(0.02 * 1.5)) and skill.error == pytest.approx(0.1)
    assert skill.ratio == pytest.approx(np.sqrt(3))
    assert np.isnan(spread_skill(0.0, 0.0, 2).ratio)


def forecaster(width: float, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of deviation ``width`` around the mean of a truth whose own deviation is 20 levels."""
    random = torch.Generator().manual_seed(0)
    centre = 110 + 30 * torch.rand(8, 3, 40, 40, generator=random)
    truth = centre + 20 * torch.randn(centre.shape, generator=random)
    samples = centre + shift + width * torch.randn(9, *centre.shape, generator=random)
    return samples.round().clamp(0, 255).to(torch.uint8), truth.round().clamp(0, 255).to(torch.uint8)


def test_a_calibrated_forecaster() -> None:
    samples, truth = forecaster(20)
    counts = rank_counts(samples, truth)
    np.testing.assert_allclose(counts / counts.sum(), 0.1, atol=0.01)
    (widest,) = coverage(counts, (0.9,))
    assert widest.nominal == pytest.approx(0.8) and widest.observed == pytest.approx(0.8, abs=0.01)
    variance, error = (values.mean() for values in spread_terms(samples, truth))
    assert spread_skill(variance, error, len(samples)).ratio == pytest.approx(1.0, abs=0.02)


def test_overconfident_and_underconfident_forecasters() -> None:
    narrow, wide = rank_counts(*forecaster(5)), rank_counts(*forecaster(60))
    assert coverage(narrow, (0.8,))[0].observed < 0.4 and narrow[0] > 3 * narrow[5]  # a U
    assert coverage(wide, (0.8,))[0].observed > 0.95 and wide[0] < 0.5 * wide[5]  # a hill
    ratios = []
    for width in (5, 60):
        samples, truth = forecaster(width)
        variance, error = (values.mean() for values in spread_terms(samples, truth))
        ratios.append(spread_skill(variance, error, len(samples)).ratio)
    assert ratios[0] < 0.4 and ratios[1] > 2
    biased = rank_counts(*forecaster(20, shift=30))
    assert biased[0] > 0.4 * biased.sum()


def test_invalid_samples_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        rank_counts(frames(1)[None], frames(1))
    with pytest.raises(ValueError, match=r"\(N, \.\.\., C, H, W\)"):
        spread_terms(torch.stack([frames(1, 2)] * 2), frames(1))
    with pytest.raises(ValueError, match="uint8"):
        rank_counts(torch.zeros(2, 1, 1, 1, 1), frames(1))
