"""A frame generator that grows by one level at a time (ProGAN, Karras et al., ICLR 2018).

Each level doubles the maps and has two 3x3 convolutions with an equalised learning rate; vectors of channels are scaled
to unit mean square behind each. A 1x1 convolution turns the maps of the finest working level into colours. During a
fade, the colours of the level below are enlarged and mixed with them. ProGAN has no tanh at the end; here one keeps
frames in [-1, 1], as every frame generator of MoCoGAN does.

StyleGAN2 (section 4) left growing, because details stuck to places of the screen. Its worth here is its cost: early
phases are cheap. Which levels work, and when, says `vidgan.tasks.synthesis.growing`; without it all do.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import activated
from vidgan.nn.growing import EqualisedConv2d, Growth, enlarged
from vidgan.nn.modulated import EqualisedLinear, unit_moment
from vidgan.nn.norms import PixelNorm
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.sections import Section, option

__all__ = ["ProgressiveConfig", "ProgressiveFrameGenerator"]


class ProgressiveConfig(Section):
    """A frame generator whose levels can be added during training."""

    reads_skips: ClassVar[bool] = False  # whether the network takes the maps of an encoder

    kind: Literal["progressive"] = option("progressive", "Levels that can be added during training (ProGAN).")
    width: int = option(16, "Channels of the finest level; they double toward the start.", unit="channels", ge=1)
    max_width: int = option(256, "Most channels of any level.", unit="channels", ge=1)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class _Level(nn.Module):
    """Doubling, then convolutions, each with leaky ReLU and pixel norm."""

    def __init__(self, inputs: int, outputs: int, *, doubles: bool) -> None:
        super().__init__()
        self.doubles = doubles
        widths = [inputs, outputs, outputs] if doubles else [inputs, outputs]
        self.convolutions = nn.ModuleList(EqualisedConv2d(i, o, (3, 3)) for i, o in pairwise(widths))
        self.norm = PixelNorm()

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W) or twice this size."""
        if self.doubles:
            maps = F.interpolate(maps, scale_factor=2.0, mode="nearest")
        for convolution in self.convolutions:
            maps = self.norm(activated(convolution(maps)))
        return maps


class ProgressiveFrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Args:
        image_size: (H, W) of the finest level, multiples of 16 from 32 up.
        channels: of a frame.
        dim_content, dim_motion: lengths of the codes.
        width: channels of the finest level; they double toward the start.
        max_width: most channels of any level.

    Attributes:
        sizes: (H, W) of each level, coarsest first.
    """

    unit_layers: ClassVar[tuple[str, ...]] = ("levels",)  # read and changed by `vidgan.tasks.synthesis.units`

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 16,
        max_width: int = 256,
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        plan = channel_plan(width, depth + 1, max_width)[::-1]  # coarse to fine
        self.sizes = [(grid[0] * 2**level, grid[1] * 2**level) for level in range(len(plan))]
        self.start = EqualisedLinear(dim_content + dim_motion, plan[0] * grid[0] * grid[1])
        self.norm = PixelNorm()
        self.levels = nn.ModuleList(
            _Level(plan[max(0, level - 1)], outputs, doubles=level > 0) for level, outputs in enumerate(plan)
        )
        self.colours = nn.ModuleList(EqualisedConv2d(outputs, channels, (1, 1)) for outputs in plan)
        self.growth = Growth(len(plan))

    def grow(self, progress: float) -> None:
        """Work up to this level, see `vidgan.nn.growing.Growth.set`."""
        self.growth.set(progress)

    def idle_modules(self) -> list[nn.Module]:
        """The modules that do not work."""
        return self.growth.idle(self.levels, self.colours)

    def forward(self, content: Tensor, motion: Tensor, *, native_size: bool = False) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1].

        Args:
            content, motion: the codes.
            native_size: frames have the size of the finest working level; False: their pixels are repeated up to
                `image_size`, so that a network in an early phase can be used like any other.
        """
        code = torch.cat([unit_moment(content.float()), motion.float()], dim=1)
        maps = self.start(code).unflatten(1, (-1, *self.sizes[0]))  # (N, plan[0], h, w)
        maps = self.norm(activated(maps)).contiguous(memory_format=torch.channels_last)
        level, alpha = self.growth.level, self.growth.alpha
        for number in range(level):
            maps = self.levels[number](maps)
        frames = self.colours[level](self.levels[level](maps))
        if alpha < 1:
            frames = torch.lerp(enlarged(self.colours[level - 1](maps), self.sizes[level]), frames, alpha)
        frames = torch.tanh(frames.float())
        return frames if native_size else enlarged(frames, self.sizes[-1])
