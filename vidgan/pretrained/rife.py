"""RIFE (Huang et al., ECCV 2022; the IFNet of version 4): the frame at any time between two frames.

Four blocks, at 1/8, 1/4, 1/2 and full size, refine the flow from the middle frame to both neighbours and a blending
mask. Module names follow the published state dict.
"""

from typing import Final

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.types import ByteClip, Flow

MULTIPLE: Final = 32
"""Frame sides are padded to multiples of this many pixels."""

_SCALES: Final = (8, 4, 2, 1)
_WIDTHS: Final = (192, 128, 96, 64)


def _conv(channels: int, filters: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, filters, 3, 2, 1), nn.LeakyReLU(0.2))


class _ScaledResidual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x) * self.beta + x, 0.2)


class _Block(nn.Module):
    """Inputs at 1/scale of their size -> change of flow (B, 4, H, W) and mask (B, 1, H, W) at full size."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(_conv(channels, width // 2), _conv(width // 2, width))
        self.convblock = nn.Sequential(*(_ScaledResidual(width) for _ in range(8)))
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(width, 24, 4, 2, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor, flow: Tensor | None, scale: int) -> tuple[Tensor, Tensor]:
        x = _resize(x, 1 / scale)
        if flow is not None:
            x = torch.cat([x, _resize(flow, 1 / scale) / scale], dim=1)
        out = _resize(self.lastconv(self.convblock(self.conv0(x))), scale)
        return scale * out[:, :4], out[:, 4:5]


class RIFE(nn.Module):
    """Two uint8 frames (B, 3, H, W) RGB and a time -> float (B, 3, H, W) in [0, 1] at that time.

    Time 0 is the first frame, 1 the second. The network was trained on times between them.
    """

    def __init__(self) -> None:
        super().__init__()
        for number, width in enumerate(_WIDTHS):
            self.add_module(f"block{number}", _Block(7 if number == 0 else 12, width))

    def forward(self, first: ByteClip, second: ByteClip, time: float = 0.5) -> Tensor:
        """The frame at `time`."""
        height, width = first.shape[-2:]
        pair = _padded_pair(first, second)
        flow, mask = self._flow(pair, time)
        warped = _warped(pair, flow)
        share = torch.sigmoid(mask)
        return (warped[0] * share + warped[1] * (1 - share))[..., :height, :width].clamp(0, 1)

    def flow(self, current: ByteClip, previous: ByteClip) -> Flow:
        """Backward flow (B, 2, H, W) in pixels, dx then dy: twice the flow from the middle frame to the previous one.

        The network was trained for the middle. Its flow at the time of the current frame is no better.
        """
        height, width = current.shape[-2:]
        flow, _ = self._flow(_padded_pair(previous, current), 0.5)
        return 2 * flow[:, :2, :height, :width]

    def _flow(self, pair: tuple[Tensor, Tensor], time: float) -> tuple[Tensor, Tensor]:
        """Flow from the frame at `time` to both frames (B, 4, H, W), and the logit of the share of the first."""
        when = pair[0].new_full((len(pair[0]), 1, *pair[0].shape[2:]), time)
        flow, mask = self.get_submodule("block0")(torch.cat([*pair, when], dim=1), None, _SCALES[0])
        for number, scale in enumerate(_SCALES[1:], start=1):
            inputs = torch.cat([*_warped(pair, flow), when, mask], dim=1)
            change, difference = self.get_submodule(f"block{number}")(inputs, flow, scale)
            flow, mask = flow + change, mask + difference
        return flow, mask


def _padded_pair(first: ByteClip, second: ByteClip) -> tuple[Tensor, Tensor]:
    """Both frames in [0, 1], the border repeated up to sides that are multiples of `MULTIPLE`."""
    padding = (0, -first.shape[-1] % MULTIPLE, 0, -first.shape[-2] % MULTIPLE)
    one, other = F.pad(torch.cat([first, second]).float() / 255, padding, mode="replicate").chunk(2)
    return one, other


def _warped(pair: tuple[Tensor, Tensor], flow: Tensor) -> list[Tensor]:
    """Each frame sampled at its half of the flow (B, 4, H, W), bilinear, the border repeated."""
    height, width = flow.shape[2:]
    y, x = (torch.linspace(-1, 1, n, device=flow.device) for n in (height, width))
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    half = flow.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return [
        F.grid_sample(
            frame, grid + rearrange(part, "b d h w -> b h w d") / half, padding_mode="border", align_corners=True
        )
        for frame, part in zip(pair, flow.chunk(2, dim=1), strict=True)
    ]


def _resize(x: Tensor, factor: float) -> Tensor:
    return x if factor == 1 else F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
