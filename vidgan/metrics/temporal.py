"""Coherence in time of clips that a model makes from other clips, frame pair by frame pair.

A single number says little: a blurred or frozen clip has a low warp error. So each measure is read beside that of the
real clip, and the aim is the value of the real clip, not zero. Clips are (N, T, C, H, W) uint8; flow is backward,
(N, T-1, 2, H, W), in pixels. Flow and warping come from the caller.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan.metrics.values import Values
from vidgan.types import ByteClip, Flow

__all__ = ["DEFINITIONS", "ClipMetric", "gradient_energy", "step_energy", "visible_pixels", "warp_errors"]

Warp: TypeAlias = Callable[[Tensor, Tensor], Tensor]

# Forward-backward check: |f + b|^2 < SHARE (|f|^2 + |b|^2) + OFFSET, in pixels (Ruder et al. 2016; Lai et al. 2018).
SHARE, OFFSET = 0.01, 0.5

DEFINITIONS = {
    "tof": "tOF: mean distance in pixels between the backward flow of the output and that of the target",
    "warp_error": "root mean squared difference, in grey levels, between a frame and its predecessor warped by the flow"
    " of {reference}, over pixels that are visible in both; aim at the value of the real clip",
    "warp_ratio": "warp_error over that of {reference}, of the means over windows; 1 is as steady as {reference}",
    "motion_ratio": "mean absolute difference of neighbouring frames over that of {reference}, of the means; 1 is equal"
    ", below 1 too still",
    "sharpness_ratio": "mean absolute difference of neighbouring pixels over that of {reference}, of the means; 1 is"
    " equal, below 1 blurred",
}


@dataclass(frozen=True)
class ClipMetric:
    """A metric of a whole clip: function, definition and direction."""

    function: Callable[[ByteClip, ByteClip, ByteClip | None], Values]  # (input, output, target) -> (N, K)
    definition: str
    better: Literal["lower", "higher"] | None


def step_energy(clips: ByteClip) -> Values:
    """Mean absolute difference of each frame to the frame before, pixels in [0, 1]: (N, T, C, H, W) -> (N, T-1)."""
    return (clips.cpu().short().diff(dim=1).abs().double().mean(dim=(2, 3, 4)) / 255).numpy()


def gradient_energy(clips: ByteClip) -> Values:
    """Mean absolute difference of neighbouring pixels along both axes, pixels in [0, 1]: (N, T, C, H, W) -> (N, T)."""
    pixels = clips.cpu().short()
    across, down = (pixels.diff(dim=axis).abs().double().mean(dim=(2, 3, 4)) for axis in (-1, -2))
    return ((across + down) / 2 / 255).numpy()


def visible_pixels(backward: Flow, forward: Flow, warp: Warp) -> Tensor:
    """Pixels of each frame but the first whose origin lies inside the frame before and is visible in it.

    Args:
        backward: (N, T-1, 2, H, W), from frame t+1 to frame t.
        forward: (N, T-1, 2, H, W), from frame t to frame t+1.
        warp: samples (M, C, H, W) at x + flow(x), as `vidgan.nn.warp`.

    Returns:
        (N, T-1, H, W) bool.
    """
    number = len(backward)
    back, ahead = (rearrange(flow, "n t c h w -> (n t) c h w").float() for flow in (backward, forward))
    ahead = warp(ahead, back)  # the forward flow of the pixel's origin
    lengths = back.square().sum(dim=1) + ahead.square().sum(dim=1)
    agrees = (back + ahead).square().sum(dim=1) < SHARE * lengths + OFFSET
    height, width = back.shape[-2:]
    x = torch.arange(width) + back[:, 0]
    y = torch.arange(height)[:, None] + back[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return rearrange(agrees & inside, "(n t) h w -> n t h w", n=number)


def warp_errors(clips: ByteClip, flow: Flow, visible: Tensor, warp: Warp) -> Values:
    """Root mean squared difference, in grey levels, of each frame to its warped predecessor over the visible pixels.

    Args:
        clips: (N, T, C, H, W) uint8.
        flow: (N, T-1, 2, H, W), backward.
        visible: (N, T-1, H, W) bool.
        warp: as in `visible_pixels`.

    Returns:
        (N, T-1) float64; NaN where no pixel is visible.

    Raises:
        ValueError: flow or mask of another size.
    """
    steps = (len(clips), clips.shape[1] - 1)
    size = tuple(clips.shape[-2:])
    if flow.shape != (*steps, 2, *size) or visible.shape != (*steps, *size):
        raise ValueError(
            f"clips {tuple(clips.shape)} need flow {(*steps, 2, *size)} and a mask {(*steps, *size)}, got"
            f" {tuple(flow.shape)} and {tuple(visible.shape)}"
        )
    pixels = clips.cpu().float()
    before = rearrange(pixels[:, :-1], "n t c h w -> (n t) c h w")
    moved = warp(before, rearrange(flow, "n t c h w -> (n t) c h w").float())
    after = rearrange(pixels[:, 1:], "n t c h w -> (n t) c h w")
    squared = (after - moved).double().square().mean(dim=1)  # (M, H, W)
    mask = rearrange(visible, "n t h w -> (n t) h w")
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (squared * mask).sum(dim=(1, 2)).numpy() / mask.sum(dim=(1, 2)).numpy()
    return np.asarray(np.sqrt(means)).reshape(steps)
