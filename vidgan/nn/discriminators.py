"""Discriminators of frames, of clips and of optical flow. They answer with logits: no sigmoid.

The layouts follow MoCoGAN's released code (Tulyakov et al., CVPR 2018), fitted to any image size and clip length:
strided 4x4 convolutions, leaky ReLU 0.2, instance noise before the convolutions. With `norm="batch", bias=False` they
have its exact parameters; batch norm is not the default because it mixes the rows of a batch and harms R1.

Any discriminator has this protocol: `forward(samples, draws) -> Judgement`, where samples are frames (N, C, H, W),
flows (N, 2, H, W) or clips (B, T, C, H, W), and `draws` holds one random stream per sample.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, MinibatchStd, require_categories, require_choice
from vidgan.nn.noise import InstanceNoise, set_noise
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan, pyramid, width_problems
from vidgan.nn.recompute import recompute
from vidgan.nn.spectral_norm import spectral_normalise
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.types import Judgement, Logits

__all__ = [
    "NORMS",
    "FlowDiscriminator",
    "FlowDiscriminatorConfig",
    "FrameDiscriminator",
    "FrameDiscriminatorConfig",
    "VideoDiscriminator",
    "VideoDiscriminatorConfig",
]

NORMS = ("none", "batch", "instance", "group")
KERNEL_FRAMES = 4  # length of the temporal kernels, as released


class _StridedConfig(Section):
    makes_features: ClassVar[bool] = True  # whether the network takes `num_features`

    width: int = option(64, "Channels of the first layer, doubled at each further one.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any layer.", unit="channels", ge=1)
    patch: bool = option(True, "One logit per overlapping patch instead of one per sample.")
    norm: Literal["none", "batch", "instance", "group"] = option("none", "Behind all convolutions but first and last.")
    spectral: bool = option(False, "Spectral normalisation of all convolutions.")
    noise: float = option(0.0, "Standard deviation of the instance noise before each convolution.", ge=0)
    bias: bool = option(True, "Convolutions without a norm behind them have a bias.")
    minibatch_std: bool = option(False, "The last layer also reads how much the samples of a group differ.")
    init: Literal["default", "normal", "orthogonal"] = option("default", "Initial weights.")
    checkpoint_activations: bool = option(False, "Recompute activations in the backward pass to save memory.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class FrameDiscriminatorConfig(_StridedConfig):
    """D_I: scores single frames."""

    kind: Literal["strided"] = option("strided", "Strided convolutions, as in MoCoGAN's released code.")


class FlowDiscriminatorConfig(_StridedConfig):
    """D_F: scores optical flow."""

    kind: Literal["strided"] = option("strided", "The frame discriminator's layers on flow.")
    max_flow: float = option(16.0, "Flow is divided by this.", unit="pixels", gt=0)


class VideoDiscriminatorConfig(_StridedConfig):
    """D_V: scores clips."""

    kind: Literal["strided"] = option("strided", "Convolutions strided in space, unpadded in time.")
    patch: bool = option(False, "One logit per patch of each window instead of one per clip.")
    factorised: bool = option(False, "(2+1)D: a spatial convolution followed by a temporal one.")
    max_receptive_frames: int = option(
        16, "Longest window that one answer depends on.", unit="frames", ge=KERNEL_FRAMES
    )
    temporal_difference: float = option(
        0.0, "Factor on the differences between frames that are scored beside the frames; 0 for none.", ge=0
    )
    pool: int = option(1, "Frames are first averaged over squares of this side.", unit="pixels", ge=1)


class NoisyLayer(nn.Module):
    """Noise, convolution, norm, leaky ReLU; the noise is off until `set_noise`."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.noise = InstanceNoise()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Maps of a batch -> maps of the batch; `draws` holds one stream per row."""
        return F.leaky_relu(self.norm(self.conv(self.noise(x, draws))), LEAK)


class SizedDiscriminator(nn.Module):
    """A discriminator of samples of one size.

    Args:
        image_size: (H, W).
        channels: of a sample.
    """

    def __init__(self, *, image_size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels

    @property
    def sample_size(self) -> tuple[int, int]:
        """(H, W) of the samples that are accepted."""
        return self.image_size

    def require_shape(self, x: Tensor, letters: str) -> None:
        """Raise ValueError unless `x` has the dimensions named by `letters` and the size of the model."""
        height, width = self.sample_size
        if x.dim() != len(letters.split(", ")) or x.shape[-3:] != (self.channels, height, width):
            raise ValueError(
                f"this discriminator scores ({letters}) of {self.channels} channels and {height}x{width} pixels,"
                f" got {tuple(x.shape)}"
            )

    def clip_maps(self, clip: Tensor, receptive_frames: int, pool: int, temporal_difference: float) -> Tensor:
        """Clips (B, T, C, H, W) as maps (B, C or 2C, T, H / pool, W / pool), with differences between frames if any.

        Raises:
            ValueError: they have another shape than the model was built for, or are too short.
        """
        if clip.dim() != 5:
            raise ValueError(f"clips must be (B, T, C, H, W), got {tuple(clip.shape)}")
        if clip.shape[1] < receptive_frames:
            raise ValueError(
                f"the clip has {clip.shape[1]} frames, but this discriminator reads {receptive_frames} at once:"
                f" give longer clips, or build it with max_receptive_frames={clip.shape[1]}"
            )
        self.require_shape(clip, "B, T, C, H, W")
        if pool > 1:
            clip = F.avg_pool3d(clip, (1, pool, pool))  # (B, T, C, H / pool, W / pool)
        if temporal_difference:
            change = F.pad(clip[:, 1:] - clip[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))  # (B, T, C, H, W)
            if temporal_difference != 1.0:
                change = temporal_difference * change
            clip = torch.cat([clip, change], dim=2)  # (B, T, 2C, H, W)
        return rearrange(clip, "b t c h w -> b c t h w")


class StridedDiscriminator(SizedDiscriminator):
    """What the three discriminators share: strided layers, then a head.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a sample.
        inputs: channels that the first layer reads.
        plan: output channels of the layers.
        make_conv: (level, inputs, outputs, has_bias) -> a convolution that halves height and width.
        make_head: inputs -> the last convolution.
        dims: 2 for maps (N, C, H, W), 3 for (N, C, T, H, W).
        patch, norm, spectral, noise, bias, minibatch_std, checkpoint_activations: as in `FrameDiscriminator`.
        head_noise: whether there is instance noise before the head too.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int,
        inputs: int,
        plan: list[int],
        make_conv: Callable[[int, int, int, bool], nn.Module],
        make_head: Callable[[int], nn.Module],
        dims: int,
        patch: bool,
        norm: str,
        spectral: bool,
        noise: float,
        bias: bool,
        minibatch_std: bool,
        checkpoint_activations: bool,
        head_noise: bool,
    ) -> None:
        super().__init__(image_size=image_size, channels=channels)
        require_choice("norm", norm, NORMS)
        self.patch = patch
        self.checkpoint_activations = checkpoint_activations
        self.layers = nn.ModuleList()
        for level, outputs in enumerate(plan):
            kind = norm if level else "none"
            conv = make_conv(level, inputs, outputs, bias and not norm_shifts(kind))
            self.layers.append(NoisyLayer(conv, norm_layer(kind, outputs, dims=dims)))
            inputs = outputs
        self.head_noise = InstanceNoise() if head_noise else None
        self.statistic = MinibatchStd() if minibatch_std else None
        self.head = make_head(inputs + minibatch_std)
        if spectral:
            spectral_normalise(self)
        self.set_noise(noise)

    def set_noise(self, sigma: float) -> None:
        """Set the standard deviation of the instance noise."""
        set_noise(self, sigma)

    def logits(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Maps of a batch -> the head's output, float32."""
        for layer in self.layers:
            x = recompute(layer, x, draws) if self.checkpoint_activations else layer(x, draws)
        if self.head_noise is not None:
            x = self.head_noise(x, draws)
        if self.statistic is not None:
            x = self.statistic(x)
        logits: Tensor = self.head(x).float()
        return logits


class FrameDiscriminator(StridedDiscriminator):
    """D_I: scores single frames.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        width: channels of the first layer, doubled at each further one.
        max_width: most channels of any layer.
        patch: True answers for each of the overlapping patches that the last strided layer sees (the released default,
            4x4 logits at 64x64); False answers once per frame.
        num_features: length of a vector beside the answer that captions can be compared with, 0 for none.
        norm: "none", "batch", "instance" or "group", behind all convolutions but the first and the last.
        spectral: spectral norm on all convolutions (Miyato et al. 2018).
        noise: standard deviation of the instance noise before each strided convolution, in training mode.
        bias: convolutions without a norm behind them have a bias.
        minibatch_std: the last layer also reads how much the samples of a group differ; rows are then not independent.
        checkpoint_activations: layers keep only their inputs for the backward pass and run again there: about half
            the memory for about a third more time, the same gradients.

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
        patch: bool = True,
        num_features: int = 0,
        norm: str = "none",
        spectral: bool = False,
        noise: float = 0.0,
        bias: bool = True,
        minibatch_std: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        hidden, grid = num_layers(image_size, patch)

        def make_conv(level: int, inputs: int, outputs: int, has_bias: bool) -> nn.Module:
            return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=has_bias)

        def make_head(inputs: int) -> nn.Module:
            if patch:
                return nn.Conv2d(inputs, 1 + num_features, 4, stride=2, padding=1, bias=bias)
            return nn.Conv2d(inputs, 1 + num_features, grid, bias=bias)

        super().__init__(
            image_size=image_size,
            channels=channels,
            inputs=channels,
            plan=channel_plan(width, hidden, max_width),
            make_conv=make_conv,
            make_head=make_head,
            dims=2,
            patch=patch,
            norm=norm,
            spectral=spectral,
            noise=noise,
            bias=bias,
            minibatch_std=minibatch_std,
            checkpoint_activations=checkpoint_activations,
            head_noise=patch,  # as released: before each strided convolution, so not before a scalar head
        )
        self.num_features = num_features

    def forward(self, frames: Tensor, draws: Draws | None = None) -> Judgement:
        """Score frames (N, C, H, W) in [-1, 1].

        Args:
            frames: real or generated.
            draws: one stream per frame, needed in training mode when there is noise.

        Returns:
            Logits (N,), or (N, h, w) with `patch`, and features (N, num_features) or None; float32; no category.

        Raises:
            ValueError: the frames have another shape than the model was built for, or draws are missing.
        """
        self.require_shape(frames, "N, C, H, W")
        answers = self.logits(frames, draws)  # (N, 1 + num_features, h, w)
        logits = answers[:, 0]
        return Judgement(
            real=logits if self.patch else logits.flatten(1).mean(1),
            category=None,
            features=answers[:, 1:].flatten(2).mean(dim=2) if self.num_features else None,
        )


class FlowDiscriminator(FrameDiscriminator):
    """D_F of Dual Motion GAN: scores optical flow with the frame discriminator's layers.

    Args:
        max_flow: pixels that count as one unit; flow is divided by it, so that the network reads about [-1, 1].
        options: as in `FrameDiscriminator`, without `channels`.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, *, image_size: tuple[int, int], max_flow: float = 16.0, **options: Any) -> None:
        if max_flow <= 0:
            raise ValueError(f"max_flow must be positive, got {max_flow}")
        super().__init__(image_size=image_size, channels=2, **options)
        self.max_flow = max_flow

    def forward(self, flow: Tensor, draws: Draws | None = None) -> Judgement:
        """Score flows (N, 2, H, W) in pixels; otherwise as `FrameDiscriminator.forward`."""
        return super().forward(flow / self.max_flow, draws)


class VideoDiscriminator(StridedDiscriminator):
    """D_V: scores clips of `receptive_frames` or more, and classifies their category if it has a head for it.

    Strides are 1 in time. The temporal kernels are not padded, so that each answer depends on `receptive_frames` real
    frames; a longer clip has one answer per window. Scalar answers and class logits are the mean over windows.

    Attributes:
        receptive_frames: shortest clip that is accepted.

    Args:
        image_size, channels, width, max_width, norm, spectral, noise, bias, minibatch_std, checkpoint_activations: as
            in `FrameDiscriminator`, but without noise before the head, as in the released code.
        patch: True answers for each patch of each window, (B, T', h, w) logits (released at 64x64, 16 frames: 4x4x4).
        num_categories: class logits beside the answer, 0 for none.
        num_features: as in `FrameDiscriminator`.
        factorised: each layer is a spatial convolution followed by a temporal one ((2+1)D) instead of one in 3D.
        max_receptive_frames: layers from the head toward the input get temporal kernels as long as the receptive field
            stays within this; the layers before are spatial only. 16 is the released network at 64x64.
        temporal_difference: the differences to the frame before (zero for frame 0), times this, are scored beside the
            frames; 0 leaves them out. Slow motion is hardly visible beside the frames, 8 times its difference is.
        pool: frames are averaged over squares of this many pixels first, so that motion is scored coarsely and cheaply
            while D_I sees every pixel (DVD-GAN's temporal discriminator, Clark et al. 2019).

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
        patch: bool = False,
        num_categories: int = 0,
        num_features: int = 0,
        factorised: bool = False,
        max_receptive_frames: int = 16,
        temporal_difference: float = 0.0,
        pool: int = 1,
        norm: str = "none",
        spectral: bool = False,
        noise: float = 0.0,
        bias: bool = True,
        minibatch_std: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        if max_receptive_frames < KERNEL_FRAMES:
            raise ValueError(
                f"max_receptive_frames={max_receptive_frames} must be at least {KERNEL_FRAMES}, or no motion is seen"
            )
        require_categories(num_categories)
        hidden, grid = num_layers(image_size, patch, pool)
        temporal_layers = min(hidden + 1, (max_receptive_frames - 1) // (KERNEL_FRAMES - 1))
        kernels = [1] * (hidden + 1 - temporal_layers) + [KERNEL_FRAMES] * temporal_layers

        def make_conv(level: int, inputs: int, outputs: int, has_bias: bool) -> nn.Module:
            return _halving_conv3d(inputs, outputs, kernels[level], factorised, bias, has_bias)

        def make_head(inputs: int) -> nn.Module:
            outputs = 1 + num_categories + num_features
            if patch:
                kernel = (kernels[-1], 4, 4)
                return nn.Conv3d(inputs, outputs, kernel, stride=(1, 2, 2), padding=(0, 1, 1), bias=bias)
            return nn.Conv3d(inputs, outputs, (kernels[-1], *grid), bias=bias)

        super().__init__(
            image_size=image_size,
            channels=channels,
            inputs=channels * (2 if temporal_difference else 1),
            plan=channel_plan(width, hidden, max_width),
            make_conv=make_conv,
            make_head=make_head,
            dims=3,
            patch=patch,
            norm=norm,
            spectral=spectral,
            noise=noise,
            bias=bias,
            minibatch_std=minibatch_std,
            checkpoint_activations=checkpoint_activations,
            head_noise=False,
        )
        self.num_categories = num_categories
        self.num_features = num_features
        self.temporal_difference = float(temporal_difference)
        self.pool = pool
        self.receptive_frames = 1 + temporal_layers * (KERNEL_FRAMES - 1)

    def forward(self, clip: Tensor, draws: Draws | None = None) -> Judgement:
        """Score clips (B, T, C, H, W) in [-1, 1], T >= `receptive_frames`.

        Args:
            clip: real or generated.
            draws: one stream per clip, needed in training mode when there is noise.

        Returns:
            Logits (B,), or (B, T', h, w) with `patch`, class logits (B, num_categories) or None, and features (B,
            num_features) or None; float32.

        Raises:
            ValueError: the clips have another shape than the model was built for or are too short; draws are missing.
        """
        maps = self.clip_maps(clip, self.receptive_frames, self.pool, self.temporal_difference)
        logits = self.logits(maps, draws)  # (B, 1 + N + F, T', h, w)
        pooled = logits.flatten(2).mean(dim=2)  # (B, 1 + N + F)
        real: Logits = logits[:, 0] if self.patch else pooled[:, 0]
        _, category, features = pooled.split([1, self.num_categories, self.num_features], dim=1)
        return Judgement(real, category if self.num_categories else None, features if self.num_features else None)


def num_layers(image_size: tuple[int, int], patch: bool, pool: int = 1) -> tuple[int, tuple[int, int]]:
    """How many strided layers stand before the head, and the grid that the last of them leaves.

    Frames that were averaged over squares of `pool` pixels need fewer layers for the same grid.
    """
    depth, _ = pyramid(image_size)
    hidden = depth - 1 if patch else depth  # a patch head is the last strided layer
    pools = [2**level for level in range(hidden)]
    if pool not in pools:
        raise ValueError(f"pool={pool}: accepted are {', '.join(map(str, pools))} for image_size={tuple(image_size)}")
    return hidden - pools.index(pool), (image_size[0] // 2**hidden, image_size[1] // 2**hidden)


def _halving_conv3d(
    inputs: int, outputs: int, frames: int, factorised: bool, inner_bias: bool, has_bias: bool
) -> nn.Module:
    """Halve height and width of (B, C, T, H, W) and read `frames` frames at once."""
    if not factorised or frames == 1:
        return nn.Conv3d(inputs, outputs, (frames, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1), bias=has_bias)
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1), bias=inner_bias),
        nn.LeakyReLU(LEAK),
        nn.Conv3d(outputs, outputs, (frames, 1, 1), bias=has_bias),
    )
