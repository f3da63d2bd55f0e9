"""Types passed between the stages, and the letters used for shapes.

Shapes: B batch, T time, C channel, H height, W width, K horizon (predicted frames), N categories, D code channels.

A clip is (B, T, C, H, W). It is uint8 RGB on disk and in the loader; inside models and losses float32 in [-1, 1].
A flow is (B, T-1, 2, H, W), in pixels, dx then dy, and *backward*: ``flow[:, t]`` is, for each pixel of frame t+1, the
displacement to its origin in frame t, so that ``warp(clip[:, t], flow[:, t])`` rebuilds ``clip[:, t + 1]``.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

Clip: TypeAlias = Tensor  # (B, T, C, H, W) float32 in [-1, 1]
ByteClip: TypeAlias = Tensor  # (B, T, C, H, W) uint8
Flow: TypeAlias = Tensor  # (B, T-1, 2, H, W) float32, pixels, backward
Logits: TypeAlias = Tensor  # (B, ...) unbounded scores of a discriminator, one per sample or one per patch

Terms: TypeAlias = dict[str, Tensor]  # name -> scalar, unweighted

UNLABELLED = -1  # category of an item without a label


class ClipBatch(NamedTuple):
    """One batch of the loader."""

    clip: ByteClip
    category: Tensor  # (B,) int64; UNLABELLED if the source has no category
    flow: Flow  # (B, T-1, 2, H, W); (B, 0, 2, H, W) if the data set was prepared without flow
    item: Tensor  # (B,) int64, index of each row's item in the data set
    caption: Tensor = torch.empty(0, 1, 0, dtype=torch.int64)  # (B, 1 + K, L) words: right, K wrong; L = 0 without text


class Latents(NamedTuple):
    """Inputs that determine a clip of MoCoGAN; ``content`` and ``motion`` of different clips can be combined."""

    content: Tensor  # (B, dim_content), one code per clip
    motion: Tensor  # (B, T+1, dim_motion): row 0: initial state of the recurrent network, rows 1..T: its inputs
    category: Tensor  # (B,) int64; zeros for a model without categories
    text: Tensor = torch.empty(0, 0)  # (B, dim_text) codes of captions; (B, 0) for a model without text


class Generated(NamedTuple):
    """A synthesised clip and its requested category."""

    clip: Clip
    category: Tensor  # (B,) int64


class Prediction(NamedTuple):
    """A forecast of K frames by Dual Motion GAN. ``frames`` is the result, the other fields are its components."""

    frames: Clip  # (B, K, C, H, W) fused prediction P
    warped: Clip  # (B, K, C, H, W) W, the last frame warped by ``flow``
    direct: Clip  # (B, K, C, H, W) A, the output of the frame generator
    flow: Flow  # (B, K, 2, H, W) f, predicted backward flow from each frame to the one before it
    implied_flow: Flow  # (B, K, 2, H, W) f', the estimated flow between the last frame and A
    mean: Tensor  # (B, K, D, h, w) posterior mean of the motion code
    logvar: Tensor  # (B, K, D, h, w) posterior log-variance of the motion code
    observed_flow: Flow  # (B, 1, 2, H, W) the estimated flow between the last two context frames


class Forecast(NamedTuple):
    """Result of a forecasting model, on the CPU."""

    frames: Clip  # (B, K, C, H, W) the forecast
    parts: Mapping[str, Clip]  # row name in score tables -> (B, K, C, H, W), a component of the forecast
    flow: Flow | None  # (B, K, 2, H, W) predicted backward flow; None for a model without flow


class Judgement(NamedTuple):
    """Output of a discriminator."""

    real: Logits  # (B, ...), higher for real samples
    category: Tensor | None  # (B, N) class logits; None without a category head
    features: Tensor | None = None  # (B, F) what captions are compared with; None for a discriminator without text
    wrong: Logits | None = None  # (B, K, ...) as `real`, for the same samples beside K captions that are wrong for them
