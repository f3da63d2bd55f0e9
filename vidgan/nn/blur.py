"""Gaussian blur of maps as two matrix products."""

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["gaussian_blur"]


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian kernel truncated at 2 `sigma`; border pixels are repeated outside.

    Two matrix products are several times faster than convolutions on a CPU. Under autocast they lose precision:
    disable it where small differences matter.

    Args:
        maps: (..., H, W) float32 or float64.
        sigma: standard deviation in pixels.

    Returns:
        (..., H, W).
    """
    height, width = maps.shape[-2:]
    dtype = torch.promote_types(maps.dtype, torch.float32)
    rows, columns = (_band(length, sigma, dtype, maps.device) for length in (height, width))
    return rows @ (maps @ columns.T)


@lru_cache(maxsize=64)
def _band(length: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(length, length) matrix that blurs a line of pixels, with repeated border pixels.

    The matrix is cached, so it must not be an inference tensor, which later training could not use.
    """
    with torch.inference_mode(False):
        return _make_band(length, sigma, dtype).to(device)


def _make_band(length: int, sigma: float, dtype: torch.dtype) -> Tensor:
    radius = int(2 * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1, dtype=dtype)
    kernel = torch.exp(-steps.square() / (2 * sigma**2))
    source = (torch.arange(length)[:, None] + steps.long()).clamp(0, length - 1)  # (length, 2 radius + 1)
    return torch.zeros(length, length, dtype=dtype).scatter_add_(1, source, (kernel / kernel.sum()).expand(length, -1))
