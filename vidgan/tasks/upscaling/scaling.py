"""Scaling frames down and up without learning: how pairs are made, and the baselines.

Bicubic is the antialiased filter with a = -0.5, as in Pillow and, up to its treatment of the border, MATLAB's
`imresize`, which super-resolution papers use. OpenCV's bicubic filter aliases, and its numbers do not compare.
"""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.pixels import to_byte, to_float
from vidgan.types import ByteClip

__all__ = ["bicubic_clips", "nearest_clips", "scale_down", "scale_up", "without_detail"]


def scale_down(frames: Tensor, scale: int) -> Tensor:
    """Antialiased bicubic reduction of frames (N, C, H, W), any range, to (N, C, H / scale, W / scale) float32.

    Raises:
        ValueError: a side is no multiple of the scale.
    """
    height, width = frames.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(
            f"frames of {height}x{width} (HxW) cannot be reduced by a scale of {scale}; accepted are multiples of it"
        )
    return _bicubic(frames, (height // scale, width // scale))


def scale_up(frames: Tensor, scale: int) -> Tensor:
    """Bicubic enlargement of frames (N, C, h, w), any range, to (N, C, h * scale, w * scale) float32."""
    return _bicubic(frames, (frames.shape[-2] * scale, frames.shape[-1] * scale))


def without_detail(frames: Tensor, factor: int) -> Tensor:
    """Frames (N, C, h, w), any range, reduced by a factor to at least one pixel, and enlarged again: the same shape."""
    height, width = frames.shape[-2:]
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    return _bicubic(_bicubic(frames, small), (height, width))


def bicubic_clips(clips: ByteClip, scale: int) -> ByteClip:
    """The baseline: `scale_up` of clips (B, T, C, h, w) uint8."""
    frames = to_float(rearrange(clips.cpu(), "b t c h w -> (b t) c h w"))
    return rearrange(to_byte(scale_up(frames, scale)), "(b t) c h w -> b t c h w", b=len(clips))


def nearest_clips(clips: ByteClip, scale: int) -> ByteClip:
    """The baseline: every pixel of clips (B, T, C, h, w) uint8 becomes a square of `scale` x `scale`."""
    return clips.cpu().repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)


def _bicubic(frames: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(frames.float(), size=size, mode="bicubic", antialias=True, align_corners=False)
