"""Residual discriminators of frames and of clips, with self-attention and class projection (SNGAN, SAGAN, BigGAN).

Blocks halve the maps down to about 4x4, a last block keeps the size, and a linear layer reads the sum over places
(Miyato and Koyama 2018). With `spectral` this is SNGAN's form; without it the branches are scaled down, which is the
norm-free form that R1 and R2 need. Clips are read by (2+1)D blocks.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.attention import ClipAttention, SelfAttention, require_sides
from vidgan.nn.blocks import LEAK, MinibatchStd, require_categories
from vidgan.nn.discriminators import SizedDiscriminator, num_layers
from vidgan.nn.pyramid import channel_plan, width_problems
from vidgan.nn.recompute import recompute
from vidgan.nn.residual import TEMPORAL_KERNEL, ResidualBlock, branch_scale_of
from vidgan.nn.spectral_norm import spectral_normalise
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.types import Judgement

__all__ = [
    "ResidualFrameDiscriminator",
    "ResidualFrameDiscriminatorConfig",
    "ResidualVideoDiscriminator",
    "ResidualVideoDiscriminatorConfig",
]


class _ResidualConfig(Section):
    width: int = option(64, "Channels of the first block, doubled at each further one.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any block.", unit="channels", ge=1)
    spectral: bool = option(False, "Spectral normalisation of all layers (SNGAN); false for the norm-free form.")
    branch_scale: float | None = option(
        None, "Factor on the branch of each block; null: 1 with spectral, 0.1 without.", gt=0
    )
    zero_start: bool = option(False, "The last convolution of each block starts at 0, so it begins as its shortcut.")
    attention: tuple[int, ...] = option((), "Sides of the maps that self-attention reads.", unit="pixels")
    minibatch_std: bool = option(False, "The last block also reads how much the samples of a group differ.")
    init: Literal["default", "normal", "orthogonal"] = option("default", "Initial weights.")
    checkpoint_activations: bool = option(False, "Recompute activations in the backward pass to save memory.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)
        if self.zero_start and self.init != "default":
            yield f"zero_start has no effect with init={self.init}; remove one"


class ResidualFrameDiscriminatorConfig(_ResidualConfig):
    """D_I of residual blocks."""

    kind: Literal["residual"] = option("residual", "Residual blocks, one logit per frame (SNGAN, BigGAN).")


class ResidualVideoDiscriminatorConfig(_ResidualConfig):
    """D_V of (2+1)D residual blocks."""

    projects_category: ClassVar[bool] = True  # whether the network can take the category as an input

    kind: Literal["residual"] = option("residual", "(2+1)D residual blocks, one logit per clip.")
    max_receptive_frames: int = option(
        16,
        "Longest segment that an answer depends on; 3 or more, each block adds 2.",
        unit="frames",
        ge=TEMPORAL_KERNEL,
    )
    temporal_difference: float = option(0.0, "Weight of the differences to the frame before, as inputs.", ge=0)
    pool: int = option(1, "Side of the squares that frames are averaged over first.", unit="pixels", ge=1)
    attention_axes: Literal["spatial", "temporal", "separable"] = option(
        "spatial", "What attention compares: places of a frame, frames of a place, or height, width and time in turn."
    )

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if self.attention_axes != "spatial" and not self.attention:
            yield f"attention_axes={self.attention_axes} has no effect without attention; remove it"


class ResidualDiscriminator(SizedDiscriminator):
    """What both share: blocks, attention, and a head that reads the sum over places.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a sample.
        inputs: channels that the first block reads.
        layers: number of halving blocks.
        num_categories: class logits beside the answer, or rows of the projection; 0 for none.
        projection: the category that a sample should show is given, and its embedding is compared with the features.
        temporal: for each block, whether it reads 3 frames; None for frames.
        attention_axes: of clips, see `vidgan.nn.attention.ClipAttention`.
        pool: how many times smaller the first maps are than the frames.
        width, max_width, spectral, branch_scale, zero_start, attention, minibatch_std, checkpoint_activations: see
            `ResidualFrameDiscriminator`.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int,
        inputs: int,
        layers: int,
        width: int,
        max_width: int,
        spectral: bool,
        branch_scale: float | None,
        zero_start: bool,
        attention: Sequence[int],
        minibatch_std: bool,
        checkpoint_activations: bool,
        num_categories: int = 0,
        projection: bool = False,
        temporal: Sequence[bool] | None = None,
        attention_axes: str = "spatial",
        pool: int = 1,
    ) -> None:
        super().__init__(image_size=image_size, channels=channels)
        require_categories(num_categories)
        if projection and not num_categories:
            raise ValueError("projection needs categories, got num_categories=0")
        self.checkpoint_activations = checkpoint_activations
        self.num_categories = num_categories
        clips = temporal is not None
        plan = [*channel_plan(width, layers, max_width)]
        plan.append(plan[-1])
        side = min(image_size) // pool
        sides = [side // 2 ** (level + 1) for level in range(layers)]
        require_sides(attention, sides)
        scale = branch_scale_of(branch_scale, normalised=spectral)
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        for level, outputs in enumerate(plan):
            is_last = level == layers
            self.blocks.append(
                ResidualBlock(
                    inputs + (minibatch_std if is_last else 0),
                    outputs,
                    resample="none" if is_last else "down",
                    scale=scale,
                    zero_start=zero_start,
                    first=level == 0,
                    clips=clips,
                    temporal=temporal[level] if temporal is not None else False,
                )
            )
            if not is_last and sides[level] in attention:
                self.attention[str(level)] = ClipAttention(outputs, attention_axes) if clips else SelfAttention(outputs)
            inputs = outputs
        self.statistic = MinibatchStd() if minibatch_std else None
        self.head = nn.Linear(inputs, 1 + (0 if projection else num_categories))
        self.embedding = nn.Linear(num_categories, inputs, bias=False) if projection else None
        if spectral:
            spectral_normalise(self)

    @property
    def projects_category(self) -> bool:
        """Whether the category that a sample should show is an input."""
        return self.embedding is not None

    def answers(self, maps: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Maps (N, C, [T,] H, W) -> logits (N,) and class logits (N, num_categories) or None, float32.

        Raises:
            ValueError: the network compares categories and none was given, or the other way round.
        """
        if (category is not None) != self.projects_category:
            raise ValueError("a category is an input of a discriminator with projection, and only of one")
        for level, block in enumerate(self.blocks):
            if self.statistic is not None and level == len(self.blocks) - 1:
                maps = self.statistic(maps)
            maps = recompute(block, maps) if self.checkpoint_activations else block(maps)
            if str(level) in self.attention:
                maps = self.attention[str(level)](maps)
        features = F.leaky_relu(maps, LEAK).float().sum(dim=(-2, -1))  # (N, C, [T])
        if features.dim() == 3:
            features = features.mean(dim=2)  # over windows, so that clips of any length get answers of one scale
        outputs = self.head(features).float()  # (N, 1 [+ num_categories])
        if self.embedding is None:
            return outputs[:, 0], outputs[:, 1:] if self.num_categories else None
        assert category is not None
        classes = torch.arange(self.num_categories, device=category.device)
        shown = (category[:, None] == classes).to(features)  # (N, num_categories); zeros for unlabelled rows
        return outputs[:, 0] + (self.embedding(shown).float() * features).sum(dim=1), None


class ResidualFrameDiscriminator(ResidualDiscriminator):
    """D_I: scores single frames.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        width: channels of the first block, doubled at each further one.
        max_width: most channels of any block.
        spectral: spectral norm on all layers (Miyato et al. 2018).
        branch_scale: factor on the branch of each block; None: 1 with `spectral`, 0.1 without.
        zero_start: the last convolution of each block starts at 0.
        attention: sides of the maps behind which self-attention stands.
        minibatch_std: the last block also reads how much the samples of a group differ; rows are then not independent.
        checkpoint_activations: blocks keep only their inputs for the backward pass.

    Raises:
        ValueError: an argument is outside what is listed above.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        width: int = 64,
        max_width: int = 512,
        spectral: bool = False,
        branch_scale: float | None = None,
        zero_start: bool = False,
        attention: Sequence[int] = (),
        minibatch_std: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        layers, _ = num_layers(image_size, patch=False)
        super().__init__(
            image_size=image_size,
            channels=channels,
            inputs=channels,
            layers=layers,
            width=width,
            max_width=max_width,
            spectral=spectral,
            branch_scale=branch_scale,
            zero_start=zero_start,
            attention=attention,
            minibatch_std=minibatch_std,
            checkpoint_activations=checkpoint_activations,
        )

    def forward(self, frames: Tensor, draws: Draws | None = None) -> Judgement:
        """Score frames (N, C, H, W) in [-1, 1]: logits (N,), float32; no category. `draws` is not used.

        Raises:
            ValueError: the frames have another shape than the model was built for.
        """
        self.require_shape(frames, "N, C, H, W")
        return Judgement(*self.answers(frames, None))


class ResidualVideoDiscriminator(ResidualDiscriminator):
    """D_V: scores clips of `receptive_frames` or more.

    A temporal convolution of 3 frames follows the first spatial one of the last blocks. It is not padded, so each
    answer depends on `receptive_frames` real frames; answers of a longer clip are averaged.

    Attributes:
        receptive_frames: shortest clip that is accepted.

    Args:
        image_size, channels, width, max_width, spectral, branch_scale, zero_start, attention, minibatch_std,
            checkpoint_activations: as in `ResidualFrameDiscriminator`; attention sides are those of the pooled maps.
        num_categories: class logits beside the answer, 0 for none.
        projection: the category that a clip should show is an input of `forward`, and its embedding times the features
            is added to the logit (Miyato and Koyama 2018), instead of class logits.
        max_receptive_frames: blocks from the last toward the first read 3 frames as long as the receptive field stays
            within this.
        temporal_difference, pool: as in `vidgan.nn.discriminators.VideoDiscriminator`.
        attention_axes: see `vidgan.nn.attention.ClipAttention`.

    Raises:
        ValueError: an argument is outside what is listed above.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        num_categories: int = 0,
        projection: bool = False,
        width: int = 64,
        max_width: int = 512,
        spectral: bool = False,
        branch_scale: float | None = None,
        zero_start: bool = False,
        attention: Sequence[int] = (),
        attention_axes: str = "spatial",
        max_receptive_frames: int = 16,
        temporal_difference: float = 0.0,
        pool: int = 1,
        minibatch_std: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        if max_receptive_frames < TEMPORAL_KERNEL:
            raise ValueError(
                f"max_receptive_frames={max_receptive_frames} must be at least {TEMPORAL_KERNEL}, or no motion is seen"
            )
        layers, _ = num_layers(image_size, patch=False, pool=pool)
        blocks = layers + 1
        num_temporal = min(blocks, (max_receptive_frames - 1) // (TEMPORAL_KERNEL - 1))
        super().__init__(
            image_size=image_size,
            channels=channels,
            inputs=channels * (2 if temporal_difference else 1),
            layers=layers,
            width=width,
            max_width=max_width,
            spectral=spectral,
            branch_scale=branch_scale,
            zero_start=zero_start,
            attention=attention,
            minibatch_std=minibatch_std,
            checkpoint_activations=checkpoint_activations,
            num_categories=num_categories,
            projection=projection,
            temporal=[level >= blocks - num_temporal for level in range(blocks)],
            attention_axes=attention_axes,
            pool=pool,
        )
        self.temporal_difference = float(temporal_difference)
        self.pool = pool
        self.receptive_frames = 1 + num_temporal * (TEMPORAL_KERNEL - 1)

    def forward(self, clip: Tensor, draws: Draws | None = None, category: Tensor | None = None) -> Judgement:
        """Score clips (B, T, C, H, W) in [-1, 1], T >= `receptive_frames`. `draws` is not used.

        Args:
            clip: real or generated.
            draws: not used.
            category: with projection, (B,) int64: what each clip should show; UNLABELLED adds nothing.

        Returns:
            Logits (B,) and class logits (B, num_categories) or None; float32.

        Raises:
            ValueError: the clips have another shape than the model was built for or are too short, or a category is
                missing or has no use.
        """
        maps = self.clip_maps(clip, self.receptive_frames, self.pool, self.temporal_difference)
        return Judgement(*self.answers(maps, category))
