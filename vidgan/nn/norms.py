"""Normalisation layers by name."""

from math import gcd

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import require_choice

__all__ = ["NORMS", "PixelNorm", "norm_layer", "norm_shifts"]

NORMS = ("none", "batch", "instance", "group", "pixel")


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
