"""A frame generator in which content is a style: it scales and shifts every layer, while motion says where and how.

Not in the paper. It keeps MoCoGAN's codes and changes how a frame is drawn from them: modulation of normalised maps by
a mapped code (StyleGAN, Karras et al. 2019) and coordinates as an input of every level (CoordConv, Liu et al. 2018).
There is no batch norm: the rows of a batch stay independent.
"""

from collections.abc import Sequence
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK
from vidgan.nn.pyramid import channel_plan, pyramid
from vidgan.nn.upsample import doubled_convolution

__all__ = ["StyleFrameGenerator"]

COORDINATES = 3  # x, y and the distance from the origin


class Place(nn.Module):
    """Coordinate maps around a point: twice (x - x0, y - y0, distance), with x and y in [-1, 1]."""

    def forward(self, point: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, 2) -> (N, 3, H, W)."""
        height, width = size
        x = torch.linspace(-1, 1, width, device=point.device)[None, None, :] - point[:, 0, None, None]  # (N, 1, W)
        y = torch.linspace(-1, 1, height, device=point.device)[None, :, None] - point[:, 1, None, None]  # (N, H, 1)
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
    """Coordinates in, and what is seen, then norm over channels, then the style's scale and offset, then leaky ReLU."""

    def __init__(self, *, channels: int, dim_style: int, seen: int | None) -> None:
        super().__init__()
        self.coordinates = nn.Conv2d(COORDINATES, channels, 1)
        self.seen = None if seen is None else nn.Conv2d(seen, channels, 1)
        self.style = nn.Linear(dim_style, 2 * channels)
        nn.init.normal_(self.style.weight, std=0.5 / dim_style**0.5)
        nn.init.zeros_(self.style.bias)

    def forward(self, maps: Tensor, style: Tensor, places: Tensor, seen: Tensor | None) -> Tensor:
        """Maps (N, C, H, W), styles (N, dim_style), coordinates (N, 3, H, W), seen (B, S, H, W) -> (N, C, H, W)."""
        maps = maps + self.coordinates(places.contiguous(memory_format=torch.channels_last))  # as the maps are
        if self.seen is not None and seen is not None:
            maps = maps + self.seen(seen).repeat_interleave(len(maps) // len(seen), dim=0)
        maps = F.layer_norm(maps.permute(0, 2, 3, 1), (maps.shape[1],)).permute(0, 3, 1, 2)
        scale, offset = self.style(style)[:, :, None, None].to(maps.dtype).chunk(2, dim=1)  # (N, C, 1, 1)
        return F.leaky_relu(maps * (1 + scale) + offset, LEAK)


class StyleFrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        dim_content, dim_motion: lengths of the codes.
        width: channels of the finest level; they double toward the start.
        max_width: most channels of any level.
        mapping: width of the mapping networks.
        motion_places: True: the style is content alone, and motion moves the origin of the coordinates that every level
            sees, so that it can only place what content draws. A strong bias towards one object that glides: right for
            moving shapes, wrong for limbs. False: the style is mapped from both codes, coordinates are fixed.
        reach: how far from the middle motion can place the picture, in half frame widths.
        motion_levels: so many levels, from the coarsest on, have a style of both codes; that of the finer ones is of
            content alone, so that motion says what stands where, and content how it looks. None: all have both. Not
            with `motion_places`.
        full_resolution: False leaves out the level at the frame's size: the last convolution answers with 2x2 pixels a
            place (Shi et al. 2016), which costs a third less and is a little coarser.
        seen: channels of the maps of a picture that each level reads beside its own, from the coarsest on (as
            `ContentEncoder` returns them: the skips of a U-Net, Ronneberger et al. 2015); () for none.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 32,
        max_width: int = 128,
        mapping: int = 64,
        motion_places: bool = False,
        reach: float = 0.7,
        motion_levels: int | None = None,
        full_resolution: bool = True,
        seen: Sequence[int] = (),
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        plan = channel_plan(width, depth, max_width)[::-1]  # coarse to fine
        if full_resolution:
            plan = [*plan, width]
        if motion_levels is not None and (motion_places or not 0 <= motion_levels < len(plan)):
            raise ValueError(
                f"motion_levels={motion_levels}: a number below the {len(plan)} levels, and not with motion_places"
            )
        self.grid = (1, 1) if motion_places else (grid[0], grid[1])
        self.first = (grid[0], grid[1])
        self.motion_places = motion_places
        self.motion_levels = motion_levels
        self.reach = reach
        self.full_resolution = full_resolution
        dim_code = dim_content if motion_places else dim_content + dim_motion
        self.mapping = mapping_network(dim_code, mapping)
        self.look = None if motion_levels is None else mapping_network(dim_content, mapping)
        self.start = nn.Linear(mapping, plan[0] * self.grid[0] * self.grid[1])
        self.where = nn.Linear(dim_motion, 2) if motion_places else None
        if self.where is not None:
            nn.init.normal_(self.where.weight, std=2 / dim_motion**0.5)
            nn.init.zeros_(self.where.bias)
        self.place = Place()
        self.layers = nn.ModuleList(
            StyledLayer(channels=level, dim_style=mapping, seen=shown)
            for level, shown in zip_longest(plan, seen[: len(plan)])
        )
        # Zero padding would tell each position how far the border is, and appearance would change with place.
        self.steps = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1, padding_mode="replicate")
            for i, o in zip(plan, [*plan[1:], channels if full_resolution else 4 * channels], strict=True)
        )

    def forward(self, content: Tensor, motion: Tensor, *seen: Tensor) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1].

        With `seen`, maps of B pictures, each for N / B rows in turn.
        """
        point = motion.new_zeros(len(motion), 2)
        code = torch.cat([content, motion], dim=1)
        if self.where is not None:
            # Bounded, or at the start of training pictures would be placed outside the frame.
            point, code = self.reach * torch.tanh(self.where(motion).float() / self.reach), content
        style = self.mapping(code)  # (N, mapping)
        maps = self.start(style).unflatten(1, (-1, *self.grid)).expand(-1, -1, *self.first)  # (N, plan[0], h, w)
        maps = maps.contiguous(memory_format=torch.channels_last)
        size = self.first
        for level, (layer, step, shown) in enumerate(zip_longest(self.layers, self.steps, seen[: len(self.layers)])):
            if self.look is not None and level == self.motion_levels:
                style = self.look(content)
            maps = layer(maps, style, self.place(point, size), shown)
            last = level == len(self.steps) - 1
            assert isinstance(step, nn.Conv2d)
            maps = step(maps) if last else doubled_convolution(maps, step)
            size = size if last else (2 * size[0], 2 * size[1])
        if not self.full_resolution:
            maps = F.pixel_shuffle(maps, 2)  # (N, 4 * channels, H/2, W/2) -> (N, channels, H, W)
        return torch.tanh(maps.float())
