"""A frame generator in which content is a style that scales and shifts every layer, and motion says where and how.

Not in the paper. It keeps MoCoGAN's codes and changes how a frame is drawn from them: modulation of normalised maps by
a mapped code (StyleGAN, Karras et al. 2019) and coordinates as an input of every level (CoordConv, Liu et al. 2018).
There is no batch norm, so the rows of a batch stay independent.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.nn.upsample import doubled_convolution
from vidgan.sections import Section, option

__all__ = ["StyleConfig", "StyleFrameGenerator"]

COORDINATES = 3  # x, y and the distance from the origin


class Coordinates(nn.Module):
    """Coordinate maps around an origin: twice (x - x0, y - y0, distance), with x and y in [-1, 1]."""

    def forward(self, origin: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, 2) -> (N, 3, H, W)."""
        height, width = size
        x = torch.linspace(-1, 1, width, device=origin.device)[None, None, :] - origin[:, 0, None, None]  # (N, 1, W)
        y = torch.linspace(-1, 1, height, device=origin.device)[None, :, None] - origin[:, 1, None, None]  # (N, H, 1)
        x, y = x.expand(-1, height, -1), y.expand(-1, -1, width)  # (N, H, W)
        distance = (x.square() + y.square() + 1e-4).sqrt()
        return 2 * torch.stack([x, y, distance], dim=1)


def mapping_network(inputs: int, width: int) -> nn.Sequential:
    """Codes (N, inputs) -> styles (N, width)."""
    layers = nn.Linear(inputs, width), nn.Linear(width, width)
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, LEAK)
        nn.init.normal_(layer.bias, std=0.3)
    return nn.Sequential(layers[0], nn.LeakyReLU(LEAK), layers[1], nn.LeakyReLU(LEAK))


class StyledLayer(nn.Module):
    """Add coordinates and skipped maps, normalise over channels, scale and shift by the style, leaky ReLU."""

    def __init__(self, *, channels: int, dim_style: int, skip_channels: int | None) -> None:
        super().__init__()
        self.coordinates = nn.Conv2d(COORDINATES, channels, 1)
        self.skip = None if skip_channels is None else nn.Conv2d(skip_channels, channels, 1)
        self.style = nn.Linear(dim_style, 2 * channels)
        nn.init.normal_(self.style.weight, std=0.5 / dim_style**0.5)
        nn.init.zeros_(self.style.bias)

    def forward(self, maps: Tensor, style: Tensor, coordinates: Tensor, skip: Tensor | None) -> Tensor:
        """Maps (N, C, H, W), styles (N, dim_style), coordinates (N, 3, H, W), skip (B, S, H, W) -> (N, C, H, W)."""
        maps = maps + self.coordinates(coordinates.contiguous(memory_format=torch.channels_last))  # as the maps are
        if self.skip is not None and skip is not None:
            maps = maps + self.skip(skip).repeat_interleave(maps.shape[0] // skip.shape[0], dim=0)
        maps = rearrange(maps, "n c h w -> n h w c")
        maps = rearrange(F.layer_norm(maps, (maps.shape[-1],)), "n h w c -> n c h w")
        scale, offset = self.style(style)[:, :, None, None].to(maps.dtype).chunk(2, dim=1)  # (N, C, 1, 1)
        return F.leaky_relu(maps * (1 + scale) + offset, LEAK)


class StyleConfig(Section):
    """A frame generator in which content scales and shifts every layer."""

    reads_skips: ClassVar[bool] = True  # whether the network takes the maps of an encoder

    kind: Literal["style"] = option("style", "Modulated normalised maps with coordinates as an input of every level.")
    width: int = option(64, "Channels of the finest level; they double toward the start.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any level.", unit="channels", ge=1)
    mapping_width: int = option(64, "Width of the mapping networks.", ge=1)
    motion_moves_origin: bool = option(
        False, "Motion moves the origin of the coordinates, and content alone is the style: for gliding objects."
    )
    reach: float = option(0.7, "How far from the centre motion can place the object.", unit="half frame widths", gt=0)
    motion_levels: int | None = option(
        None, "Number of coarsest levels whose style depends on motion too; null for all.", ge=0
    )
    full_resolution: bool = option(True, "A level at the frame's size instead of a pixel shuffle.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)
        if self.motion_levels is not None and self.motion_moves_origin:
            yield "motion_levels has no effect with motion_moves_origin=true; remove one"


class StyleFrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        dim_content, dim_motion: lengths of the codes.
        width: channels of the finest level; they double toward the start.
        max_width: most channels of any level.
        mapping_width: width of the mapping networks.
        motion_moves_origin: True: the style is content alone, and motion moves the origin of the coordinates that every
            level reads, so that it can only place what content draws. A strong bias towards one gliding object: right
            for moving shapes, wrong for limbs. False: the style is mapped from both codes, coordinates are fixed.
        reach: how far from the centre motion can place the object, in half frame widths.
        motion_levels: number of coarsest levels whose style depends on both codes; that of the finer ones depends on
            content alone, so that motion decides the layout and content the appearance. None: all depend on both. Not
            with `motion_moves_origin`.
        full_resolution: False replaces the level at the frame's size by a last convolution that predicts 2x2 pixels per
            position (Shi et al. 2016), which costs a third less and is a little coarser.
        skip_channels: channels of the encoder's maps that each level reads beside its own, coarsest first (see
            `ContentEncoder`; the skips of a U-Net, Ronneberger et al. 2015); () for none.

    Raises:
        ValueError: `motion_levels` does not fit.
    """

    unit_layers: ClassVar[tuple[str, ...]] = ("layers",)  # read and changed by `vidgan.tasks.synthesis.units`
    mixes_content: ClassVar[bool] = True  # content can differ between levels, see `forward`

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 32,
        max_width: int = 128,
        mapping_width: int = 64,
        motion_moves_origin: bool = False,
        reach: float = 0.7,
        motion_levels: int | None = None,
        full_resolution: bool = True,
        skip_channels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        plan = channel_plan(width, depth, max_width)[::-1]  # coarse to fine
        if full_resolution:
            plan = [*plan, width]
        if motion_levels is not None and (motion_moves_origin or not 0 <= motion_levels < len(plan)):
            raise ValueError(
                f"motion_levels={motion_levels} must be below the number of levels, {len(plan)}, and cannot be combined"
                " with motion_moves_origin"
            )
        self.grid = (1, 1) if motion_moves_origin else (grid[0], grid[1])
        self.first_size = (grid[0], grid[1])
        self.motion_levels = motion_levels
        self.reach = reach
        self.full_resolution = full_resolution
        dim_code = dim_content if motion_moves_origin else dim_content + dim_motion
        self.mapping = mapping_network(dim_code, mapping_width)
        self.look = None if motion_levels is None else mapping_network(dim_content, mapping_width)
        self.start = nn.Linear(mapping_width, plan[0] * self.grid[0] * self.grid[1])
        self.where = nn.Linear(dim_motion, 2) if motion_moves_origin else None
        if self.where is not None:
            nn.init.normal_(self.where.weight, std=2 / dim_motion**0.5)
            nn.init.zeros_(self.where.bias)
        self.coordinates = Coordinates()
        self.layers = nn.ModuleList(
            StyledLayer(channels=level, dim_style=mapping_width, skip_channels=skipped)
            for level, skipped in zip_longest(plan, skip_channels[: len(plan)])
        )
        # Zero padding would reveal how far the border is, and appearance would change with position.
        self.steps = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1, padding_mode="replicate")
            for i, o in zip(plan, [*plan[1:], channels if full_resolution else 4 * channels], strict=True)
        )

    @property
    def num_levels(self) -> int:
        """Number of levels, from the coarsest to the finest."""
        return len(self.layers)

    def forward(
        self,
        content: Tensor,
        motion: Tensor,
        *skips: Tensor,
        fine_content: Tensor | None = None,
        fine_from: int = 0,
    ) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1].

        Args:
            content, motion: the codes.
            skips: maps of B images, coarsest first; each serves N / B consecutive rows.
            fine_content: (N, dim_content), another content for the levels from `fine_from` on (style mixing, Karras et
                al. 2019).
            fine_from: 1 to `num_levels` - 1.
        """
        origin = motion.new_zeros(motion.shape[0], 2)
        if self.where is not None:
            # Bounded, or at the start of training objects would be placed outside the frame.
            origin = self.reach * torch.tanh(self.where(motion).float() / self.reach)
        style = self._style(content, motion)  # (N, mapping_width)
        maps = self.start(style).unflatten(1, (-1, *self.grid)).expand(-1, -1, *self.first_size)  # (N, plan[0], h, w)
        maps = maps.contiguous(memory_format=torch.channels_last)
        size = self.first_size
        for level, (layer, step, skip) in enumerate(zip_longest(self.layers, self.steps, skips[: len(self.layers)])):
            mixes = fine_content is not None and level == fine_from
            if mixes:
                assert fine_content is not None
                content = fine_content
            if mixes or level == self.motion_levels:
                style = self._style(content, motion, level)
            maps = layer(maps, style, self.coordinates(origin, size), skip)
            last = level == len(self.steps) - 1
            assert isinstance(step, nn.Conv2d)
            maps = step(maps) if last else doubled_convolution(maps, step)
            size = size if last else (2 * size[0], 2 * size[1])
        if not self.full_resolution:
            maps = F.pixel_shuffle(maps, 2)  # (N, 4 * channels, H/2, W/2) -> (N, channels, H, W)
        return torch.tanh(maps.float())

    def _style(self, content: Tensor, motion: Tensor, level: int = -1) -> Tensor:
        """The style of a level, (N, mapping_width); -1 for the start."""
        if self.look is not None and self.motion_levels is not None and level >= self.motion_levels:
            return self.look(content)
        return self.mapping(content if self.where is not None else torch.cat([content, motion], dim=1))
