"""How things move, as histograms of optical flow: weight-free, in-house, under their own names.

The flow function is passed in, for it decides the numbers: only results of one method compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vidgan.metrics.content import check_clips
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]
# (current, previous), both (H, W, 3) uint8 -> (2, H, W) backward flow in pixels
FlowFunction: TypeAlias = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], npt.NDArray[np.float32]]

SPEED_BIN = 0.25  # pixels a frame
SPEED_BINS = 128  # the last one holds all speeds from 31.75 px on
DIRECTIONS = 8

DEFINITIONS = {
    "flow_speed": "earth mover's distance, in pixels a frame, between the histograms of optical-flow speed of the set "
    "and of the reference",
    "flow_direction": f"earth mover's distance on the circle, in eighths of a turn, between the histograms of flow "
    f"direction ({DIRECTIONS} sectors, each pixel counted by its speed) of the set and of the reference; at most 4",
}


@dataclass(frozen=True)
class FlowHistograms:
    """Histograms of each clip: speed (N, 128), rows sum to 1; direction (N, 8), sums of speed per pixel and frame."""

    speed: Array
    direction: Array

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> "FlowHistograms":
        return FlowHistograms(self.speed[rows], self.direction[rows])


def flow_histograms(clips: ByteClip, flow: FlowFunction) -> FlowHistograms:
    """Speed and direction of the motion between neighbouring frames of (N, T, 3, H, W) uint8 clips.

    Raises:
        ValueError: other clips, or as ``flow``.
    """
    check_clips(clips)
    speeds, directions = np.zeros((len(clips), SPEED_BINS)), np.zeros((len(clips), DIRECTIONS))
    for row, clip in enumerate(clips):
        frames = np.ascontiguousarray(clip.permute(0, 2, 3, 1).cpu().numpy())  # (T, H, W, 3)
        for before, now in pairwise(frames):
            # Backward flow points to where things came from: motion is its negative.
            x, y = -np.asarray(flow(now, before), dtype=np.float64)
            speed = np.hypot(x, y)
            slots = np.minimum(speed / SPEED_BIN, SPEED_BINS - 1).astype(np.intp)
            speeds[row] += np.bincount(slots.ravel(), minlength=SPEED_BINS)
            # Sectors are centred on right, down-right, down, ...
            turn = np.arctan2(y, x) / (2 * np.pi) * DIRECTIONS
            sectors = np.rint(turn).astype(np.intp) % DIRECTIONS
            directions[row] += np.bincount(sectors.ravel(), weights=speed.ravel(), minlength=DIRECTIONS)
        pixels = (len(frames) - 1) * frames.shape[1] * frames.shape[2]
        speeds[row] /= pixels
        directions[row] /= pixels
    return FlowHistograms(speeds, directions)


def speed_distance(first: FlowHistograms, second: FlowHistograms) -> float:
    """Earth mover's distance between the mean speed histograms, in pixels a frame."""
    return SPEED_BIN * histogram_distance(first.speed.mean(axis=0), second.speed.mean(axis=0))


def direction_distance(first: FlowHistograms, second: FlowHistograms) -> float:
    """Earth mover's distance on the circle between the mean direction histograms, in sectors: 0 to 4.

    A set without any motion has no direction; it counts as moving evenly in all.
    """
    parts = []
    for histograms in (first, second):
        mean = histograms.direction.mean(axis=0)
        total = mean.sum()
        parts.append(mean / total if total > 0 else np.full(DIRECTIONS, 1 / DIRECTIONS))
    flows = np.cumsum(parts[0] - parts[1])
    # On a circle the mass that passes the cut is free: its best value is the median (Rabin et al. 2011).
    return float(np.abs(flows - np.median(flows)).sum())


def histogram_distance(first: Array, second: Array) -> float:
    """Earth mover's (1-Wasserstein) distance between two histograms over the same unit bins, in bins."""
    return float(np.abs(np.cumsum(first - second))[:-1].sum())
