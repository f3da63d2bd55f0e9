"""An occlusion-aware blend of a generated frame and a warped one."""

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import FullPrecisionConv2d

__all__ = ["MaskBlend"]


class MaskBlend(nn.Module):
    """M * W + (1 - M) * A, where a small network that reads A, W, the last frame and the flow decides on M.

    Args:
        channels: of a frame.
        max_flow: pixels, the unit in which the network reads the flow.
    """

    WIDTH = 16

    def __init__(self, *, channels: int, max_flow: float) -> None:
        super().__init__()
        self.max_flow = max_flow
        self.net = nn.Sequential(
            nn.Conv2d(3 * channels + 2, self.WIDTH, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2),
            FullPrecisionConv2d(self.WIDTH, 1, 3, padding=1),
        )

    def forward(self, direct: Tensor, warped: Tensor, last: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Blend a frame.

        Args:
            direct: A (B, C, H, W) in [-1, 1], the generated frame.
            warped: W (B, C, H, W), the last frame warped by the flow.
            last: (B, C, H, W), the last frame.
            flow: (B, 2, H, W) backward flow, pixels.

        Returns:
            The blend (B, C, H, W), and M (B, 1, H, W) in [0, 1], the share of W.
        """
        mask = torch.sigmoid(self.net(torch.cat([direct, warped, last, flow / self.max_flow], dim=1)))  # (B, 1, H, W)
        return mask * warped + (1 - mask) * direct, mask
