"""A frame generator of modulated convolutions (StyleGAN2, Karras et al. 2020; as MoCoGAN+SG2, Tian et al. 2021).

A mapping network turns the content code into a style code w, which scales the input channels of every convolution. The
motion code of a frame is appended to w at all levels, or at the coarsest `motion_levels`, so that motion decides the
layout and content the look. The mean of w over training is tracked: pulling w toward it (truncation) trades diversity
for quality. Training may mix the styles of two contents and add noise that is drawn once per clip: noise of each frame
would flicker.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, activated, require_choice
from vidgan.nn.modulated import EqualisedLinear, ModulatedConv2d, ModulatedLayer, doubled, unit_moment
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.sections import Section, option

__all__ = ["ModulatedConfig", "ModulatedFrameGenerator", "Truncation"]

MEMORY = 0.995  # of the tracked means


class Truncation(NamedTuple):
    """How far style codes are pulled toward their mean: w <- mean + psi (w - mean).

    Attributes:
        psi: 1 leaves them, 0 gives all clips the mean content.
        motion: pull the motion codes toward their mean too, which slows motion down.
    """

    psi: float
    motion: bool = False


class ModulatedConfig(Section):
    """A frame generator of modulated convolutions."""

    reads_skips: ClassVar[bool] = False  # whether the network takes the maps of an encoder
    has_styles: ClassVar[bool] = True  # whether it has style codes, see `ModulatedFrameGenerator.styles`

    kind: Literal["modulated"] = option("modulated", "Modulated, demodulated convolutions with a mapping network.")
    width: int = option(32, "Channels of the finest level; they double toward the start.", unit="channels", ge=1)
    max_width: int = option(256, "Most channels of any level.", unit="channels", ge=1)
    convolutions: int = option(1, "Convolutions of each level behind the doubling one (StyleGAN2: 1).", ge=0, le=4)
    mapping_layers: int = option(2, "Layers of the mapping network (StyleGAN2: 8, or 2).", ge=1, le=16)
    mapping_width: int = option(128, "Length of the style code w.", ge=1)
    mapping_rate: float = option(0.01, "Multiplier of the mapping network's learning rate.", gt=0, le=1)
    motion_enters: Literal["beside", "style"] = option(
        "beside",
        "Motion is appended to the style (MoCoGAN+SG2), or added to it: a path among styles (MoCoGAN-HD).",
    )
    motion_levels: int | None = option(None, "Number of coarsest levels that read motion too; null for all.", ge=1)
    noise_levels: int = option(0, "Number of coarsest levels with noise, drawn once per clip.", ge=0)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class ModulatedFrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        dim_content, dim_motion: lengths of the codes.
        width: channels of the finest level; they double toward the start.
        max_width: most channels of any level.
        convolutions: of each level, behind the doubling one.
        mapping_layers, mapping_width, mapping_rate: of the mapping network; its learning rate is multiplied by
            `mapping_rate`.
        motion_enters: "beside": [w, f(motion)] modulates a level; "style": w + A motion with a linear map A.
        motion_levels: number of coarsest levels that read motion; w modulates the finer ones. None: all.
        noise_levels: number of coarsest levels that add noise.

    Attributes:
        num_levels: number of levels, from the coarsest to the finest.
        noise_places: numbers of noise per clip, 0 without.

    Raises:
        ValueError: `motion_levels` or `noise_levels` exceeds the number of levels.
    """

    unit_layers: ClassVar[tuple[str, ...]] = ("layers",)  # read and changed by `vidgan.tasks.synthesis.units`
    mixes_content: ClassVar[bool] = True  # content can differ between levels, see `forward`
    mean_style: Tensor
    mean_motion: Tensor

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 32,
        max_width: int = 256,
        convolutions: int = 1,
        mapping_layers: int = 2,
        mapping_width: int = 128,
        mapping_rate: float = 0.01,
        motion_enters: str = "beside",
        motion_levels: int | None = None,
        noise_levels: int = 0,
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        self.num_levels = depth + 1
        for name, number in (("motion_levels", motion_levels), ("noise_levels", noise_levels)):
            if number is not None and number > self.num_levels:
                raise ValueError(f"{name}={number} must not exceed the number of levels, {self.num_levels}")
        self.motion_levels = self.num_levels if motion_levels is None else motion_levels
        self.sizes = [(grid[0] * 2**level, grid[1] * 2**level) for level in range(self.num_levels)]
        self.noise_sizes = self.sizes[:noise_levels]
        plan = channel_plan(width, self.num_levels, max_width)[::-1]  # coarse to fine
        lengths = [dim_content, *[mapping_width] * mapping_layers]
        self.mapping = nn.ModuleList(EqualisedLinear(i, o, rate=mapping_rate) for i, o in pairwise(lengths))
        require_choice("motion_enters", motion_enters, ("beside", "style"))
        self.adds_motion = motion_enters == "style"
        self.motion = EqualisedLinear(dim_motion, mapping_width)
        self.start = nn.Parameter(torch.randn(plan[0], *grid))
        self.layers = nn.ModuleList()
        self.colours = nn.ModuleList()
        self.colour_styles = nn.ModuleList()
        self.levels: list[int] = []  # of each layer
        for level, outputs in enumerate(plan):
            appends = level < self.motion_levels and not self.adds_motion
            dim_style = 2 * mapping_width if appends else mapping_width
            inputs = plan[max(0, level - 1)]
            for number in range(max(1, convolutions) if level == 0 else 1 + convolutions):
                up = level > 0 and number == 0
                noisy = level < noise_levels
                self.layers.append(ModulatedLayer(inputs, outputs, dim_style=dim_style, up=up, noisy=noisy))
                self.levels.append(level)
                inputs = outputs
            self.colours.append(ModulatedConv2d(outputs, channels, 1, demodulate=False))
            self.colour_styles.append(EqualisedLinear(dim_style, outputs, bias=1.0))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean_style", torch.zeros(mapping_width))
        self.register_buffer("mean_motion", torch.zeros(mapping_width))

    @property
    def noise_places(self) -> int:
        """Numbers of noise per clip."""
        return sum(height * width for height, width in self.noise_sizes)

    def styles(self, content: Tensor) -> Tensor:
        """Content codes (B, dim_content) -> style codes w (B, mapping_width); training mode tracks their mean.

        A code is scaled to a mean square of 1 as a whole, with the category and text that stand in it; StyleGAN2 scales
        content and the embedding of a class apart.
        """
        style = unit_moment(content.float())
        for layer in self.mapping:
            style = activated(layer(style))
        self._track(self.mean_style, style)
        return style

    def tracked(self) -> list[Tensor]:
        """The tracked means. Each process tracks its own share of a batch; whoever trains averages them."""
        return [self.mean_style, self.mean_motion]

    def _track(self, mean: Tensor, codes: Tensor) -> None:
        if self.training:
            with torch.no_grad():
                mean.lerp_(codes.detach().float().mean(dim=0), 1 - MEMORY)

    def forward(
        self,
        content: Tensor,
        motion: Tensor,
        *,
        styles: Tensor | None = None,
        fine_content: Tensor | None = None,
        fine_from: int | Tensor = 0,
        noise: Tensor | None = None,
        truncation: Truncation | None = None,
    ) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1].

        Args:
            content, motion: the codes.
            styles: (N, mapping_width) of `content`, if they are known already; `content` is then not read.
            fine_content: (N, dim_content), another content for the levels from `fine_from` on (style mixing).
            fine_from: 0 to `num_levels`, or one such number for each row, (N,) int64.
            noise: (N, noise_places) standard normal; needed if there is noise.
            truncation: of the style codes; None for none.

        Raises:
            ValueError: noise is missing.
        """
        if self.noise_sizes and noise is None:
            raise ValueError(f"this frame generator needs noise, (N, {self.noise_places}) numbers")
        style = self.styles(content) if styles is None else styles
        fine = None if fine_content is None else self.styles(fine_content)
        moving = self.motion(motion)  # (N, mapping_width)
        if not self.adds_motion:
            moving = F.leaky_relu(moving, LEAK)
        self._track(self.mean_motion, moving)
        if truncation is not None and truncation.psi != 1:
            style = torch.lerp(self.mean_style.to(style), style, truncation.psi)
            fine = None if fine is None else torch.lerp(self.mean_style.to(fine), fine, truncation.psi)
            if truncation.motion:
                moving = torch.lerp(self.mean_motion.to(moving), moving, truncation.psi)
        levels = [self._level_style(level, style, fine, fine_from, moving) for level in range(self.num_levels)]
        noises: list[Tensor | None] = [None] * self.num_levels
        if noise is not None and self.noise_sizes:
            parts = noise.split([height * width for height, width in self.noise_sizes], dim=1)
            for level, (part, size) in enumerate(zip(parts, self.noise_sizes, strict=True)):
                noises[level] = part.unflatten(1, (1, *size))
        maps = self.start.expand(len(motion), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        frames: Tensor | None = None
        for number, (level, layer) in enumerate(zip(self.levels, self.layers, strict=True)):
            maps = layer(maps, levels[level], noises[level])
            if number + 1 == len(self.levels) or self.levels[number + 1] > level:  # the level's last layer
                colours = self.colours[level](maps, self.colour_styles[level](levels[level]))
                frames = colours if frames is None else doubled(frames) + colours
        assert frames is not None
        return torch.tanh((frames + self.bias[:, None, None]).float())

    def _level_style(
        self, level: int, style: Tensor, fine: Tensor | None, fine_from: int | Tensor, moving: Tensor
    ) -> Tensor:
        """What modulates a level, (N, mapping_width or twice that)."""
        if fine is not None:
            if isinstance(fine_from, Tensor):
                style = torch.where((fine_from <= level)[:, None], fine, style)
            elif fine_from <= level:
                style = fine
        if level >= self.motion_levels:
            return style
        return style + moving if self.adds_motion else torch.cat([style, moving], dim=1)
