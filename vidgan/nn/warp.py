"""Warping by backward flow."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.modes import without_autocast

__all__ = ["carry_flow", "resize_flow", "warp"]


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """Sample ``frames`` bilinearly at x + flow(x) for each output pixel x; border pixels are repeated outside.

    Differentiable with respect to both arguments (Jaderberg et al. 2015, Eq. 5). Positions are computed in float32
    (float64 for float64 inputs) even under autocast: bfloat16 cannot represent every column beyond 256.

    Args:
        frames: (N, C, H, W) frames or feature maps, any value range.
        flow: (N, 2, H, W) backward flow in pixels, dx then dy.

    Returns:
        (N, C, H, W) float32, or float64 if an argument is float64.

    Raises:
        ValueError: the shapes do not match.
    """
    if frames.shape[0] != flow.shape[0] or frames.shape[-2:] != flow.shape[-2:] or flow.shape[1] != 2:
        raise ValueError(f"warp expects frames (N, C, H, W) and flow (N, 2, H, W), got {frames.shape} and {flow.shape}")
    dtype = torch.promote_types(torch.promote_types(frames.dtype, flow.dtype), torch.float32)
    height, width = frames.shape[-2:]
    with without_autocast(frames.device.type):
        flow = flow.to(dtype)
        x = torch.arange(width, dtype=dtype, device=flow.device) + flow[:, 0]  # (N, H, W)
        y = torch.arange(height, dtype=dtype, device=flow.device)[:, None] + flow[:, 1]  # (N, H, W)
        # With align_corners=False, -1 and 1 are the outer edges of the border pixels, half a pixel beyond the centres.
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)  # (N, H, W, 2)
        return F.grid_sample(
            frames.to(dtype), grid, mode="bilinear", padding_mode="border", align_corners=False
        )  # (N, C, H, W)


def carry_flow(flow: Tensor) -> Tensor:
    """Extrapolate flow by one frame at constant velocity: ``next(x) = flow(x + flow(x))``.

    The flow is sampled where it points to, so that motion moves along with the object instead of staying at the pixel.

    Args:
        flow: (N, 2, H, W) backward flow from frame t to t-1, pixels.

    Returns:
        (N, 2, H, W) float32 (float64 for float64), the expected backward flow from frame t+1 to t.
    """
    return warp(flow, flow)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample flow to another grid and convert its values to pixels of that grid.

    Args:
        flow: (N, 2, h, w) in pixels of its own grid.
        size: (H, W).

    Returns:
        (N, 2, H, W); `flow` itself if it already has that size.
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow
    scale = torch.tensor([size[1] / width, size[0] / height], dtype=flow.dtype, device=flow.device)[:, None, None]
    shrinks = size[0] < height
    resized = (
        F.interpolate(flow, size=size, mode="area")
        if shrinks
        else F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    )
    return resized * scale
