"""Differentiable warping by backward flow."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["carry_flow", "resize_flow", "warp"]


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """Sample each output pixel x from ``frames`` at x + flow(x), bilinearly; outside, the border pixel is repeated.

    Differentiable with respect to both arguments. Positions are computed in float32 (float64 for float64 inputs) also
    under autocast: bfloat16 cannot tell neighbouring pixels apart beyond column 256.

    Args:
        frames: (N, C, H, W), any value range; feature maps will do.
        flow: (N, 2, H, W) backward flow in pixels, dx then dy.

    Returns:
        (N, C, H, W) float32, or float64 when an argument is float64.
    """
    if frames.shape[0] != flow.shape[0] or frames.shape[-2:] != flow.shape[-2:] or flow.shape[1] != 2:
        raise ValueError(f"warp takes frames (N, C, H, W) and flow (N, 2, H, W), got {frames.shape} and {flow.shape}")
    dtype = torch.promote_types(torch.promote_types(frames.dtype, flow.dtype), torch.float32)
    height, width = frames.shape[-2:]
    with torch.autocast(device_type=frames.device.type, enabled=False):
        flow = flow.to(dtype)
        x = torch.arange(width, dtype=dtype, device=flow.device) + flow[:, 0]  # (N, H, W)
        y = torch.arange(height, dtype=dtype, device=flow.device)[:, None] + flow[:, 1]  # (N, H, W)
        # grid_sample without align_corners: -1 and 1 are the outer edges of the border pixels, half a pixel outside.
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)  # (N, H, W, 2)
        return F.grid_sample(
            frames.to(dtype), grid, mode="bilinear", padding_mode="border", align_corners=False
        )  # (N, C, H, W)


def carry_flow(flow: Tensor) -> Tensor:
    """The flow one step later, if everything keeps its velocity.

    The flow into frame t+1 at x is that of the matter which arrives there: ``next(x) = flow(x + flow(x))``, the flow
    sampled at the place that it points to itself. Motion thus stays with the object instead of with the pixel.

    Args:
        flow: (N, 2, H, W) backward flow from frame t to t-1, pixels.

    Returns:
        (N, 2, H, W) float32 (float64 for float64), the expected backward flow from frame t+1 to t.
    """
    return warp(flow, flow)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Flow (N, 2, h, w) on another grid (N, 2, H, W), its values scaled so that they count the new grid's pixels."""
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow
    scale = torch.tensor([size[1] / width, size[0] / height], dtype=flow.dtype, device=flow.device)[:, None, None]
    shrink = size[0] < height
    resized = (
        F.interpolate(flow, size=size, mode="area")
        if shrink
        else F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    )
    return resized * scale
