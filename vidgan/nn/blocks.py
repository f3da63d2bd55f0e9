"""Small layers and helpers that several networks share."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

__all__ = ["LEAK", "FullPrecisionConv2d", "MinibatchStd", "require_choice"]

LEAK = 0.2  # negative slope of every leaky ReLU


def require_choice(name: str, value: str, accepted: Collection[str]) -> str:
    """Return `value` if it is accepted.

    Raises:
        ValueError: it is not; the message has the argument's `name` and the accepted values.
    """
    if value not in accepted:
        raise ValueError(f"{name}: unknown name {value!r}; accepted are {', '.join(map(repr, accepted))}")
    return value


class FullPrecisionConv2d(nn.Conv2d):
    """A convolution that leaves autocast: bfloat16 would round pixels to whole grey levels and flow to eighths."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) of any floating type -> (N, out_channels, H', W') in the weights' type."""
        with torch.autocast(device_type=input.device.type, enabled=False):
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
