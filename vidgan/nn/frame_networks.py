"""Networks from maps to maps of the same size: the U-Net of pix2pix and the ResNet of CycleGAN, fitted to any frame.

Any such network has this protocol: `forward(maps) -> maps`, (N, inputs, H, W) -> (N, outputs, H, W), unbounded.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, FullPrecisionConv2d
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan, pyramid
from vidgan.nn.upsample import doubled_convolution
from vidgan.sections import Section, option

__all__ = ["FRAME_NETWORKS", "ResNet", "ResNetConfig", "UNet", "UNetConfig"]

HEAD_SCALE = 0.1
Norm = Literal["none", "instance", "group", "batch"]


class _FrameNetworkConfig(Section):
    width: int = option(32, "Channels at full size, doubled at each halving.", unit="channels", ge=1)
    max_width: int = option(256, "Most channels of any layer.", unit="channels", ge=1)
    norm: Norm = option("group", "Behind the convolutions. `instance`, as published, discards each frame's brightness.")


class UNetConfig(_FrameNetworkConfig):
    """U-Net (Isola et al., CVPR 2017)."""

    kind: Literal["unet"] = option("unet", "Encoder and decoder with skip connections: layout carries over exactly.")


class ResNetConfig(_FrameNetworkConfig):
    """ResNet (Johnson et al., ECCV 2016; Zhu et al., ICCV 2017)."""

    kind: Literal["resnet"] = option("resnet", "Two halvings, residual blocks, two doublings.")
    blocks: int = option(6, "Residual blocks at a quarter of the size (CycleGAN: 6 at 128 pixels, 9 at 256).", ge=1)


class _Layer(nn.Sequential):
    """Convolution, norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(
                inputs,
                outputs,
                kernel,
                stride=stride,
                padding=(kernel - 1) // 2,
                bias=not norm_shifts(norm),
                padding_mode="zeros" if stride > 1 else "replicate",
            ),
            norm_layer(norm, outputs),
            nn.LeakyReLU(LEAK),
        )


class _Doubling(nn.Module):
    """Double height and width by nearest neighbours, then convolution, norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm_shifts(norm), padding_mode="replicate")
        self.norm = norm_layer(norm, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, 2h, 2w)."""
        return nn.functional.leaky_relu(self.norm(doubled_convolution(maps, self.conv)), LEAK)


def _head(inputs: int, outputs: int) -> FullPrecisionConv2d:
    """The last convolution; its outputs are small at first."""
    head = FullPrecisionConv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")
    assert head.bias is not None
    with torch.no_grad():
        head.weight.mul_(HEAD_SCALE)
        head.bias.zero_()
    return head


class UNet(nn.Module):
    """Encoder and decoder with a skip connection at each size.

    Frames are halved down to about 4 pixels. The coarsest layer has no norm: instance norm of few pixels would leave
    nothing.

    Args:
        inputs: channels read.
        outputs: channels written.
        image_size: (H, W), multiples of 16 from 32 up.
        width: channels at full size, doubled at each halving.
        max_width: most channels of any layer.
        norm: "none", "instance", "group" or "batch".

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        image_size: tuple[int, int],
        width: int = 32,
        max_width: int = 256,
        norm: str = "group",
    ) -> None:
        super().__init__()
        depth, _ = pyramid(image_size)
        plan = channel_plan(width, depth + 1, max_width)  # channels at full size, half, ...
        self.start = _Layer(inputs, plan[0], norm)
        self.down = nn.ModuleList(
            _Layer(fine, coarse, norm if level < depth - 1 else "none", kernel=4, stride=2)
            for level, (fine, coarse) in enumerate(pairwise(plan))
        )
        self.up = nn.ModuleList(
            _Doubling(coarse, fine, norm) for fine, coarse in zip(plan[-2::-1], plan[:0:-1], strict=True)
        )
        self.join = nn.ModuleList(_Layer(2 * fine, fine, norm) for fine in plan[-2::-1])
        self.head = _head(plan[0], outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        maps = self.start(maps)
        skips = []
        for layer in self.down:
            skips.append(maps)
            maps = layer(maps)
        for up, join, skip in zip(self.up, self.join, reversed(skips), strict=True):
            maps = join(torch.cat([up(maps), skip], dim=1))
        result: Tensor = self.head(maps)
        return result


class _Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.first = _Layer(channels, channels, norm)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=not norm_shifts(norm), padding_mode="replicate"),
            norm_layer(norm, channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        result: Tensor = maps + self.second(self.first(maps))
        return result


class ResNet(nn.Module):
    """Two halvings, residual blocks, two doublings; no skip connection beside them.

    Args:
        inputs: channels read.
        outputs: channels written.
        image_size: (H, W), multiples of 4.
        width: channels at full size, doubled at each halving.
        max_width: most channels of any layer.
        norm: "none", "instance", "group" or "batch".
        blocks: residual blocks at a quarter of the size.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        image_size: tuple[int, int],
        width: int = 32,
        max_width: int = 256,
        norm: str = "group",
        blocks: int = 6,
    ) -> None:
        super().__init__()
        pyramid(image_size)
        fine, middle, coarse = channel_plan(width, 3, max_width)
        self.layers = nn.Sequential(
            _Layer(inputs, fine, norm, kernel=7),
            _Layer(fine, middle, norm, kernel=4, stride=2),
            _Layer(middle, coarse, norm, kernel=4, stride=2),
            *(_Residual(coarse, norm) for _ in range(blocks)),
            _Doubling(coarse, middle, norm),
            _Doubling(middle, fine, norm),
        )
        self.head = _head(fine, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        result: Tensor = self.head(self.layers(maps))
        return result


# Config section -> network. A new kind is one file with both, and one line here.
FRAME_NETWORKS: dict[type[Section], type[nn.Module]] = {UNetConfig: UNet, ResNetConfig: ResNet}
