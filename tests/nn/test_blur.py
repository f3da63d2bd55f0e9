"""Gaussian blur: kernel computed by hand, borders, constant maps and precision."""

import math

import pytest
import torch

from vidgan.nn.blur import gaussian_blur


def test_kernel_computed_by_hand() -> None:
    point = torch.zeros(1, 1, 9, 11)
    point[..., 4, 5] = 1.0
    side = math.exp(-1 / (2 * 0.7**2))
    line = torch.tensor([side, 1.0, side]) / (1 + 2 * side)
    torch.testing.assert_close(gaussian_blur(point, 0.7)[0, 0, 3:6, 4:7], line[:, None] * line)
    assert gaussian_blur(point, 0.7).count_nonzero() == 9


@pytest.mark.parametrize("sigma", [0.7, 2.0, 4.0])
def test_constant_maps_are_unchanged_and_the_border_is_repeated(sigma: float) -> None:
    flat = torch.full((2, 3, 6, 10), 0.3)
    torch.testing.assert_close(gaussian_blur(flat, sigma), flat)
    frame = torch.rand(1, 1, 8, 8)
    padded = torch.nn.functional.pad(frame, (8, 8, 8, 8), mode="replicate")
    torch.testing.assert_close(gaussian_blur(frame, sigma), gaussian_blur(padded, sigma)[..., 8:-8, 8:-8])


def test_each_dtype_has_its_own_kernel() -> None:
    frame = torch.rand(1, 1, 9, 7)
    single = gaussian_blur(frame, 1.3)
    double = gaussian_blur(frame.double(), 1.3)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single, double.float())
