"""What the discriminators are made of."""

import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK
from vidgan.nn.noise import InstanceNoise
from vidgan.nn.pyramid import pyramid
from vidgan.seeding import Draws

__all__ = ["NoisyLayer", "down_conv3d", "halvings", "require_shape"]


class NoisyLayer(nn.Module):
    """Noise, convolution, norm, leaky ReLU; the noise is off until `set_noise`."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.noise = InstanceNoise()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Maps of a batch -> maps of the batch; `draws` holds one stream a row."""
        return F.leaky_relu(self.norm(self.conv(self.noise(x, draws))), LEAK)


def halvings(image_size: tuple[int, int], depth: int | None, patch: bool, pool: int = 1) -> tuple[int, tuple[int, int]]:
    """How many strided layers stand before the head, and the grid that the last of them leaves.

    Frames that were averaged over squares of `pool` pixels need fewer layers for the same grid.
    """
    deepest, _ = pyramid(image_size)
    depth = deepest if depth is None else depth
    if not 2 <= depth <= deepest:
        raise ValueError(f"depth={depth}: accepted are 2 to {deepest} for image_size={tuple(image_size)}")
    hidden = depth - 1 if patch else depth  # a patch head is the last strided layer
    pools = [2**level for level in range(hidden)]
    if pool not in pools:
        raise ValueError(f"pool={pool}: accepted are {', '.join(map(str, pools))} for image_size={tuple(image_size)}")
    return hidden - pools.index(pool), (image_size[0] // 2**hidden, image_size[1] // 2**hidden)


def down_conv3d(inputs: int, outputs: int, frames: int, factorised: bool, inner_bias: bool, bias: bool) -> nn.Module:
    """Halve height and width of (B, C, T, H, W) and look at `frames` frames at once."""
    if not factorised or frames == 1:
        return nn.Conv3d(inputs, outputs, (frames, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1), bias=bias)
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1), bias=inner_bias),
        nn.LeakyReLU(LEAK),
        nn.Conv3d(outputs, outputs, (frames, 1, 1), bias=bias),
    )


def require_shape(x: Tensor, shape: tuple[int, int, int], letters: str) -> None:
    """Raise ValueError unless `x` has the dimensions named by `letters` and ends in `shape` (C, H, W)."""
    if x.dim() != len(letters.split(", ")) or x.shape[-3:] != shape:
        channels, height, width = shape
        raise ValueError(
            f"this discriminator judges ({letters}) of {channels} channels and {height}x{width} pixels,"
            f" got {tuple(x.shape)}"
        )
