"""Instance noise: keeps a discriminator from telling real and generated samples apart by details that no one sees."""

import torch
from torch import Tensor, nn

from vidgan.seeding import Draws

__all__ = ["InstanceNoise", "set_noise"]


class InstanceNoise(nn.Module):
    """Add sigma * N(0, 1) while training (Soenderby et al. 2017); MoCoGAN places one before each convolution.

    Each row draws from its own stream, so that a sample meets the same noise in any batch. The noise is drawn in plain
    row-major order whatever the layout of the input: filling a channels-last tensor is ten times slower on a CPU.

    Args:
        sigma: standard deviation, >= 0, in units of the input; may be changed at any time through the attribute.
    """

    def __init__(self, sigma: float = 0.0) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """(N, ...) -> the same shape; continues the streams of `draws`, one stream a row.

        Raises:
            ValueError: noise is due and `draws` is missing or holds another number of rows.
        """
        if not self.training or self.sigma == 0:
            return x
        if draws is None:
            raise ValueError(
                f"instance noise of sigma={self.sigma} in training mode needs draws; pass them, or call eval()"
            )
        if len(draws) != x.shape[0]:
            raise ValueError(f"instance noise needs one stream of draws a row: {len(draws)} streams, {x.shape[0]} rows")
        noise = draws.normal(*x.shape[1:]).to(device=x.device, dtype=x.dtype)
        return torch.add(x, noise, alpha=self.sigma)  # x first: the sum takes its memory layout

    def extra_repr(self) -> str:
        """Shown by print(module)."""
        return f"sigma={self.sigma}"


def set_noise(module: nn.Module, sigma: float) -> None:
    """Set the standard deviation of every `InstanceNoise` in `module`.

    Raises:
        ValueError: sigma is negative.
    """
    if sigma < 0:
        raise ValueError(f"noise: sigma must be >= 0, got {sigma}")
    for layer in module.modules():
        if isinstance(layer, InstanceNoise):
            layer.sigma = sigma
