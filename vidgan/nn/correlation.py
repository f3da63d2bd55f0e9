"""Local correlation of two feature maps: the cost volume of coarse-to-fine optical flow."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["local_correlation", "unit_length"]


def unit_length(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) scaled to length 1 at each position, float32; near 0 where they are near 0."""
    maps = maps.float()
    return maps * (maps.square().sum(dim=1, keepdim=True) + 1e-6).rsqrt()


def local_correlation(current: Tensor, previous: Tensor, radius: int) -> Tensor:
    """Inner product of each position with the positions around it in another map (PWC-Net, Sun et al. 2018).

    Rows are compared by matrix products, of which only a band of diagonals is kept: several times faster on a CPU than
    one product of the maps per displacement, and without their temporary maps in the backward pass. It has no second
    derivative.

    Args:
        current: (N, C, H, W) float32.
        previous: the same shape.
        radius: r >= 0, positions to each side.

    Returns:
        (N, (2r + 1)^2, H, W); channel (dy + r)(2r + 1) + dx + r compares ``current(x)`` with
        ``previous(x + (dx, dy))``, and is 0 where that lies outside the map.

    Raises:
        ValueError: the shapes differ.
    """
    if current.shape != previous.shape:
        raise ValueError(f"current and previous must have the same shape, got {current.shape} and {previous.shape}")
    padded = F.pad(previous, (radius,) * 4).permute(0, 2, 3, 1)  # (N, H + 2r, W + 2r, C)
    costs: Tensor = _Correlation.apply(current.permute(0, 2, 3, 1), padded, radius)
    return costs.permute(0, 3, 1, 2)


class _Correlation(torch.autograd.Function):
    """(N, H, W, C) and (N, H + 2r, W + 2r, C) -> (N, H, W, (2r + 1)^2)."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, padded: Tensor, radius: int) -> Tensor:
        ctx.save_for_backward(current, padded)
        ctx.radius = radius
        side, (batch, height, width, _) = 2 * radius + 1, current.shape
        costs = current.new_empty(batch, height, width, side, side)
        rows = current.flatten(0, 1)  # (N H, W, C)
        for dy in range(side):
            others = padded[:, dy : dy + height].flatten(0, 1)  # (N H, W + 2r, C)
            products = torch.bmm(rows, others.transpose(1, 2))  # (N H, W, W + 2r)
            costs[..., dy, :] = _band(products, side).unflatten(0, (batch, height))
        return costs.flatten(3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        current, padded = ctx.saved_tensors
        side, height = 2 * ctx.radius + 1, current.shape[1]
        rows = current.flatten(0, 1)
        by_row = gradient.unflatten(3, (side, side)).flatten(0, 1)  # (N H, W, dy, dx)
        to_current, to_padded = torch.zeros_like(rows), torch.zeros_like(padded)
        for dy in range(side):
            others = padded[:, dy : dy + height].flatten(0, 1)
            products = rows.new_zeros(len(rows), rows.shape[1], others.shape[1])
            _band(products, side).copy_(by_row[:, :, dy])
            to_current += torch.bmm(products, others)
            change = torch.bmm(products.transpose(1, 2), rows)
            to_padded[:, dy : dy + height] += change.unflatten(0, (len(current), height))
        return to_current.view_as(current), to_padded, None


def _band(products: Tensor, side: int) -> Tensor:
    """View of products (M, W, W + side - 1), contiguous: entry (m, x, d) is products[m, x, x + d]."""
    count, width, other = products.shape
    return products.as_strided((count, width, side), (width * other, other + 1, 1))
