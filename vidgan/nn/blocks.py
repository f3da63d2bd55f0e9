"""What the networks share: arithmetic of frame sizes, norms, activations, coordinates, spectral norm."""

from collections.abc import Collection
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized

__all__ = [
    "ACTIVATIONS",
    "LEAK",
    "NORMS",
    "MinibatchStd",
    "PixelNorm",
    "activation_layer",
    "append_coordinates",
    "channel_plan",
    "norm_layer",
    "norm_shifts",
    "pyramid",
    "require_choice",
    "spectral_normalise",
]

LEAK = 0.2  # slope of every leaky ReLU
NORMS = ("none", "batch", "instance", "group", "pixel")
ACTIVATIONS = ("relu", "leaky_relu")

_SMALLEST_GRID = 4
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def require_choice(name: str, value: str, accepted: Collection[str]) -> str:
    """Return `value`, or raise ValueError that names the argument and what it accepts."""
    if value not in accepted:
        raise ValueError(f"{name}: unknown name {value!r}; accepted are {', '.join(map(repr, accepted))}")
    return value


def pyramid(image_size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """How often a frame is halved, and the grid that remains.

    Halving goes on while both sides are even and the shorter stays at 4 or above: 64x64 -> (4, (4, 4)),
    128x160 -> (5, (4, 5)), 96x96 -> (4, (6, 6)), 96x32 -> (3, (12, 4)).

    Raises:
        ValueError: a side is no multiple of 16, or below 32.
    """
    height, width = image_size
    if any(side < 32 or side % 16 for side in (height, width)):
        raise ValueError(f"image_size={height}x{width}: height and width must be multiples of 16, from 32 up")
    depth = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 2 * _SMALLEST_GRID:
        height, width, depth = height // 2, width // 2, depth + 1
    return depth, (height, width)


def channel_plan(width: int, levels: int, max_width: int) -> list[int]:
    """Channels of the levels from the finest to the coarsest: `width`, doubled at each level, at most `max_width`."""
    if width < 1 or max_width < width:
        raise ValueError(f"width={width}, max_width={max_width}: need 1 <= width <= max_width")
    return [min(width * 2**level, max_width) for level in range(levels)]


class PixelNorm(nn.Module):
    """Every position's channel vector scaled to unit mean square (Karras et al. 2018, section 4.2); no weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape and type; the statistic is taken in float32."""
        return x * torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + 1e-8).to(x.dtype)


def norm_layer(norm: str, channels: int, *, dims: int = 2, groups: int | None = None) -> nn.Module:
    """A normalisation by name, for maps (N, C, H, W) when `dims` is 2, (N, C, T, H, W) when it is 3.

    "batch" mixes the rows of a batch; the others ("none", "instance", "group", "pixel") leave rows independent.
    "group" forms up to 32 groups of at least 8 channels where the number allows it, or up to `groups`.
    """
    require_choice("norm", norm, NORMS)
    if norm == "none":
        return nn.Identity()
    if norm == "pixel":
        return PixelNorm()
    if norm == "group":
        most = min(32, max(1, channels // 8)) if groups is None else groups
        return nn.GroupNorm(gcd(channels, most), channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels) if dims == 2 else nn.BatchNorm3d(channels)
    return nn.InstanceNorm2d(channels, affine=True) if dims == 2 else nn.InstanceNorm3d(channels, affine=True)


def norm_shifts(norm: str) -> bool:
    """Whether the normalisation adds an offset of its own, which makes the bias of the convolution before it idle."""
    return norm in ("batch", "instance", "group")


def activation_layer(activation: str) -> nn.Module:
    """An activation by name."""
    require_choice("activation", activation, ACTIVATIONS)
    return nn.ReLU() if activation == "relu" else nn.LeakyReLU(LEAK)


def append_coordinates(maps: Tensor) -> Tensor:
    """Append each position's x and y in [-1, 1] as two channels: (N, C, H, W) -> (N, C + 2, H, W) (CoordConv).

    Source: Liu et al. 2018, "An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution".
    """
    batch, _, height, width = maps.shape
    y = torch.linspace(-1, 1, height, device=maps.device, dtype=maps.dtype)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=maps.device, dtype=maps.dtype).expand(height, width)
    grid = torch.stack([x, y]).expand(batch, 2, height, width)
    last = maps.is_contiguous(memory_format=torch.channels_last)
    # `cat` keeps channels-last only if all its inputs have it.
    grid = grid.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    return torch.cat([maps, grid], dim=1)


class MinibatchStd(nn.Module):
    """Append one channel that tells how much the samples of a group differ (Karras et al. 2018, section 3).

    Groups are of 4, 3 or 2 samples, whichever divides the batch first, else the whole batch. Rows of a group are no
    longer independent.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C + 1, ...): mean over maps of the standard deviation within the group."""
        batch = x.shape[0]
        size = next((group for group in (4, 3, 2) if batch % group == 0), batch)
        grouped = x.float().unflatten(0, (size, batch // size))  # (size, groups, C, ...)
        deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().flatten(1).mean(dim=1)  # (groups,)
        statistic = deviation.repeat(size).reshape(batch, *[1] * (x.dim() - 1))  # (N, 1, ...)
        return torch.cat([x, statistic.to(x.dtype).expand(batch, 1, *x.shape[2:])], dim=1)


class _Float32(nn.Module):
    """Runs a parametrization outside autocast: a power iteration in bfloat16 mistakes the norm by a percent."""

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.inner = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(device_type=weight.device.type, enabled=False):
            return self.inner(weight)


def spectral_normalise(module: nn.Module) -> None:
    """Divide the weight of each convolution and linear layer in `module` by its largest singular value, in place.

    Source: Miyato et al. 2018. Recurrent cells are left alone.
    """
    for layer in list(module.modules()):
        if isinstance(layer, (*_CONVOLUTIONS, nn.Linear)) and not is_parametrized(layer, "weight"):
            parametrizations.spectral_norm(layer)
            chain = layer.get_submodule("parametrizations.weight")
            assert isinstance(chain, nn.ModuleList)
            chain[0] = _Float32(chain[0])
