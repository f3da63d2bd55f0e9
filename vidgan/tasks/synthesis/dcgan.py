"""The paper's frame generator G_I: a DCGAN decoder from one code to one frame.

With `norm="batch", bias=False` it is the released code's network at 64x64: a 4x4 start, four 4x4 transposed
convolutions of stride 2, channels 512-256-128-64-3, batch norm and ReLU, tanh at the end (Tulyakov et al. 2018; Radford
et al. 2016).
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.sections import Section, option

__all__ = ["DCGANConfig", "DCGANFrameGenerator"]


class DCGANConfig(Section):
    """The paper's frame generator: a DCGAN decoder."""

    reads_skips: ClassVar[bool] = False  # whether the network takes the maps of an encoder

    kind: Literal["dcgan"] = option("dcgan", "Transposed convolutions from one joint code.")
    width: int = option(64, "Channels of the last hidden layer; they double toward the input.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any layer.", unit="channels", ge=1)
    norm: Literal["batch", "group", "pixel", "none"] = option("batch", "Normalisation of the hidden layers.")
    bias: bool = option(True, "Convolutions without a shifting norm behind them have a bias.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class DCGANFrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Any frame generator has this protocol: `forward(content, motion) -> frames` with content (N, dim_content), motion
    (N, dim_motion) and frames (N, channels, H, W), float32 in [-1, 1].

    Args:
        image_size: (H, W), multiples of 16 from 32 up. The first layer spans the grid that halving leaves (64x64: 4x4,
            128x160: 4x5, 96x96: 6x6); each further layer doubles it.
        channels: of a frame.
        dim_content, dim_motion: lengths of the two codes, which are concatenated.
        width: channels of the last hidden layer; they double toward the input.
        max_width: most channels of any layer.
        norm: "batch" (rows of a batch mix in training mode), "group", "pixel" or "none".
        bias: convolutions without a shifting norm behind them have a bias (the released code has none anywhere).
    """

    unit_layers: ClassVar[tuple[str, ...]] = ("norms",)  # read and changed by `vidgan.tasks.synthesis.units`

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 64,
        max_width: int = 512,
        norm: str = "batch",
        bias: bool = True,
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        plan = channel_plan(width, depth, max_width)[::-1]  # coarse to fine
        hidden_bias = bias and not norm_shifts(norm)
        self.start = nn.ConvTranspose2d(dim_content + dim_motion, plan[0], grid, bias=hidden_bias)
        self.norms = nn.ModuleList(norm_layer(norm, level) for level in plan)
        self.steps = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=hidden_bias if level < depth - 1 else bias)
            for level, (inputs, outputs) in enumerate(zip(plan, [*plan[1:], channels], strict=True))
        )

    def forward(self, content: Tensor, motion: Tensor) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1]."""
        code = torch.cat([content, motion], dim=1)  # (N, dim_content + dim_motion)
        maps = self.start(code[:, :, None, None])  # (N, plan[0], *grid)
        for norm, step in zip(self.norms, self.steps, strict=True):
            maps = step(F.relu(norm(maps)))
        return torch.tanh(maps.float())
