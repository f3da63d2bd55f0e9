"""Instance noise: hides imperceptible details by which a discriminator could separate real from generated samples."""

import torch
from torch import Tensor, nn

from vidgan.seeding import Draws

__all__ = ["InstanceNoise", "set_noise"]


class InstanceNoise(nn.Module):
    """Add sigma * N(0, 1) in training mode (Soenderby et al. 2017); MoCoGAN does so before each convolution.

    Each row has its own random stream, so that a sample gets the same noise in any batch. The noise is drawn in
    row-major order for any memory layout of the input: filling a channels-last tensor is ten times slower on a CPU.

    Args:
        sigma: standard deviation in units of the input, at least 0; the attribute may be changed at any time.
    """

    def __init__(self, sigma: float = 0.0) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Add noise to (N, ...); the shape is kept. Advances the streams of `draws`.

        Raises:
            ValueError: in training mode with sigma > 0, if `draws` is None or does not have N rows.
        """
        if not self.training or self.sigma == 0:
            return x
        if draws is None:
            raise ValueError(
                f"instance noise with sigma={self.sigma} in training mode needs draws; pass them, or call eval()"
            )
        if len(draws) != x.shape[0]:
            raise ValueError(f"instance noise needs draws with {x.shape[0]} rows, got {len(draws)}")
        noise = draws.normal(*x.shape[1:]).to(device=x.device, dtype=x.dtype)
        return torch.add(x, noise, alpha=self.sigma)  # x first: the sum has its memory layout

    def extra_repr(self) -> str:
        """Text for `print(module)`."""
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
