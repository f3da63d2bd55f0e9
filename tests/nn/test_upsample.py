"""Upsampling fused with a convolution equals the two separate steps."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vidgan.nn.upsample import doubled_convolution
from vidgan.training.cost import Meter


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize("bias", [True, False])
def test_values_equal_those_of_separate_steps(mode: str, bias: bool) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode, bias=bias).double()
    maps = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    plain = convolution(F.interpolate(maps, scale_factor=2.0, mode="nearest"))
    with torch.no_grad():
        torch.testing.assert_close(doubled_convolution(maps, convolution), plain.detach())
    with_grad = doubled_convolution(maps, convolution)
    assert torch.equal(with_grad, plain)
    with_grad.sum().backward()
    assert convolution.weight.grad is not None and bool(convolution.weight.grad.abs().sum() > 0)


def test_fewer_operations() -> None:
    convolution, maps = nn.Conv2d(3, 4, 3, padding=1), torch.randn(1, 3, 64, 64)
    with Meter() as plain:
        doubled_convolution(maps, convolution)
    with Meter() as fused, torch.no_grad():
        doubled_convolution(maps, convolution)
    assert plain.flops / fused.flops == pytest.approx(9 / 4, rel=0.01)


def test_bfloat16_rounds_once() -> None:
    convolution, maps = nn.Conv2d(8, 8, 3, padding=1), torch.randn(1, 8, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        out = doubled_convolution(maps, convolution)
    assert out.dtype == torch.bfloat16
    exact = convolution(F.interpolate(maps, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(out.float(), exact, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("other", [{"kernel_size": 5}, {"stride": 2}, {"dilation": 2}, {"padding_mode": "reflect"}])
def test_other_convolutions_are_rejected(other: dict[str, object]) -> None:
    options: dict[str, object] = {"kernel_size": 3, "padding": 1} | other
    with pytest.raises(ValueError, match="stride 1 and padding 1"):
        doubled_convolution(torch.zeros(1, 2, 4, 4), nn.Conv2d(2, 2, **options))  # type: ignore[arg-type]
