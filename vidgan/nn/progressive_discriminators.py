"""Discriminators of frames and of clips that grow by one level at a time (ProGAN, Karras et al., ICLR 2018).

They mirror the generator of `vidgan.tasks.synthesis.progressive`: a 1x1 convolution reads the colours of the finest
working level, and each level halves its maps. During a fade the averaged frame is also read one level below, and both
are mixed. Convolutions have an equalised learning rate, and the coarsest level reads the minibatch's deviation.

Clips are read frame by frame. The coarsest levels also read several frames at once, without padding in time. These
levels must work in the first phase, so that a fade mixes maps of equal length.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.nn.blocks import MinibatchStd, activated, halved, require_categories
from vidgan.nn.discriminators import KERNEL_FRAMES, SizedDiscriminator
from vidgan.nn.growing import EqualisedConv2d, Growth
from vidgan.nn.modulated import EqualisedLinear
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.types import Judgement

__all__ = [
    "ProgressiveFrameDiscriminator",
    "ProgressiveFrameDiscriminatorConfig",
    "ProgressiveVideoDiscriminator",
    "ProgressiveVideoDiscriminatorConfig",
]


class _ProgressiveConfig(Section):
    width: int = option(16, "Channels of the finest level; they double toward the coarsest.", unit="channels", ge=1)
    max_width: int = option(256, "Most channels of any level.", unit="channels", ge=1)
    minibatch_std: bool = option(True, "The coarsest level also reads how much the samples of a group differ.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class ProgressiveFrameDiscriminatorConfig(_ProgressiveConfig):
    """D_I that can grow."""

    kind: Literal["progressive"] = option("progressive", "Levels that can be added during training (ProGAN).")


class ProgressiveVideoDiscriminatorConfig(_ProgressiveConfig):
    """D_V that can grow."""

    kind: Literal["progressive"] = option("progressive", "Levels that can be added during training (ProGAN).")
    temporal_levels: int = option(
        3, f"Number of coarsest levels that read {KERNEL_FRAMES} frames at once; each adds {KERNEL_FRAMES - 1}.", ge=1
    )
    temporal_difference: float = option(0.0, "Weight of the differences to the frame before, as inputs.", ge=0)


class GrowingBlock(nn.Module):
    """Two convolutions and a halving.

    Args:
        inputs, hidden, outputs: channels; `outputs` 0, for the coarsest level: one convolution, without halving.
        temporal: read `KERNEL_FRAMES` frames at once behind the first convolution.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, temporal: bool) -> None:
        super().__init__()
        self.first = EqualisedConv2d(inputs, hidden, (3, 3))
        self.time = EqualisedConv2d(hidden, hidden, (KERNEL_FRAMES, 1)) if temporal else None
        self.second = EqualisedConv2d(hidden, outputs, (3, 3)) if outputs else None

    def forward(self, maps: Tensor, clips: int) -> Tensor:
        """Maps (clips * T, inputs, H, W) -> (clips * T', outputs, H / 2, W / 2), or (clips * T', hidden, H, W)."""
        maps = activated(self.first(maps))
        if self.time is not None:
            height, width = maps.shape[-2:]
            rows = rearrange(maps, "(b t) c h w -> b c t (h w)", b=clips)
            rows = activated(self.time(rows))
            maps = rearrange(rows, "b c t (h w) -> (b t) c h w", h=height, w=width)
        return maps if self.second is None else halved(activated(self.second(maps)))


class ProgressiveDiscriminator(SizedDiscriminator):
    """What both share.

    Args:
        image_size: (H, W) of the finest level, multiples of 16 from 32 up.
        channels: of a sample.
        inputs: channels that are read, with differences between frames.
        outputs: numbers that are answered.
        temporal_levels: number of coarsest levels that read several frames at once.
        width, max_width, minibatch_std: see `ProgressiveFrameDiscriminator`.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int,
        inputs: int,
        outputs: int,
        temporal_levels: int,
        width: int,
        max_width: int,
        minibatch_std: bool,
    ) -> None:
        super().__init__(image_size=image_size, channels=channels)
        depth, grid = pyramid(image_size)
        plan = channel_plan(width, depth + 1, max_width)[::-1]  # coarse to fine
        if temporal_levels > len(plan):
            raise ValueError(f"temporal_levels={temporal_levels} must not exceed the number of levels, {len(plan)}")
        self.temporal_levels = temporal_levels
        self.sizes = [(grid[0] * 2**level, grid[1] * 2**level) for level in range(len(plan))]
        self.entries = nn.ModuleList(EqualisedConv2d(inputs, level, (1, 1)) for level in plan)
        self.blocks = nn.ModuleList(
            GrowingBlock(
                maps + (minibatch_std and level == 0),
                maps,
                plan[level - 1] if level else 0,
                temporal=level < temporal_levels,
            )
            for level, maps in enumerate(plan)
        )
        self.statistic = MinibatchStd() if minibatch_std else None
        self.dense = EqualisedLinear(plan[0] * grid[0] * grid[1], plan[0])
        self.head = EqualisedLinear(plan[0], outputs)
        self.growth = Growth(len(plan))

    @property
    def sample_size(self) -> tuple[int, int]:
        """(H, W) of the samples at the finest working level."""
        return self.sizes[self.growth.level]

    def grow(self, progress: float) -> None:
        """Work up to this level, see `vidgan.nn.growing.Growth.set`.

        Raises:
            ValueError: there is no such level, or one that reads several frames does not work wholly.
        """
        if progress < self.temporal_levels - 1:
            raise ValueError(
                f"progress is {progress}; accepted: {self.temporal_levels - 1} or more, because"
                f" {self.temporal_levels} levels read several frames (temporal_levels)"
            )
        self.growth.set(progress)

    def idle_modules(self) -> list[nn.Module]:
        """The modules that do not work."""
        return self.growth.idle(self.blocks, self.entries)

    def answers(self, maps: Tensor, clips: int) -> Tensor:
        """Maps (clips * T, inputs, H, W) -> (clips, outputs), float32, the mean over windows of frames."""
        level, alpha = self.growth.level, self.growth.alpha
        maps = maps.contiguous(memory_format=torch.channels_last)
        hidden = activated(self.entries[level](maps))
        for number in range(level, -1, -1):
            if number == 0 and self.statistic is not None:
                hidden = rearrange(hidden, "(b t) c h w -> b c t h w", b=clips)
                hidden = rearrange(self.statistic(hidden), "b c t h w -> (b t) c h w")
            hidden = self.blocks[number](hidden, clips)
            if number == level and alpha < 1:
                coarse = activated(self.entries[level - 1](halved(maps)))
                hidden = torch.lerp(coarse, hidden, alpha)
        answers = self.head(activated(self.dense(hidden.flatten(1)))).float()  # (clips * T', outputs)
        return answers.unflatten(0, (clips, -1)).mean(dim=1)


class ProgressiveFrameDiscriminator(ProgressiveDiscriminator):
    """D_I: scores single frames.

    Args:
        image_size: (H, W) of the finest level, multiples of 16 from 32 up.
        channels: of a frame.
        width: channels of the finest level; they double toward the coarsest.
        max_width: most channels of any level.
        minibatch_std: the coarsest level also reads how much the samples of a group differ; rows are then not
            independent.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        width: int = 16,
        max_width: int = 256,
        minibatch_std: bool = True,
    ) -> None:
        super().__init__(
            image_size=image_size,
            channels=channels,
            inputs=channels,
            outputs=1,
            temporal_levels=0,
            width=width,
            max_width=max_width,
            minibatch_std=minibatch_std,
        )

    def forward(self, frames: Tensor, draws: Draws | None = None) -> Judgement:
        """Score frames (N, C, *sample_size) in [-1, 1]: logits (N,), float32; no category. `draws` is not used.

        Raises:
            ValueError: the frames have another shape.
        """
        self.require_shape(frames, "N, C, H, W")
        return Judgement(self.answers(frames, len(frames))[:, 0], None)


class ProgressiveVideoDiscriminator(ProgressiveDiscriminator):
    """D_V: scores clips of `receptive_frames` or more.

    Attributes:
        receptive_frames: shortest clip that is accepted.

    Args:
        image_size, channels, width, max_width, minibatch_std: as in `ProgressiveFrameDiscriminator`.
        num_categories: class logits beside the answer, 0 for none.
        temporal_levels: number of coarsest levels that read 4 frames at once.
        temporal_difference: as in `vidgan.nn.discriminators.VideoDiscriminator`.

    Raises:
        ValueError: `temporal_levels` exceeds the number of levels.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        num_categories: int = 0,
        width: int = 16,
        max_width: int = 256,
        minibatch_std: bool = True,
        temporal_levels: int = 3,
        temporal_difference: float = 0.0,
    ) -> None:
        require_categories(num_categories)
        super().__init__(
            image_size=image_size,
            channels=channels,
            inputs=channels * (2 if temporal_difference else 1),
            outputs=1 + num_categories,
            temporal_levels=temporal_levels,
            width=width,
            max_width=max_width,
            minibatch_std=minibatch_std,
        )
        self.num_categories = num_categories
        self.temporal_difference = float(temporal_difference)
        self.receptive_frames = 1 + temporal_levels * (KERNEL_FRAMES - 1)

    def forward(self, clip: Tensor, draws: Draws | None = None) -> Judgement:
        """Score clips (B, T, C, *sample_size) in [-1, 1], T >= `receptive_frames`. `draws` is not used.

        Returns:
            Logits (B,) and class logits (B, num_categories) or None; float32.

        Raises:
            ValueError: the clips have another shape or are too short.
        """
        maps = self.clip_maps(clip, self.receptive_frames, 1, self.temporal_difference)  # (B, C or 2C, T, H, W)
        answers = self.answers(rearrange(maps, "b c t h w -> (b t) c h w"), len(clip))
        return Judgement(answers[:, 0], answers[:, 1:] if self.num_categories else None)
