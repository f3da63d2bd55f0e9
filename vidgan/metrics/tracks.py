"""Motion statistics along tracks: velocity and acceleration histograms of points that are followed through the flow.

The idea is that of FVMD (Liu et al. 2024): points on a grid are tracked, and histograms of the direction of velocity
and acceleration, weighted by the logarithm of their size, describe the motion of a clip. The measures here are this
project's own: tracks come from the flow that the caller passes, not from a tracking network, and the numbers are not
FVMD.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.metrics.values import Values
from vidgan.types import Flow

DIRECTIONS = 8
GRID = 8  # tracked points per side
FASTEST = 0.05  # share of the pixels that dynamic_degree averages over
FEATURES = 2 * 4 * DIRECTIONS  # velocity and acceleration, four quadrants

DEFINITIONS = {
    "track_frechet": f"Fréchet distance of {FEATURES} features of a clip: histograms of the direction of velocity and"
    f" of acceleration, weighted by log(1 + pixels), in each quadrant, of {GRID}x{GRID} points tracked through the"
    " optical flow; not FVMD",
    "dynamic_degree": f"mean speed of the {FASTEST:.0%} fastest pixels, in pixels a frame, over the frames of a clip",
}


def track_features(flow: Flow) -> Values:
    """Histograms of velocity and acceleration along tracks: backward flow (N, T-1, 2, H, W), T >= 3, -> (N, 64).

    A point starts in the last frame and follows the backward flow to the first. Its velocity from frame t to t+1 is the
    negative of the flow at its position in frame t+1; its acceleration is the change of velocity.
    """
    number, steps, _, height, width = flow.shape
    if steps < 2:
        raise ValueError(f"tracks need clips of at least 3 frames, got {steps + 1}")
    y, x = (torch.linspace(0.5, side - 1.5, GRID) for side in (height, width))
    position = torch.stack([x.expand(GRID, GRID), y[:, None].expand(GRID, GRID)]).expand(number, 2, GRID, GRID)
    quadrant = 2 * (torch.arange(GRID)[:, None] >= GRID // 2).long() + (torch.arange(GRID) >= GRID // 2).long()
    velocities = []
    for step in reversed(range(steps)):
        moved = _at(flow[:, step], position)
        velocities.append(-moved)
        position = position + moved
    velocity = torch.stack(velocities[::-1], dim=1)  # (N, T-1, 2, g, g), in order of time
    parts = [_histogram(vectors, quadrant) for vectors in (velocity, velocity.diff(dim=1))]
    return torch.cat(parts, dim=1).double().numpy()


def dynamic_degree(flow: Flow) -> Values:
    """Mean speed of the fastest pixels of each frame, in pixels a frame: backward flow (N, T-1, 2, H, W) -> (N,)."""
    speed = flow.norm(dim=2).flatten(2)  # (N, T-1, H W)
    return speed.topk(max(1, round(FASTEST * speed.shape[-1])), dim=-1).values.mean(dim=(1, 2)).double().numpy()


def _at(flow: Tensor, position: Tensor) -> Tensor:
    """Flow (N, 2, H, W) at positions (N, 2, g, g) in pixels, bilinear, the border repeated."""
    last = position.new_tensor([flow.shape[-1] - 1, flow.shape[-2] - 1])[:, None, None]
    grid = rearrange(2 * position / last - 1, "n d h w -> n h w d")
    return F.grid_sample(flow, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _histogram(vectors: Tensor, quadrant: Tensor) -> Tensor:
    """(N, S, 2, g, g) -> (N, 4 * DIRECTIONS): mean of log(1 + size) per direction and quadrant of the grid."""
    size = torch.log1p(vectors.norm(dim=2))  # (N, S, g, g)
    eighths = torch.atan2(vectors[:, :, 1], vectors[:, :, 0]) / (2 * torch.pi) * DIRECTIONS
    sector = eighths.round().long() % DIRECTIONS
    counts = size.new_zeros(len(size), 4 * DIRECTIONS)
    bins = (DIRECTIONS * quadrant + sector).flatten(1)
    return counts.scatter_add_(1, bins, size.flatten(1)) * 4 / bins.shape[1]
