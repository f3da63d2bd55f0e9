"""Conversion between stored pixels (uint8) and model pixels (float32 in [-1, 1]). No other module converts pixels."""

import torch
from torch import Tensor


def to_float(pixels: Tensor) -> Tensor:
    """Convert uint8 in 0..255 to float32 in [-1, 1]. `to_byte` inverts it exactly.

    Args:
        pixels: uint8, any shape.

    Raises:
        TypeError: another dtype.
    """
    if pixels.dtype != torch.uint8:
        raise TypeError(f"to_float expects uint8 pixels, got {pixels.dtype}")
    return pixels.to(torch.float32) / 127.5 - 1


def to_byte(pixels: Tensor) -> Tensor:
    """Convert floating-point pixels in [-1, 1] to the nearest uint8 level. Values outside the range are clamped.

    Args:
        pixels: floating point, any shape.

    Raises:
        TypeError: an integer dtype.
    """
    if not pixels.is_floating_point():
        raise TypeError(f"to_byte expects floating-point pixels in [-1, 1], got {pixels.dtype}")
    return ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
