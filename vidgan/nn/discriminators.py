"""Discriminators of frames, of clips and of optical flow. They answer with logits: no sigmoid.

The layouts follow MoCoGAN's released code (Tulyakov et al., CVPR 2018), fitted to any image size and clip length:
strided 4x4 convolutions, leaky ReLU 0.2, instance noise before the convolutions. With `norm="batch", bias=False` they
have its exact parameters; batch norm is not the default because it mixes the rows of a batch and harms R1.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import MinibatchStd, require_choice
from vidgan.nn.noise import InstanceNoise, set_noise
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan
from vidgan.nn.recompute import recompute
from vidgan.nn.spectral_norm import spectral_normalise
from vidgan.nn.strided import NoisyLayer, down_conv3d, halvings, require_shape
from vidgan.seeding import Draws
from vidgan.types import Judgement, Logits

__all__ = ["NORMS", "FlowDiscriminator", "FrameDiscriminator", "VideoDiscriminator"]

NORMS = ("none", "batch", "instance", "group")


class FrameDiscriminator(nn.Module):
    """D_I: judges single frames.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        width: channels of the first layer, doubled at each further one.
        max_width: most channels of any layer.
        depth: how often height and width are halved; None for as often as leaves a side of 4 or more.
        patch: True answers for each of the overlapping patches that the last strided layer sees (the released default,
            4x4 logits at 64x64; a smaller `depth` means more and smaller patches); False answers once a frame.
        norm: "none", "batch", "instance" or "group", behind all convolutions but the first and the last.
        spectral: spectral norm on all convolutions.
        noise: standard deviation of the instance noise before each strided convolution, in training mode.
        bias: convolutions without a norm behind them have a bias.
        minibatch_std: the last layer also reads how much the samples of a group differ; rows are then not independent.
        checkpoint_activations: layers keep their inputs alone for the backward pass and run again there: about half
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
        depth: int | None = None,
        patch: bool = True,
        norm: str = "none",
        spectral: bool = False,
        noise: float = 0.0,
        bias: bool = True,
        minibatch_std: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        require_choice("norm", norm, NORMS)
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.patch = patch
        self.checkpoint_activations = checkpoint_activations
        hidden, grid = halvings(self.image_size, depth, patch)
        plan = channel_plan(width, hidden, max_width)
        self.layers = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(pairwise([channels, *plan])):
            kind = norm if level else "none"
            conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias and not norm_shifts(kind))
            self.layers.append(NoisyLayer(conv, norm_layer(kind, outputs)))
        # As released: noise before each strided convolution, so before a patch head, but not before a scalar one.
        self.head_noise = InstanceNoise() if patch else None
        self.statistic = MinibatchStd() if minibatch_std else None
        inputs = plan[-1] + minibatch_std
        self.head = (
            nn.Conv2d(inputs, 1, 4, stride=2, padding=1, bias=bias) if patch else nn.Conv2d(inputs, 1, grid, bias=bias)
        )
        if spectral:
            spectral_normalise(self)
        self.set_noise(noise)

    def set_noise(self, sigma: float) -> None:
        """Set the standard deviation of the instance noise."""
        set_noise(self, sigma)

    def forward(self, frames: Tensor, draws: Draws | None = None) -> Judgement:
        """Judge frames (N, C, H, W) in [-1, 1].

        Args:
            frames: real or generated.
            draws: one stream a frame, needed in training mode when there is noise.

        Returns:
            Logits (N,), or (N, h, w) with `patch`, float32; no category.

        Raises:
            ValueError: the frames have another shape than the model was built for, or draws are missing.
        """
        require_shape(frames, (self.channels, *self.image_size), "N, C, H, W")
        x = frames
        for layer in self.layers:
            x = recompute(layer, x, draws) if self.checkpoint_activations else layer(x, draws)
        if self.head_noise is not None:
            x = self.head_noise(x, draws)
        if self.statistic is not None:
            x = self.statistic(x)
        logits = self.head(x).float()[:, 0]  # (N, h, w)
        return Judgement(real=logits if self.patch else logits.flatten(1).mean(1), category=None)


class VideoDiscriminator(nn.Module):
    """D_V: judges clips of any length from `receptive_frames` on, and guesses their category if it has a head for it.

    Strides are 1 in time. The temporal kernels are not padded, so that each answer rests on `receptive_frames` real
    frames; of a longer clip there are as many answers as there are windows. Scalar answers and class logits are the
    mean over windows.

    Attributes:
        receptive_frames: shortest clip that is accepted.

    Args:
        image_size, channels, width, max_width, depth, norm, spectral, noise, bias, minibatch_std,
            checkpoint_activations: as in `FrameDiscriminator`, but without noise before the head, as in the released
            code.
        patch: True answers for each patch of each window, (B, T', h, w) logits (released at 64x64, 16 frames: 4x4x4).
        num_categories: class logits beside the answer, 0 for none.
        factorised: each layer is a spatial convolution followed by a temporal one ((2+1)D) instead of one in 3D.
        kernel_frames: length of the temporal kernels.
        max_receptive_frames: layers from the head toward the input get temporal kernels as long as the receptive field
            stays within this; the layers before are spatial only. 16 with kernels of 4 is the released net at 64x64.
        temporal_difference: frames' differences to the frame before (zero for the first), times this, are judged beside
            the frames; True is 1, 0 leaves them out. Beside the frames a slow motion of .04 is hardly seen, 8 times
            that at once.
        pool: frames are averaged over squares of so many pixels first, so that motion is judged coarsely and cheaply
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
        depth: int | None = None,
        patch: bool = False,
        num_categories: int = 0,
        factorised: bool = False,
        kernel_frames: int = 4,
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
        super().__init__()
        require_choice("norm", norm, NORMS)
        if kernel_frames < 2 or max_receptive_frames < kernel_frames:
            raise ValueError(
                f"kernel_frames={kernel_frames}, max_receptive_frames={max_receptive_frames}: need"
                " 2 <= kernel_frames <= max_receptive_frames, or the net would see no motion"
            )
        if num_categories < 0 or num_categories == 1:
            raise ValueError(f"num_categories must be 0 (none) or at least 2, got {num_categories}")
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.patch = patch
        self.checkpoint_activations = checkpoint_activations
        self.num_categories = num_categories
        self.temporal_difference = float(temporal_difference)
        self.pool = pool
        hidden, grid = halvings(self.image_size, depth, patch, pool)
        temporal_layers = min(hidden + 1, (max_receptive_frames - 1) // (kernel_frames - 1))
        self.receptive_frames = 1 + temporal_layers * (kernel_frames - 1)
        kernels = [1] * (hidden + 1 - temporal_layers) + [kernel_frames] * temporal_layers
        plan = channel_plan(width, hidden, max_width)
        self.layers = nn.ModuleList()
        inputs = channels * (2 if temporal_difference else 1)
        for level, outputs in enumerate(plan):
            kind = norm if level else "none"
            conv = down_conv3d(inputs, outputs, kernels[level], factorised, bias, bias and not norm_shifts(kind))
            self.layers.append(NoisyLayer(conv, norm_layer(kind, outputs, dims=3)))
            inputs = outputs
        self.statistic = MinibatchStd() if minibatch_std else None
        inputs, outputs = inputs + minibatch_std, 1 + num_categories
        self.head = (
            nn.Conv3d(inputs, outputs, (kernels[-1], 4, 4), stride=(1, 2, 2), padding=(0, 1, 1), bias=bias)
            if patch
            else nn.Conv3d(inputs, outputs, (kernels[-1], *grid), bias=bias)
        )
        if spectral:
            spectral_normalise(self)
        self.set_noise(noise)

    def set_noise(self, sigma: float) -> None:
        """Set the standard deviation of the instance noise."""
        set_noise(self, sigma)

    def forward(self, clip: Tensor, draws: Draws | None = None) -> Judgement:
        """Judge clips (B, T, C, H, W) in [-1, 1], T >= `receptive_frames`.

        Args:
            clip: real or generated.
            draws: one stream a clip, needed in training mode when there is noise.

        Returns:
            Logits (B,), or (B, T', h, w) with `patch`, and class logits (B, num_categories) or None; float32.

        Raises:
            ValueError: the clips have another shape than the model was built for or are too short; draws are missing.
        """
        if clip.dim() != 5:
            raise ValueError(f"clips must be (B, T, C, H, W), got {tuple(clip.shape)}")
        if clip.shape[1] < self.receptive_frames:
            raise ValueError(
                f"the clip has {clip.shape[1]} frames, but this discriminator sees {self.receptive_frames} at once:"
                f" give longer clips, or build it with max_receptive_frames={clip.shape[1]}"
            )
        require_shape(clip, (self.channels, *self.image_size), "B, T, C, H, W")
        if self.pool > 1:
            clip = F.avg_pool3d(clip, (1, self.pool, self.pool))  # (B, T, C, H / pool, W / pool)
        if self.temporal_difference:
            change = F.pad(clip[:, 1:] - clip[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))  # (B, T, C, H, W)
            if self.temporal_difference != 1.0:
                change = self.temporal_difference * change
            clip = torch.cat([clip, change], dim=2)  # (B, T, 2C, H, W)
        x = clip.transpose(1, 2)  # (B, C, T, H, W)
        for layer in self.layers:
            x = recompute(layer, x, draws) if self.checkpoint_activations else layer(x, draws)
        if self.statistic is not None:
            x = self.statistic(x)
        logits = self.head(x).float()  # (B, 1 + N, T', h, w)
        pooled = logits.flatten(2).mean(dim=2)  # (B, 1 + N)
        real: Logits = logits[:, 0] if self.patch else pooled[:, 0]
        return Judgement(real=real, category=pooled[:, 1:] if self.num_categories else None)


class FlowDiscriminator(nn.Module):
    """D_F of Dual Motion GAN: judges optical flow, with the frame discriminator's layers.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        max_flow: pixels that count as one unit; flow is divided by it, so that the net sees values of about [-1, 1].
        width, max_width, depth, patch, norm, spectral, noise, bias, minibatch_std, checkpoint_activations: as in
            `FrameDiscriminator`.

    Raises:
        ValueError: an argument is outside what is listed above.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        max_flow: float = 16.0,
        width: int = 64,
        max_width: int = 512,
        depth: int | None = None,
        patch: bool = True,
        norm: str = "none",
        spectral: bool = False,
        noise: float = 0.0,
        bias: bool = True,
        minibatch_std: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        if max_flow <= 0:
            raise ValueError(f"max_flow must be positive, got {max_flow}")
        self.max_flow = max_flow
        self.net = FrameDiscriminator(
            image_size=image_size,
            channels=2,
            width=width,
            max_width=max_width,
            depth=depth,
            patch=patch,
            norm=norm,
            spectral=spectral,
            noise=noise,
            bias=bias,
            minibatch_std=minibatch_std,
            checkpoint_activations=checkpoint_activations,
        )

    def set_noise(self, sigma: float) -> None:
        """Set the standard deviation of the instance noise, in units of `max_flow`."""
        self.net.set_noise(sigma)

    def forward(self, flow: Tensor, draws: Draws | None = None) -> Judgement:
        """Judge flows (N, 2, H, W) in pixels; otherwise as `FrameDiscriminator.forward`."""
        return self.net(flow / self.max_flow, draws)
