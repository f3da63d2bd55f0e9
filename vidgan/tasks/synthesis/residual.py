"""A frame generator of residual blocks (SNGAN, SAGAN, BigGAN), with a norm or without one.

The codes make a 4x4 grid; each block doubles it. `modulated` is BigGAN's hierarchical latent: content and motion scale
and shift the maps of every block (motion only of the coarsest ones with `motion_levels`). Without it the codes enter at
the start alone, as in SNGAN. Frames are drawn one by one, so attention is spatial.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.attention import SelfAttention, require_sides
from vidgan.nn.blocks import LEAK
from vidgan.nn.norms import norm_layer
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.nn.residual import ResidualBlock, branch_scale_of
from vidgan.nn.spectral_norm import spectral_normalise
from vidgan.sections import Section, option

__all__ = ["ResidualConfig", "ResidualFrameGenerator"]


class ResidualConfig(Section):
    """A frame generator of residual blocks."""

    reads_skips: ClassVar[bool] = True  # whether the network takes the maps of an encoder

    kind: Literal["residual"] = option("residual", "Residual blocks that double the maps (SNGAN, BigGAN).")
    width: int = option(64, "Channels of the last block; they double toward the start.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any block.", unit="channels", ge=1)
    norm: Literal["batch", "group", "pixel", "none"] = option(
        "group", "Norm in the blocks; none scales the branches down instead."
    )
    branch_scale: float | None = option(
        None, "Factor on the branch of each block; null: 1 with a norm, 0.1 without.", gt=0
    )
    zero_start: bool = option(False, "The last convolution of each block starts at 0, so it begins as its shortcut.")
    modulated: bool = option(True, "The codes scale and shift the maps of each block; false: they enter at the start.")
    motion_levels: int | None = option(None, "Number of coarsest blocks that motion modulates too; null for all.", ge=0)
    attention: tuple[int, ...] = option((), "Sides of the maps that self-attention reads.", unit="pixels")
    spectral: bool = option(False, "Spectral normalisation of all layers (SAGAN).")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)
        if self.motion_levels is not None and not self.modulated:
            yield "motion_levels has no effect with modulated=false; remove one"


class ResidualFrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        dim_content, dim_motion: lengths of the codes.
        width: channels of the last block; they double toward the start.
        max_width: most channels of any block.
        norm: "batch" (rows of a batch mix in training mode), "group", "pixel" or "none".
        branch_scale: factor on the branch of each block; None: 1 with a norm, 0.1 without.
        zero_start: the last convolution of each block starts at 0.
        modulated: the codes scale and shift the maps of each block.
        motion_levels: number of coarsest blocks that motion modulates too, finer ones read content; None: all.
        attention: sides of the maps behind which self-attention stands.
        spectral: spectral norm on all layers.
        skip_channels: channels of the encoder's maps that each block reads beside its own, coarsest first; () for none.

    Raises:
        ValueError: `motion_levels` or `attention` does not fit.
    """

    unit_layers: ClassVar[tuple[str, ...]] = ("blocks",)  # read and changed by `vidgan.tasks.synthesis.units`

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 64,
        max_width: int = 512,
        norm: str = "group",
        branch_scale: float | None = None,
        zero_start: bool = False,
        modulated: bool = True,
        motion_levels: int | None = None,
        attention: Sequence[int] = (),
        spectral: bool = False,
        skip_channels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        if motion_levels is not None and not 0 <= motion_levels < depth:
            raise ValueError(f"motion_levels={motion_levels} must be below the number of blocks, {depth}")
        plan = channel_plan(width, depth + 1, max_width)[::-1]  # coarse to fine
        sides = [min(grid) * 2 ** (level + 1) for level in range(depth)]
        require_sides(attention, sides)
        self.grid = (grid[0], grid[1])
        self.modulated = modulated
        self.motion_levels = depth if motion_levels is None else motion_levels
        self.start = nn.Linear(dim_content + dim_motion, plan[0] * grid[0] * grid[1])
        skips = list(skip_channels[:depth])
        self.skips = nn.ModuleList(nn.Conv2d(skip, level, 1) for skip, level in zip(skips, plan, strict=False))
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        for level, (inputs, outputs) in enumerate(pairwise(plan)):
            dim_code = dim_content + (dim_motion if level < self.motion_levels else 0)
            self.blocks.append(
                ResidualBlock(
                    inputs,
                    outputs,
                    resample="up",
                    norm=norm,
                    dim_code=dim_code if modulated else 0,
                    scale=branch_scale_of(branch_scale, normalised=norm != "none"),
                    zero_start=zero_start,
                )
            )
            if sides[level] in attention:
                self.attention[str(level)] = SelfAttention(outputs)
        self.norm = norm_layer(norm, plan[-1])
        self.output = nn.Conv2d(plan[-1], channels, 3, padding=1, padding_mode="replicate")
        if spectral:
            spectral_normalise(self)

    def forward(self, content: Tensor, motion: Tensor, *skips: Tensor) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1].

        Args:
            content, motion: the codes.
            skips: maps of B images, coarsest first; each serves N / B consecutive rows.
        """
        joint = torch.cat([content, motion], dim=1)
        maps = self.start(joint).unflatten(1, (-1, *self.grid))  # (N, plan[0], h, w)
        maps = maps.contiguous(memory_format=torch.channels_last)
        for level, (block, skip) in enumerate(zip_longest(self.blocks, skips[: len(self.skips)])):
            if skip is not None:
                maps = maps + self.skips[level](skip).repeat_interleave(len(maps) // len(skip), dim=0)
            code = (joint if level < self.motion_levels else content) if self.modulated else None
            maps = block(maps, code)
            if str(level) in self.attention:
                maps = self.attention[str(level)](maps)
        return torch.tanh(self.output(F.leaky_relu(self.norm(maps), LEAK)).float())
