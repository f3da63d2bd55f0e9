"""Small layers and helpers that several networks share."""

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.modes import without_autocast

__all__ = [
    "LEAK",
    "FullPrecisionConv2d",
    "MinibatchStd",
    "activated",
    "halved",
    "require_categories",
    "require_choice",
]

LEAK = 0.2  # negative slope of every leaky ReLU


def require_choice(name: str, value: str, accepted: Collection[str]) -> str:
    """Return `value` if it is accepted.

    Raises:
        ValueError: it is not; the message has the argument's `name` and the accepted values.
    """
    if value not in accepted:
        raise ValueError(f"{name}: unknown name {value!r}; accepted are {', '.join(map(repr, accepted))}")
    return value


def require_categories(num_categories: int) -> None:
    """Raise ValueError unless it is 0 (none) or at least 2."""
    if num_categories < 0 or num_categories == 1:
        raise ValueError(f"num_categories must be 0 (none) or at least 2, got {num_categories}")


def activated(maps: Tensor) -> Tensor:
    """Leaky ReLU with gain sqrt(2), which keeps the variance of maps."""
    return 2**0.5 * F.leaky_relu(maps, LEAK)


def halved(maps: Tensor) -> Tensor:
    """Average over squares of 2x2 places: (N, C, [T,] H, W) -> (N, C, [T,] H / 2, W / 2)."""
    return F.avg_pool2d(maps, 2) if maps.dim() == 4 else F.avg_pool3d(maps, (1, 2, 2))


class FullPrecisionConv2d(nn.Conv2d):
    """A convolution that leaves autocast: bfloat16 would round pixels to whole grey levels and flow to eighths."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) of any floating type -> (N, out_channels, H', W') in the weights' type."""
        with without_autocast(input.device.type):
            return super().forward(input.to(self.weight.dtype))


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
