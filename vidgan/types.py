"""The types that flow between the stages, and the legend of shapes.

Letters in shape comments: B batch, T time, C channel, H height, W width, K horizon (predicted frames), N categories.

A clip is (B, T, C, H, W). On disk and in the loader it is uint8 RGB; inside models and losses float32 in [-1, 1].
A flow is (B, T-1, 2, H, W), in pixels, dx then dy, and *backward*: ``flow[:, t]`` tells for each pixel of frame t+1
where in frame t it came from, so that ``warp(clip[:, t], flow[:, t])`` rebuilds ``clip[:, t + 1]``.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from torch import Tensor

Clip: TypeAlias = Tensor  # (B, T, C, H, W) float32 in [-1, 1]
ByteClip: TypeAlias = Tensor  # (B, T, C, H, W) uint8
Flow: TypeAlias = Tensor  # (B, T-1, 2, H, W) float32, pixels, backward
Logits: TypeAlias = Tensor  # (B, ...) real-valued scores of a discriminator, one or many a sample

Terms: TypeAlias = dict[str, Tensor]  # name -> scalar, unweighted

UNLABELLED = -1


class ClipBatch(NamedTuple):
    """What the loader yields."""

    clip: ByteClip
    category: Tensor  # (B,) int64, UNLABELLED where the source has no category
    flow: Flow  # (B, T-1, 2, H, W); (B, 0, 2, H, W) where the data set was prepared without flow
    item: Tensor  # (B,) int64, which item of the index each row shows


class Latents(NamedTuple):
    """All that a MoCoGAN clip is made from. Keep ``content``, change ``motion``, or the reverse: they are exchanged."""

    content: Tensor  # (B, dim_content), one code for the whole clip
    motion: Tensor  # (B, T+1, dim_motion): row 0 is the recurrent net's first state, rows 1..T its inputs
    category: Tensor  # (B,) int64; all zeros for a model without categories


class Generated(NamedTuple):
    """A synthesised clip and the category it was asked to show."""

    clip: Clip
    category: Tensor  # (B,) int64


class Prediction(NamedTuple):
    """A forecast of K frames. ``frames`` is the result; the other fields are the parts that it was made from."""

    frames: Clip  # (B, K, C, H, W) fused prediction P
    warped: Clip  # (B, K, C, H, W) W, the last frame moved by ``flow``
    direct: Clip  # (B, K, C, H, W) A, the frame generator's own
    flow: Flow  # (B, K, 2, H, W) f, predicted backward flow from each frame to the one before it
    implied_flow: Flow  # (B, K, 2, H, W) f', the flow that the estimator sees between the last frame and A
    mean: Tensor  # (B, K, D, h, w) posterior mean of the motion code
    logvar: Tensor  # (B, K, D, h, w) posterior log-variance of the motion code
    observed_flow: Flow  # (B, 1, 2, H, W) what the estimator sees between the last two frames of the context


class Forecast(NamedTuple):
    """What a forecasting model returns to its users, on the CPU."""

    frames: Clip  # (B, K, C, H, W) the forecast
    parts: Mapping[str, Clip]  # name of a score table's row -> (B, K, C, H, W), what the forecast was made from
    flow: Flow | None  # (B, K, 2, H, W) predicted backward flow; None for a model without flow


class Judgement(NamedTuple):
    """A discriminator's answer."""

    real: Logits  # (B, ...) the higher, the more real
    category: Tensor | None  # (B, N) class logits, None for a discriminator without a category head
