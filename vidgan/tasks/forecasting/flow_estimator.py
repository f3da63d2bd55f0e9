"""The estimator Q of Dual Motion GAN: small optical-flow networks, differentiable with respect to both frames.

All take (current, previous) and return the *backward* flow in pixels: current(x) = previous(x + flow(x)).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.nn.warp import resize_flow, warp
from vidgan.tasks.forecasting.motion_encoder import FullPrecisionConv2d, down_block, up_block

__all__ = ["ESTIMATORS", "HourglassEstimator", "PyramidEstimator", "build_estimator", "soft_limit"]

ESTIMATORS = ("hourglass", "pyramid", "lucas_kanade")


def soft_limit(values: Tensor, limit: float) -> Tensor:
    """Squash into (-limit, limit) by a tanh of slope one at zero, so that small values keep their unit."""
    return limit * torch.tanh(values / limit)


class HourglassEstimator(nn.Module):
    """Four strided convolutions down, four transposed ones up, no skips: a single look at the whole displacement.

    Args:
        channels: of a frame.
        widths: channels on the way down, reversed on the way up.
        max_flow: pixels; the output lies within it.
        norm: see `vidgan.nn.norms.norm_layer`.
    """

    def __init__(self, *, channels: int = 3, widths: Sequence[int], max_flow: float, norm: str = "group") -> None:
        super().__init__()
        self.max_flow = max_flow
        path = [2 * channels, *widths]
        back = [*reversed(widths), widths[0]]
        self.net = nn.Sequential(
            *(down_block(a, b, norm=norm) for a, b in pairwise(path)),
            *(up_block(a, b, norm=norm) for a, b in pairwise(back)),
            FullPrecisionConv2d(widths[0], 2, 3, padding=1),
        )

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Frames (N, C, H, W) in [-1, 1] -> backward flow (N, 2, H, W) in pixels."""
        return soft_limit(self.net(torch.cat([current, previous], dim=1)), self.max_flow)


class PyramidEstimator(nn.Module):
    """Coarse to fine: each scale warps by what the coarser ones found and adds what is left.

    The idea of SPyNet (Ranjan and Black 2017): large motion is small on a coarse grid, so every level only ever meets
    residuals of a pixel or two. The finest level works at half size; its flow is enlarged bilinearly.

    Args:
        channels: of a frame.
        widths: as many levels as entries, finest (1/2) first: channels of each level's convolutions.
        max_flow: pixels; the output lies within it.
    """

    def __init__(self, *, channels: int = 3, widths: Sequence[int], max_flow: float) -> None:
        super().__init__()
        self.max_flow = max_flow
        self.levels = nn.ModuleList()
        for width in widths:
            self.levels.append(
                nn.Sequential(
                    nn.Conv2d(3 * channels + 2, width, 3, padding=1),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(width, width, 3, padding=1),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(width, width, 3, padding=2, dilation=2),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(width, width, 3, padding=1),
                    nn.LeakyReLU(0.2),
                    FullPrecisionConv2d(width, 2, 3, padding=1),
                )
            )

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Frames (N, C, H, W) in [-1, 1] -> backward flow (N, 2, H, W) in pixels."""
        currents, previouses = [], []
        for _ in self.levels:
            current, previous = F.avg_pool2d(current, 2), F.avg_pool2d(previous, 2)
            currents.append(current)
            previouses.append(previous)
        flow = torch.zeros_like(current[:, :1]).expand(-1, 2, -1, -1)
        for level, now, before in zip(reversed(self.levels), reversed(currents), reversed(previouses), strict=True):
            flow = resize_flow(flow, (now.shape[-2], now.shape[-1]))
            moved = warp(before, flow)
            flow = flow + level(torch.cat([now, moved, now - moved, flow], dim=1))
        flow = resize_flow(flow, (2 * flow.shape[-2], 2 * flow.shape[-1]))
        return soft_limit(flow, self.max_flow)


def build_estimator(name: str, *, channels: int, widths: Sequence[int], max_flow: float, norm: str) -> nn.Module:
    """Q by its name in ESTIMATORS; `widths` and `norm` as far as it has any."""
    if name == "hourglass":
        return HourglassEstimator(channels=channels, widths=widths, max_flow=max_flow, norm=norm)
    if name == "pyramid":
        return PyramidEstimator(channels=channels, widths=widths, max_flow=max_flow)
    return LucasKanadeEstimator()
