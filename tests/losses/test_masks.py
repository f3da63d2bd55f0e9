"""The guards of a mask, by hand."""

import pytest
import torch

from vidgan.losses.masks import mask_binary, mask_coverage, mask_entropy


def masks(*means: float) -> torch.Tensor:
    """One clip of two frames per mean, each frame uniform."""
    return torch.tensor(means)[:, None, None, None, None].expand(-1, 2, 1, 4, 4).clone()


def test_coverage_is_free_inside_its_window() -> None:
    assert float(mask_coverage(masks(0.1, 0.3), 0.1, 0.3)) == pytest.approx(0, abs=1e-7)
    assert float(mask_coverage(masks(0.0, 0.5), 0.1, 0.3)) == pytest.approx((0.1 + 0.2) / 2)
    mask = masks(0.0, 0.5).requires_grad_()
    mask_coverage(mask, 0.1, 0.3).backward()
    assert mask.grad is not None and (mask.grad[0] < 0).all() and (mask.grad[1] > 0).all()


def test_binary_and_entropy() -> None:
    assert float(mask_binary(masks(0.0, 1.0))) == 0
    assert float(mask_binary(masks(0.2, 0.9))) == pytest.approx(0.15)
    assert float(mask_entropy(masks(0.0, 1.0))) == 0
    assert float(mask_entropy(masks(0.5))) == pytest.approx(1)
    assert float(mask_entropy(masks(0.25))) == pytest.approx(0.811278, abs=1e-6)
