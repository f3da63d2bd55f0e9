"""The flow estimator Q of Dual Motion GAN: small optical-flow networks, differentiable with respect to both frames.

Any estimator has this protocol: `forward(current, previous) -> flow`, frames (N, C, H, W) in [-1, 1], *backward* flow
(N, 2, H, W) in pixels: current(x) = previous(x + flow(x)). The published estimator's layers are not known to us; these
are this project's.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from vidgan.nn.blocks import FullPrecisionConv2d
from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.nn.warp import resize_flow, warp
from vidgan.sections import LIMITS, Section, option
from vidgan.tasks.forecasting.motion_encoder import down_block, up_block

__all__ = [
    "ESTIMATORS",
    "Channels",
    "HourglassConfig",
    "HourglassEstimator",
    "LucasKanadeConfig",
    "PyramidConfig",
    "PyramidEstimator",
    "soft_limit",
]

Channels = Annotated[int, Field(ge=1, le=LIMITS["channels"])]


def soft_limit(values: Tensor, limit: float) -> Tensor:
    """Squash into (-limit, limit) by a tanh of slope one at zero, so that small values keep their unit."""
    return limit * torch.tanh(values / limit)


class HourglassConfig(Section):
    """Q as four strided convolutions down and four transposed ones up."""

    kind: Literal["hourglass"] = option("hourglass", "A single look at the whole displacement.")
    widths: tuple[Channels, Channels, Channels, Channels] = option(
        (32, 32, 32, 32), "Channels, outermost level first.", unit="channels"
    )


class HourglassEstimator(nn.Module):
    """Four strided convolutions down, four transposed ones up, no skips: a single look at the whole displacement.

    Args:
        channels: of a frame.
        max_flow: pixels; the output lies within it.
        widths: channels on the way down, reversed on the way up.
    """

    def __init__(self, *, channels: int = 3, max_flow: float, widths: Sequence[int] = (32, 32, 32, 32)) -> None:
        super().__init__()
        self.max_flow = max_flow
        path = [2 * channels, *widths]
        back = [*reversed(widths), widths[0]]
        self.net = nn.Sequential(
            *(down_block(a, b) for a, b in pairwise(path)),
            *(up_block(a, b) for a, b in pairwise(back)),
            FullPrecisionConv2d(widths[0], 2, 3, padding=1),
        )

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Frames (N, C, H, W) in [-1, 1] -> backward flow (N, 2, H, W) in pixels."""
        return soft_limit(self.net(torch.cat([current, previous], dim=1)), self.max_flow)


class PyramidConfig(Section):
    """Q from coarse to fine (the idea of SPyNet): for motion of many pixels."""

    kind: Literal["pyramid"] = option("pyramid", "Each scale refines the flow of the coarser one.")
    widths: tuple[Channels, ...] = option((32, 32, 32, 32), "Channels of each level, finest first.", unit="channels")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if not self.widths:
            yield "widths needs at least one level"


class PyramidEstimator(nn.Module):
    """Coarse to fine: each scale warps by the flow of the coarser ones and adds the residual.

    The idea of SPyNet (Ranjan and Black 2017): large motion is small on a coarse grid, so every level only estimates
    residuals of a pixel or two. The finest level works at half size; its flow is enlarged bilinearly.

    Args:
        channels: of a frame.
        max_flow: pixels; the output lies within it.
        widths: one entry per level, finest (1/2) first: channels of the level's convolutions.
    """

    def __init__(self, *, channels: int = 3, max_flow: float, widths: Sequence[int] = (32, 32, 32, 32)) -> None:
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


class LucasKanadeConfig(Section):
    """Q by least squares, see `vidgan.nn.lucas_kanade`: nothing to learn."""

    kind: Literal["lucas_kanade"] = option("lucas_kanade", "Better where training videos are few, but slower.")


def _lucas_kanade(*, channels: int, max_flow: float) -> LucasKanadeEstimator:
    """Least squares need neither the number of channels nor a limit."""
    return LucasKanadeEstimator()


# Config section -> network. A new kind is one file with both, and one line here.
ESTIMATORS: dict[type[Section], Callable[..., nn.Module]] = {
    HourglassConfig: HourglassEstimator,
    PyramidConfig: PyramidEstimator,
    LucasKanadeConfig: _lucas_kanade,
}
