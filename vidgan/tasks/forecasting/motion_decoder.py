"""The decoders of Dual Motion GAN's frame and flow generators."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import FullPrecisionConv2d
from vidgan.tasks.forecasting.motion_encoder import group_norm, up_block

__all__ = ["MotionDecoder"]


class MotionDecoder(nn.Module):
    """Motion code (and, with skips, features of the last frame) -> maps of the frame's size.

    Any frame or flow generator has this protocol: `forward(code, skips) -> maps`, see `forward`.

    Args:
        dim_latent: D, channels of the motion code.
        widths: the encoder's, mirrored here.
        out_channels: of the output.
        skip_channels: extra input channels at strides 16, 8, 4, 2 and 1.
    """

    def __init__(
        self, *, dim_latent: int, widths: Sequence[int], out_channels: int, skip_channels: Sequence[int]
    ) -> None:
        super().__init__()
        path = [dim_latent, widths[2], widths[1], widths[0], max(widths[0] // 2, 8)]
        self.ups = nn.ModuleList(up_block(path[i] + skip_channels[i], path[i + 1]) for i in range(len(path) - 1))
        self.last = nn.Sequential(
            nn.Conv2d(path[-1] + skip_channels[-1], path[-1], 3, padding=1),
            group_norm(path[-1]),
            nn.LeakyReLU(0.2),
        )
        self.head = FullPrecisionConv2d(path[-1], out_channels, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # start near zero: no motion, or no correction

    def forward(self, code: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Code (B, D, H/16, W/16), skips coarse to fine (or none at all) -> (B, out_channels, H, W), unbounded."""
        features = code
        for i, up in enumerate(self.ups):
            features = up(torch.cat([features, skips[i]], dim=1) if skips else features)  # twice the size
        return self.head(self.last(torch.cat([features, skips[-1]], dim=1) if skips else features))
