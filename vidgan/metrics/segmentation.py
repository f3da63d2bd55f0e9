"""Segmentation of moving objects: overlap of masks, and background subtraction as the baseline."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from vidgan.metrics.values import Values
from vidgan.types import ByteClip

__all__ = ["MOVING", "intersection_over_union", "moving_share", "off_background"]

MOVING: Final = 26  # levels of 255 by which a channel differs from the temporal median where something moves


def intersection_over_union(first: Tensor, second: Tensor) -> Values:
    """IoU of boolean masks, one per clip: (B, T, H, W) twice -> (B,) in [0, 1]; 1 where both are empty.

    Raises:
        ValueError: masks of different shapes, or that are not boolean.
    """
    if first.shape != second.shape or first.dtype != torch.bool or second.dtype != torch.bool:
        raise ValueError(
            f"masks must be bool of one shape, got {first.dtype} {tuple(first.shape)} and {second.dtype}"
            f" {tuple(second.shape)}"
        )
    both = (first & second).flatten(1).sum(dim=1).double()
    either = (first | second).flatten(1).sum(dim=1).double()
    values: Values = torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both)).cpu().numpy()
    return values


def off_background(clips: ByteClip, threshold: int = MOVING) -> Tensor:
    """Pixels that differ from the temporal median of their clip: background subtraction for a static camera.

    Where an object covers a pixel in more than half of the frames, the median is the object, and the mask is inverted.

    Args:
        clips: (B, T, 3, H, W) uint8.
        threshold: smallest difference of a channel that counts, in levels of 255.

    Returns:
        (B, T, H, W) bool.
    """
    levels = clips.cpu().numpy().astype(np.int16)
    difference = np.abs(levels - np.median(levels, axis=1, keepdims=True)).max(axis=2)
    return torch.from_numpy(difference > threshold)


def moving_share(clips: ByteClip, threshold: int = MOVING) -> Values:
    """Share of pixels off the background, one per clip: (B, T, 3, H, W) uint8 -> (B,) in [0, 1].

    With a static camera it is close to the coverage that a mask of the moving object should have; it is smaller where
    the object rests.
    """
    share: Values = off_background(clips, threshold).double().mean(dim=(1, 2, 3)).numpy()
    return share
