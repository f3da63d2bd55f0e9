"""Labels of generated clips that need no trained network: motion, its direction, the foreground, colours."""

from collections.abc import Callable, Collection
from typing import Final

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan.metrics.segmentation import off_background
from vidgan.types import ByteClip
from vidgan.video.optical_flow import MIN_SIDE, clip_flow, default_method

__all__ = ["COLOURS", "CONCEPTS", "DEFINITIONS", "label_clips"]

MOVING: Final = 0.5  # pixels per frame of observed flow
SATURATED, LIT, BRIGHT = 0.3, 0.2, 0.8  # of HSV: smallest saturation and value of a hue, smallest value of "bright"
COLOURS: Final = ("red", "yellow", "green", "cyan", "blue", "magenta")
DEFINITIONS: Final[dict[str, str]] = {
    "foreground": "differs from the temporal median of its clip by more than 26 of 255 levels",
    "moving": f"foreground with observed optical flow above {MOVING:g} pixels per frame",
    "moving right": "moving, and within 45 degrees of the direction; the same for left, up and down",
    "red": f"hue within 30 degrees, saturation above {SATURATED:g}, value above {LIT:g}; the same for other colours",
    "dark": f"value below {LIT:g}",
    "bright": f"value above {BRIGHT:g}, saturation below {SATURATED:g}",
    "mask": "the generator's own mask of a layered clip is above 0.5",
}


def label_clips(clips: ByteClip, concepts: Collection[str] | None = None) -> dict[str, Tensor]:
    """The pixels that show each concept of `DEFINITIONS`, except a generator's own mask.

    Args:
        clips: (B, T, 3, H, W) uint8.
        concepts: those that are needed; None: all that the size of the frames allows.

    Returns:
        Concept -> (B, T, H, W) bool. Frame t moves as it did since frame t - 1; frame 0 has no motion.
    """
    labels: dict[str, Tensor] = {}
    for names, label in _LABELLERS.items():
        if label is _motion and min(clips.shape[-2:]) < MIN_SIDE:
            continue
        if concepts is None or set(names) & set(concepts):
            labels |= label(clips)
    return labels if concepts is None else {name: labels[name] for name in concepts}


def _foreground(clips: ByteClip) -> dict[str, Tensor]:
    return {"foreground": off_background(clips)}


def _motion(clips: ByteClip) -> dict[str, Tensor]:
    frames = rearrange(clips, "b t c h w -> b t h w c").numpy()
    flow = np.stack([clip_flow(clip, default_method()) for clip in frames])  # (B, T-1, 2, H, W), backward
    dx, dy = (torch.from_numpy(-part) for part in np.moveaxis(flow, 2, 0))  # displacement, right and down
    still = torch.zeros_like(dx[:, :1], dtype=torch.bool)
    # Flow estimators spread motion over plain areas, where nothing changes.
    moving = (dx.hypot(dy) > MOVING) & off_background(clips)[:, 1:]
    across, down = dx.abs() >= dy.abs(), dx.abs() < dy.abs()
    ways = {
        "moving": moving,
        "moving right": moving & across & (dx > 0),
        "moving left": moving & across & (dx < 0),
        "moving up": moving & down & (dy < 0),
        "moving down": moving & down & (dy > 0),
    }
    return {name: torch.cat([still, mask], dim=1) for name, mask in ways.items()}


def _colours(clips: ByteClip) -> dict[str, Tensor]:
    red, green, blue = (clips.float() / 255).unbind(dim=2)  # (B, T, H, W) each
    value, lowest = torch.stack([red, green, blue]).max(dim=0).values, torch.stack([red, green, blue]).min(dim=0).values
    chroma = value - lowest
    saturation = chroma / value.clamp(min=1e-6)
    safe = chroma.clamp(min=1e-6)
    sector = torch.where(
        value == red,
        ((green - blue) / safe) % 6,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    nearest = sector.round().long() % 6  # 0: red, 1: yellow, ...
    coloured = (saturation > SATURATED) & (value > LIT)
    named = {name: coloured & (nearest == number) for number, name in enumerate(COLOURS)}
    return named | {"dark": value < LIT, "bright": (value > BRIGHT) & (saturation < SATURATED)}


_LABELLERS: Final[dict[tuple[str, ...], Callable[[ByteClip], dict[str, Tensor]]]] = {
    ("foreground",): _foreground,
    ("moving", "moving right", "moving left", "moving up", "moving down"): _motion,
    (*COLOURS, "dark", "bright"): _colours,
}
CONCEPTS: Final = frozenset(name for names in _LABELLERS for name in names)
