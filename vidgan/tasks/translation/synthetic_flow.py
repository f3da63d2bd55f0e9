"""Random smooth flow: a motion that is known exactly, so that no estimator is needed (Wang et al., AAAI 2022)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.seeding import Draws

__all__ = ["inside_frame", "synthetic_flow"]

NODE = 16  # pixels between the nodes of the random grid; at least two nodes, so that frames below 100 pixels work too
SPREAD, SHIFT = 0.06, 0.08  # of the local flow and largest common shift, as shares of the shorter side


def synthetic_flow(draws: Draws, size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Smooth local motion plus a common shift in whole pixels.

    Args:
        draws: one stream per flow.
        size: (H, W) in pixels.
        device: of the result.

    Returns:
        (B, 2, H, W) backward flow in pixels, dx then dy.
    """
    side = min(size)
    nodes = [max(2, length // NODE) for length in size]
    local = draws.fork("local").normal(2, *nodes).to(device) * (SPREAD * side)
    smooth = F.interpolate(local, size=size, mode="bicubic", align_corners=True)
    most = max(1, round(SHIFT * side))
    shift = draws.fork("shift").integers(2 * most + 1, 2).to(device) - most
    return smooth + shift[:, :, None, None].to(smooth.dtype)


def inside_frame(flow: Tensor) -> Tensor:
    """1 where a flow (..., 2, H, W) points into the frame, else 0: (..., 1, H, W)."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[..., :1, :, :]
    y = torch.arange(height, device=flow.device)[:, None] + flow[..., 1:, :, :]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).to(flow.dtype)
