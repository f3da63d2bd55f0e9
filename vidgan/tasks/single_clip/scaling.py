"""Resizing a clip in time and space, and the sizes of its pyramid."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.types import Clip

__all__ = ["ClipSize", "level_sizes", "resize_clip", "scaled_sizes", "time_weights"]


class ClipSize(NamedTuple):
    """Extent of a clip."""

    frames: int
    height: int
    width: int


def level_sizes(
    size: ClipSize, *, factor: float, time_factor: float, shortest: int, fewest: int
) -> tuple[ClipSize, ...]:
    """Sizes of a pyramid, coarsest first, the clip's own last.

    The space factor is adjusted so that the coarsest short side is exactly `shortest`, as in SinGAN (Shaham et al.,
    ICCV 2019).

    Args:
        size: of the clip.
        factor: side of a level over that of the next finer one, about.
        time_factor: frames of a level over those of the next finer one.
        shortest: short side of the coarsest level, pixels.
        fewest: least number of frames of a level.
    """
    short = min(size.height, size.width)
    steps = max(0, math.ceil(math.log(short / shortest) / math.log(1 / factor))) if short > shortest else 0
    ratio = (shortest / short) ** (1 / steps) if steps else 1.0
    sizes = []
    for level in range(steps, -1, -1):
        frames = max(min(fewest, size.frames), round(size.frames * time_factor**level))
        sizes.append(ClipSize(frames, round(size.height * ratio**level), round(size.width * ratio**level)))
    return tuple(sizes)


def scaled_sizes(levels: tuple[ClipSize, ...], size: ClipSize) -> tuple[ClipSize, ...]:
    """The pyramid of a clip of another size: each side of each level in proportion, the last one `size`."""
    own = levels[-1]
    return tuple(
        ClipSize(*(max(1, round(wanted * side / whole)) for wanted, side, whole in zip(size, level, own, strict=True)))
        for level in levels
    )


def resize_clip(clip: Clip, size: ClipSize, *, loop: bool = False) -> Clip:
    """Resize (B, T, C, H, W): antialiased bicubic in space, antialiased linear in time.

    Args:
        clip: in [-1, 1].
        size: of the result.
        loop: the first frame follows the last.

    Returns:
        (B, T', C, H', W') in [-1, 1]; `clip` itself if it has the size.
    """
    batch, frames = clip.shape[:2]
    if clip.shape[-2:] != size[1:]:
        flat = rearrange(clip, "b t c h w -> (b t) c h w")
        flat = F.interpolate(flat, size=size[1:], mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
        clip = rearrange(flat, "(b t) c h w -> b t c h w", b=batch)
    if frames != size.frames:
        clip = torch.einsum("st,btchw->bschw", time_weights(frames, size.frames, loop=loop).to(clip), clip)
    return clip


def time_weights(frames: int, wanted: int, *, loop: bool = False) -> Tensor:
    """Weights (wanted, frames) of linear resampling; the rows sum to 1.

    The triangle is as wide as the reduction, so that fewer frames blend instead of dropping out.
    """
    support = max(1.0, frames / wanted)
    centres = (torch.arange(wanted) + 0.5) * frames / wanted - 0.5
    reach = math.ceil(support) + 1
    weights = torch.zeros(wanted, frames)
    for offset in range(-reach, reach + 1):
        times = centres.floor().long() + offset
        shares = (1 - (times - centres).abs() / support).clamp_min(0)
        if not loop:
            shares = torch.where((times >= 0) & (times < frames), shares, 0)
        weights.scatter_add_(1, (times % frames)[:, None], shares[:, None])
    return weights / weights.sum(dim=1, keepdim=True)
