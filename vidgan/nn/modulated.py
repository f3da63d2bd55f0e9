"""Modulated convolutions and layers with an equalised learning rate (StyleGAN2, Karras et al., CVPR 2020).

Equalised layers keep weights of variance 1 and scale them by 1 / sqrt(inputs) in the forward pass, so that Adam moves
all of them at one relative speed (Karras et al. 2018, section 4.1).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import activated
from vidgan.nn.modes import without_autocast

__all__ = ["EqualisedLinear", "ModulatedConv2d", "doubled", "unit_moment"]

EPSILON = 1e-8


def unit_moment(code: Tensor) -> Tensor:
    """Scale each row (N, D) to a mean square of 1."""
    return code * torch.rsqrt(code.square().mean(dim=1, keepdim=True) + EPSILON)


def doubled(maps: Tensor) -> Tensor:
    """Double height and width with the filter [1, 3, 3, 1], which bilinear interpolation is: (N, C, 2H, 2W)."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


class EqualisedLinear(nn.Module):
    """x W^T * rate / sqrt(inputs) + b * rate.

    Args:
        inputs, outputs: lengths.
        bias: its initial value.
        rate: multiplier of the learning rate; the weights start larger by its inverse, so outputs do not depend on it.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        scale = self.rate / self.weight.shape[1] ** 0.5
        return F.linear(x, self.weight * scale, self.bias * self.rate)


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are scaled by a style, one per sample (StyleGAN2, Eqs. 1 and 3).

    w'_ijk = s_i w_ijk; demodulation divides each output channel by sqrt(sum over i, k of w'^2). Scaling the maps before
    the convolution and the result after it gives the same, without a weight per sample.

    Args:
        inputs, outputs: channels.
        kernel: side, odd.
        demodulate: see above; off for the layer to colours.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.demodulate = demodulate

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """Maps (N, inputs, H, W) and styles (N, inputs) -> (N, outputs, H, W)."""
        weight = self.weight / self.weight[0].numel() ** 0.5
        maps = F.conv2d(maps * style[:, :, None, None].to(maps.dtype), weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return maps
        with without_autocast(maps.device.type):
            power = style.float().square() @ weight.float().square().sum(dim=(2, 3)).T  # (N, outputs)
        return maps * torch.rsqrt(power + EPSILON)[:, :, None, None].to(maps.dtype)


class ModulatedLayer(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU with gain sqrt(2).

    Args:
        inputs, outputs: channels.
        dim_style: length of the style code.
        up: double the maps first.
        noisy: add noise, scaled by a learned strength that starts at 0.
    """

    def __init__(self, inputs: int, outputs: int, *, dim_style: int, up: bool = False, noisy: bool = False) -> None:
        super().__init__()
        self.style = EqualisedLinear(dim_style, inputs, bias=1.0)
        self.conv = ModulatedConv2d(inputs, outputs, 3)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(())) if noisy else None
        self.up = up

    def forward(self, maps: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        """Maps (N, inputs, H, W), style codes (N, dim_style), noise (N, 1, H', W') -> (N, outputs, H', W')."""
        maps = self.conv(doubled(maps) if self.up else maps, self.style(style))
        if self.strength is not None:
            assert noise is not None, "a noisy layer needs noise"
            maps = maps + self.strength * noise
        return activated(maps + self.bias[:, None, None])
