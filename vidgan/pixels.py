"""The only conversion between stored pixels (uint8) and model pixels (float32 in [-1, 1])."""

import torch
from torch import Tensor


def to_float(pixels: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1]; any shape. Exact: `to_byte(to_float(x)) == x` for all 256 levels."""
    if pixels.dtype != torch.uint8:
        raise TypeError(f"to_float takes uint8 pixels, got {pixels.dtype}")
    return pixels.to(torch.float32) / 127.5 - 1


def to_byte(pixels: Tensor) -> Tensor:
    """Floats in [-1, 1] (clamped) -> uint8 in 0..255, rounded to the nearest level; any shape."""
    if not pixels.is_floating_point():
        raise TypeError(f"to_byte takes floating-point pixels in [-1, 1], got {pixels.dtype}")
    return ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
