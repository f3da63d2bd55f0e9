"""The networks that draw what a bicubic enlargement lacks.

Both are SRResNet's layers (Ledig et al., CVPR 2017) without batch norm (Lim et al. 2017, EDSR): a head, residual blocks
with a long skip, pixel shuffles, and a last convolution. `frame` sees one frame, so that nothing ties its details to
those of the frame before. `recurrent` also reads the previous output, moved to the present frame and rearranged to the
small grid (Sajjadi et al., CVPR 2018, FRVSR).

A network has this protocol: `forward(frames, previous) -> residual`, with frames (N, 3, h, w) in [-1, 1], the moved
previous output (N, 3, H, W), and the residual (N, 3, H, W) that is added to the bicubic enlargement. Its attribute
`is_recurrent` says whether it reads `previous`; if not, it is None.

In a model that reads captions, the network is built with `num_conditions` > 0 and called with codes (N, num_conditions)
as a third argument. These networks repeat the codes over the grid and concatenate them with the input, as StackGAN's
second stage does (Zhang et al., ICCV 2017, section 3.4).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.sections import Section, option

__all__ = ["NETWORKS", "FrameConfig", "FrameNetwork", "RecurrentConfig", "RecurrentNetwork"]

RGB = 3
FIRST_STEP = 0.1  # factor on the initial weights of the last layer: training starts near bicubic


class _ResidualConfig(Section):
    width: int = option(32, "Channels of all layers.", unit="channels", ge=1)
    blocks: int = option(6, "Number of residual blocks of two convolutions.", ge=1, le=256)


class FrameConfig(_ResidualConfig):
    """Every frame alone."""

    kind: Literal["frame"] = option("frame", "Each frame alone, as SRResNet.")


class RecurrentConfig(_ResidualConfig):
    """With the previous output."""

    kind: Literal["recurrent"] = option("recurrent", "Reads the previous output, warped to the present frame.")


class _Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        kept: Tensor = maps + self.second(F.relu(self.first(maps)))
        return kept


class _Double(nn.Module):
    """Convolution and pixel shuffle to twice the size; the initial weights of the four pixels are equal (ICNR)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 4 * width, 3, padding=1)
        with torch.no_grad():
            for parameter in (self.conv.weight, self.conv.bias):
                assert parameter is not None
                parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 2h, 2w)."""
        return F.relu(F.pixel_shuffle(self.conv(maps), 2))


class _ResidualNetwork(nn.Module):
    def __init__(self, *, inputs: int, width: int, blocks: int, scale: int) -> None:
        super().__init__()
        if scale not in (2, 4):
            raise ValueError(f"scale must be 2 or 4, got {scale}")
        self.head = nn.Conv2d(inputs, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.enlarge = nn.Sequential(*(_Double(width) for _ in range(scale // 2)))
        self.last = nn.Conv2d(width, RGB, 3, padding=1)
        with torch.no_grad():
            self.last.weight.mul_(FIRST_STEP)

    def residual(self, inputs: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, 3, H, W)."""
        first = F.relu(self.head(inputs))
        maps = first + self.body(self.blocks(first))
        residual: Tensor = self.last(self.enlarge(maps))
        return residual


class FrameNetwork(_ResidualNetwork):
    """Enlarges each frame alone.

    Args:
        width: channels of all layers.
        blocks: number of residual blocks.
        scale: 2 or 4.
        num_conditions: length of the codes of captions; 0 without.

    Raises:
        ValueError: another scale.
    """

    is_recurrent = False

    def __init__(self, *, width: int = 32, blocks: int = 6, scale: int, num_conditions: int = 0) -> None:
        super().__init__(inputs=RGB + num_conditions, width=width, blocks=blocks, scale=scale)

    def forward(self, frames: Tensor, previous: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """Frames (N, 3, h, w) in [-1, 1] and codes (N, D) -> residual (N, 3, H, W); `previous` is not read."""
        return self.residual(_beside(frames, codes))


class RecurrentNetwork(_ResidualNetwork):
    """Enlarges each frame with the previous output beside it; arguments and errors as `FrameNetwork`."""

    is_recurrent = True

    def __init__(self, *, width: int = 32, blocks: int = 6, scale: int, num_conditions: int = 0) -> None:
        super().__init__(inputs=RGB * (1 + scale**2) + num_conditions, width=width, blocks=blocks, scale=scale)
        self.scale = scale

    def forward(self, frames: Tensor, previous: Tensor, codes: Tensor | None = None) -> Tensor:
        """Frames (N, 3, h, w), the moved previous output (N, 3, H, W), both in [-1, 1], and codes (N, D) -> residual
        (N, 3, H, W)."""
        return self.residual(_beside(torch.cat([frames, F.pixel_unshuffle(previous, self.scale)], dim=1), codes))


def _beside(maps: Tensor, codes: Tensor | None) -> Tensor:
    """Maps (N, C, h, w) with codes (N, D) at every place: (N, C + D, h, w)."""
    if codes is None:
        return maps
    return torch.cat([maps, codes.to(maps.dtype)[:, :, None, None].expand(-1, -1, *maps.shape[2:])], dim=1)


# Config section -> network. A new kind is one file with both, and one line here.
NETWORKS: dict[type[Section], type[nn.Module]] = {FrameConfig: FrameNetwork, RecurrentConfig: RecurrentNetwork}
