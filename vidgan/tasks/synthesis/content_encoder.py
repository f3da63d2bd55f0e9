"""The image-to-video variant's encoder from a given first frame to the content code.

The paper states only that an encoder supplies the content code; its layers were never published. This is the frame
discriminator's layout.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.sections import Section, option

__all__ = ["ContentEncoder", "ContentEncoderConfig"]


class ContentEncoderConfig(Section):
    """The encoder of image-to-video, from a given first frame to the content code."""

    width: int = option(64, "Channels of the first layer, doubled at each further one.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any layer.", unit="channels", ge=1)
    norm: Literal["batch", "group", "pixel", "none"] = option("none", "Behind all convolutions but first and last.")
    bias: bool = option(True, "Convolutions without a shifting norm behind them have a bias.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class ContentEncoder(nn.Module):
    """Strided 4x4 convolutions down to the smallest grid, then one that spans it.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        dim_content: length of the code.
        width: channels of the first layer, doubled at each further one.
        max_width: most channels of any layer.
        norm: "batch", "group", "pixel" or "none", behind all convolutions but the first and the last.
        bias: convolutions without a shifting norm behind them have a bias.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        width: int = 64,
        max_width: int = 512,
        norm: str = "none",
        bias: bool = True,
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        plan = [channels, *channel_plan(width, depth, max_width)]
        self.levels = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(pairwise(plan)):
            kind = norm if level else "none"
            step = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias and not norm_shifts(kind))
            if norm == "none":  # with torch's default a fifth of the signal would remain after four levels
                nn.init.kaiming_normal_(step.weight, LEAK)
            self.levels.append(nn.Sequential(step, norm_layer(kind, outputs), nn.LeakyReLU(LEAK)))
        self.code = nn.Conv2d(plan[-1], dim_content, grid, bias=bias)
        self.normalises_code = norm == "none"  # nothing else keeps the code near the size of a drawn one

    def forward(self, frame: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode frames (B, channels, H, W) in [-1, 1].

        Returns:
            Codes (B, dim_content), float32; maps (B, width * 2^i, H / 2^(i+1), W / 2^(i+1)), coarsest first, then the
            frames themselves: skips for a frame generator.
        """
        maps = [frame]
        for level in self.levels:
            maps.append(level(maps[-1]))
        code = self.code(maps[-1]).flatten(1).float()  # (B, dim_content)
        if self.normalises_code:
            code = F.layer_norm(code, code.shape[1:])
        return code, maps[::-1]
