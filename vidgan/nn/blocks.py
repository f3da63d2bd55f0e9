"""Common building blocks: size arithmetic of image pyramids, norms, activations, coordinates, spectral norm."""

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

LEAK = 0.2  # negative slope of every leaky ReLU
NORMS = ("none", "batch", "instance", "group", "pixel")
ACTIVATIONS = ("relu", "leaky_relu")

_SMALLEST_GRID = 4
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def require_choice(name: str, value: str, accepted: Collection[str]) -> str:
    """Return `value` if it is accepted.

    Raises:
        ValueError: it is not; the message has the argument's `name` and the accepted values.
    """
    if value not in accepted:
        raise ValueError(f"{name}: unknown name {value!r}; accepted are {', '.join(map(repr, accepted))}")
    return value


def pyramid(image_size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """Number of times a frame is halved, and the (height, width) of the coarsest grid.

    A frame is halved while both sides are even and the shorter one stays at least 4: 64x64 -> (4, (4, 4)),
    128x160 -> (5, (4, 5)), 96x96 -> (4, (6, 6)), 96x32 -> (3, (12, 4)).

    Args:
        image_size: (H, W) in pixels.

    Raises:
        ValueError: a side is not a multiple of 16, or is below 32.
    """
    height, width = image_size
    if any(side < 32 or side % 16 for side in (height, width)):
        raise ValueError(f"image_size={height}x{width}: height and width must be multiples of 16 and at least 32")
    depth = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 2 * _SMALLEST_GRID:
        height, width, depth = height // 2, width // 2, depth + 1
    return depth, (height, width)


def channel_plan(width: int, levels: int, max_width: int) -> list[int]:
    """Channels per level, from the finest to the coarsest: `width`, doubled at each level, at most `max_width`.

    Raises:
        ValueError: `width` is below 1, or above `max_width`.
    """
    if width < 1 or max_width < width:
        raise ValueError(f"width={width}, max_width={max_width}: need 1 <= width <= max_width")
    return [min(width * 2**level, max_width) for level in range(levels)]


class PixelNorm(nn.Module):
    """Scale the channel vector at every position to unit mean square (Karras et al. 2018, section 4.2)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> same shape and dtype; the statistic is computed in float32."""
        return x * torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + 1e-8).to(x.dtype)


def norm_layer(norm: str, channels: int, *, dims: int = 2, groups: int | None = None) -> nn.Module:
    """Create a normalisation layer by name.

    Only "batch" lets the rows of a batch depend on each other.

    Args:
        norm: one of NORMS.
        channels: number of channels.
        dims: 2 for maps (N, C, H, W), 3 for (N, C, T, H, W).
        groups: maximum number of groups of "group"; None: up to 32 groups of at least 8 channels.

    Raises:
        ValueError: unknown name.
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
    """Whether the normalisation has its own offset, which makes the bias of the preceding convolution redundant."""
    return norm in ("batch", "instance", "group")


def activation_layer(activation: str) -> nn.Module:
    """Create an activation layer by name, one of ACTIVATIONS.

    Raises:
        ValueError: unknown name.
    """
    require_choice("activation", activation, ACTIVATIONS)
    return nn.ReLU() if activation == "relu" else nn.LeakyReLU(LEAK)


def append_coordinates(maps: Tensor) -> Tensor:
    """Append the x and y coordinates of each position as two channels in [-1, 1] (CoordConv, Liu et al. 2018).

    (N, C, H, W) -> (N, C + 2, H, W), in the memory layout of the input.
    """
    batch, _, height, width = maps.shape
    y = torch.linspace(-1, 1, height, device=maps.device, dtype=maps.dtype)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=maps.device, dtype=maps.dtype).expand(height, width)
    grid = torch.stack([x, y]).expand(batch, 2, height, width)
    is_channels_last = maps.is_contiguous(memory_format=torch.channels_last)
    # `cat` returns channels-last only if all inputs have this layout.
    grid = grid.contiguous(memory_format=torch.channels_last if is_channels_last else torch.contiguous_format)
    return torch.cat([maps, grid], dim=1)


class MinibatchStd(nn.Module):
    """Append one channel with the standard deviation within a group of samples (Karras et al. 2018, section 3).

    The group size is the first of 4, 3 and 2 that divides the batch, otherwise the batch size. The rows of a group
    depend on each other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C + 1, ...); the new channel is the standard deviation, averaged over all maps."""
        batch = x.shape[0]
        size = next((group for group in (4, 3, 2) if batch % group == 0), batch)
        grouped = x.float().unflatten(0, (size, batch // size))  # (size, groups, C, ...)
        deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().flatten(1).mean(dim=1)  # (groups,)
        statistic = deviation.repeat(size).reshape(batch, *[1] * (x.dim() - 1))  # (N, 1, ...)
        return torch.cat([x, statistic.to(x.dtype).expand(batch, 1, *x.shape[2:])], dim=1)


class _Float32(nn.Module):
    """Runs a parametrization outside autocast: power iteration in bfloat16 has an error of one percent."""

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.inner = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(device_type=weight.device.type, enabled=False):
            return self.inner(weight)


def spectral_normalise(module: nn.Module) -> None:
    """Divide the weight of each convolution and linear layer by its largest singular value (Miyato et al. 2018).

    Modifies `module` in place. Recurrent cells are not changed.
    """
    for layer in list(module.modules()):
        if isinstance(layer, (*_CONVOLUTIONS, nn.Linear)) and not is_parametrized(layer, "weight"):
            parametrizations.spectral_norm(layer)
            chain = layer.get_submodule("parametrizations.weight")
            assert isinstance(chain, nn.ModuleList)
            chain[0] = _Float32(chain[0])
