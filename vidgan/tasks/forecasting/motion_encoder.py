"""The probabilistic motion encoder of Dual Motion GAN, and the convolution blocks that its networks share."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.nn.blocks import FullPrecisionConv2d
from vidgan.nn.conv_lstm import ConvLSTM, ConvLSTMState
from vidgan.nn.norms import norm_layer
from vidgan.nn.recompute import recompute
from vidgan.seeding import Draws

__all__ = [
    "EncoderState",
    "Encoding",
    "MotionEncoder",
    "MotionPosterior",
    "check_call",
    "down_block",
    "group_norm",
    "require_multiple",
    "up_block",
]

_STRIDE = 16  # four convolutions of stride 2
_LOGVAR_LIMIT = 10.0  # exp(-10 / 2) is a hundredth of a grey level on codes of unit size: as good as no noise


def group_norm(channels: int) -> nn.Module:
    """The blocks' normalisation, in up to 8 groups: rows of a batch stay independent."""
    return norm_layer("group", channels, groups=8)


def down_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Halve height and width: 4x4 convolution of stride 2, norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1), group_norm(out_channels), nn.LeakyReLU(0.2)
    )


def up_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Double height and width: 4x4 transposed convolution of stride 2 (no uneven overlap), norm, leaky ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1),
        group_norm(out_channels),
        nn.LeakyReLU(0.2),
    )


class EncoderState(NamedTuple):
    """The recurrent memory after the frames encoded so far."""

    shared: ConvLSTMState
    mean: ConvLSTMState
    logvar: ConvLSTMState | None  # None without a log-variance


class Encoding(NamedTuple):
    """What the encoder returns after the last frame."""

    mean: Tensor  # (B, D, H/16, W/16) posterior mean of the motion code
    logvar: Tensor  # (B, D, H/16, W/16) posterior log-variance, within +-10; -10 everywhere without one
    features: list[Tensor]  # of the last frame: (B, widths[i], H / 2**(i+1), W / 2**(i+1)) for i = 0..3
    state: EncoderState


class _Stages(nn.ModuleList):
    """The convolutions of single frames, one stage after another."""

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> (N, widths[i], H / 2**(i+1), W / 2**(i+1)) of each stage i."""
        features = []
        for stage in self:
            frames = stage(frames)
            features.append(frames)
        return features


class MotionPosterior(nn.Module):
    """The recurrent part of the encoder: a ConvLSTM over maps, and two more for the mean and the log-variance map.

    A ConvLSTM's output lies in (-1, 1), too narrow for a posterior: with a log-variance above -1 no code could rise
    above its noise. A 1x1 convolution behind each of the two widens the range.

    Args:
        in_channels: of the maps.
        dim_latent: D, channels of the motion code; also of the three ConvLSTMs.
        probabilistic: False leaves out the log-variance and its ConvLSTM: the code is a point, not a distribution.
    """

    def __init__(self, *, in_channels: int, dim_latent: int, probabilistic: bool) -> None:
        super().__init__()
        self._add_layers(in_channels, dim_latent, probabilistic)

    def _add_layers(self, in_channels: int, dim_latent: int, probabilistic: bool) -> None:
        self.shared = ConvLSTM(in_channels=in_channels, hidden_channels=dim_latent)
        self.mean_lstm = ConvLSTM(in_channels=dim_latent, hidden_channels=dim_latent)
        self.probabilistic = probabilistic
        if probabilistic:
            self.logvar_lstm = ConvLSTM(in_channels=dim_latent, hidden_channels=dim_latent)
        self.mean = FullPrecisionConv2d(dim_latent, dim_latent, 1)
        if probabilistic:
            self.logvar = FullPrecisionConv2d(dim_latent, dim_latent, 1)

    def posterior(self, sequence: Tensor, state: EncoderState | None = None) -> tuple[Tensor, Tensor, EncoderState]:
        """Mean, log-variance, and state after maps (B, T, in_channels, h, w) that follow those already in `state`."""
        before = state or (None, None, None)
        hidden, shared = self.shared(sequence, before[0])  # (B, T, D, h, w)
        mean_hidden, mean_state = self.mean_lstm(hidden, before[1])
        mean = self.mean(mean_hidden[:, -1])
        logvar, logvar_state = torch.full_like(mean, -_LOGVAR_LIMIT), None
        if self.probabilistic:
            logvar_hidden, logvar_state = self.logvar_lstm(hidden, before[2])
            logvar = self.logvar(logvar_hidden[:, -1]).clamp(-_LOGVAR_LIMIT, _LOGVAR_LIMIT)
        return mean, logvar, EncoderState(shared, mean_state, logvar_state)


class MotionEncoder(MotionPosterior):
    """Four strided convolutions per frame, and the recurrent part over their last maps.

    Args:
        channels: of a frame.
        widths: output channels of the four convolutions.
        dim_latent, probabilistic: see `MotionPosterior`.
        checkpoint_activations: frames pass the convolutions one at a time, and again in the backward pass, so that only
            one frame's activations are held at once.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        widths: Sequence[int],
        dim_latent: int,
        checkpoint_activations: bool = False,
        probabilistic: bool = True,
    ) -> None:
        nn.Module.__init__(self)  # the convolutions come first: weights are drawn and numbered in this order
        self.checkpoint_activations = checkpoint_activations
        self.stages = _Stages(down_block(a, b) for a, b in pairwise([channels, *widths]))
        self._add_layers(widths[-1], dim_latent, probabilistic)

    def forward(self, clip: Tensor, state: EncoderState | None = None) -> Encoding:
        """Encode the frames of a clip (B, T, C, H, W), T >= 1, after those already in `state` (None: none)."""
        sequence, last_features = self._features(clip)  # (B, T, widths[3], H/16, W/16)
        mean, logvar, state = self.posterior(sequence, state)
        return Encoding(mean, logvar, last_features, state)

    def _features(self, clip: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest features of all frames, (B, T, widths[3], H/16, W/16), and all features of the last one."""
        if not self.checkpoint_activations:
            pyramid = self.stages(rearrange(clip, "b t c h w -> (b t) c h w"))
            by_clip = [rearrange(level, "(b t) c h w -> b t c h w", t=clip.shape[1]) for level in pyramid]
            return by_clip[-1], [level[:, -1] for level in by_clip]
        coarsest = []
        for frame in clip.unbind(dim=1):
            pyramid = recompute(self.stages, frame)
            coarsest.append(pyramid[-1])
        return torch.stack(coarsest, dim=1), pyramid


def require_multiple(height: int, width: int) -> None:
    """Raise ValueError for frames whose sides are not multiples of what the encoder's stages halve."""
    if height % _STRIDE or width % _STRIDE or height < _STRIDE or width < _STRIDE:
        raise ValueError(f"frame height and width must be multiples of {_STRIDE}, got {height}x{width}")


def check_call(context: Tensor, horizon: int, draws: Draws | None, *, channels: int) -> None:
    """Raise ValueError unless a generator can forecast `horizon` frames of a context (B, T, channels, H, W)."""
    if context.ndim != 5 or context.shape[1] < 2 or context.shape[2] != channels:
        raise ValueError(f"context must be (B, T, {channels}, H, W), T of 2 or more, got {(*context.shape,)}")
    require_multiple(*context.shape[-2:])
    if horizon < 1:
        raise ValueError(f"horizon must be 1 or more, got {horizon}")
    if draws is not None and len(draws) != len(context):
        raise ValueError(f"draws must have one row per clip, got {len(draws)} rows for {len(context)} clips")
