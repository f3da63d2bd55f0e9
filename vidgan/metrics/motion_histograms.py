"""Optical-flow statistics of clips: histograms of speed and direction, tracks, and the distances between two sets.

The measures are this project's own and need no trained weights. The caller passes the flow function, which determines
the numbers: only results of one flow method compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange

from vidgan.metrics import tracks
from vidgan.metrics.content import check_clips
from vidgan.metrics.frechet import frechet_between
from vidgan.metrics.tracks import DIRECTIONS
from vidgan.metrics.values import Values
from vidgan.types import ByteClip

# (current, previous), both (H, W, 3) uint8 -> (2, H, W) backward flow in pixels
FlowFunction: TypeAlias = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], npt.NDArray[np.float32]]

SPEED_BIN = 0.25  # pixels per frame
SPEED_BINS = 128  # the last one counts all speeds from 31.75 px

DEFINITIONS = {
    "flow_speed": "earth mover's distance, in pixels a frame, between the histograms of optical-flow speed of the set "
    "and of the reference",
    "flow_direction": f"earth mover's distance on the circle, in eighths of a turn, between the histograms of flow "
    f"direction ({DIRECTIONS} sectors, each pixel counted by its speed) of the set and of the reference; at most 4",
    **tracks.DEFINITIONS,
}
DISTANCES = ("flow_speed", "flow_direction", "track_frechet")  # the others are numbers of single clips


@dataclass(frozen=True)
class FlowHistograms:
    """Histograms of N clips; indexing selects clips."""

    speed: Values  # (N, 128), each row sums to 1
    direction: Values  # (N, 8), mean speed towards each sector, in pixels per frame
    tracks: Values  # (N, 64), see `vidgan.metrics.tracks.track_features`
    dynamic_degree: Values  # (N,), in pixels per frame

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> "FlowHistograms":
        return FlowHistograms(self.speed[rows], self.direction[rows], self.tracks[rows], self.dynamic_degree[rows])


def flow_histograms(clips: ByteClip, flow: FlowFunction) -> FlowHistograms:
    """Speed, direction and tracks of the motion between neighbouring frames.

    Args:
        clips: (N, T, 3, H, W) uint8, T >= 3.
        flow: (current, previous), (H, W, 3) uint8 each -> (2, H, W) backward flow in pixels.

    Raises:
        ValueError: clips of another shape, or an error of ``flow``.
    """
    check_clips(clips)
    speeds, directions = np.zeros((len(clips), SPEED_BINS)), np.zeros((len(clips), DIRECTIONS))
    features, fastest = [], []
    for row, clip in enumerate(clips):
        flows = []
        frames = np.ascontiguousarray(rearrange(clip, "t c h w -> t h w c").cpu().numpy())
        for previous, current in pairwise(frames):
            # Backward flow points to where a pixel came from, so motion is its negative.
            backward = np.asarray(flow(current, previous))  # (2, H, W)
            flows.append(backward.astype(np.float32))
            x, y = -backward.astype(np.float64)
            speed = np.hypot(x, y)
            bins = np.minimum(speed / SPEED_BIN, SPEED_BINS - 1).astype(np.intp)
            speeds[row] += np.bincount(bins.ravel(), minlength=SPEED_BINS)
            # Sectors are centred on right, down-right, down, ...
            eighths = np.arctan2(y, x) / (2 * np.pi) * DIRECTIONS
            sectors = np.rint(eighths).astype(np.intp) % DIRECTIONS
            directions[row] += np.bincount(sectors.ravel(), weights=speed.ravel(), minlength=DIRECTIONS)
        pixels = (len(frames) - 1) * frames.shape[1] * frames.shape[2]
        speeds[row] /= pixels
        directions[row] /= pixels
        clip_flow = torch.from_numpy(np.stack(flows))[None]  # (1, T-1, 2, H, W)
        features.append(tracks.track_features(clip_flow))
        fastest.append(tracks.dynamic_degree(clip_flow))
    return FlowHistograms(speeds, directions, np.concatenate(features), np.concatenate(fastest))


def speed_distance(first: FlowHistograms, second: FlowHistograms) -> float:
    """Earth mover's distance between the mean speed histograms, in pixels per frame; lower is closer."""
    return SPEED_BIN * histogram_distance(first.speed.mean(axis=0), second.speed.mean(axis=0))


def direction_distance(first: FlowHistograms, second: FlowHistograms) -> float:
    """Earth mover's distance on the circle between the mean direction histograms, in sectors of 45 degrees: 0..4.

    A set without motion has no direction and counts as moving equally in all directions.
    """
    parts = []
    for histograms in (first, second):
        mean = histograms.direction.mean(axis=0)
        total = mean.sum()
        parts.append(mean / total if total > 0 else np.full(DIRECTIONS, 1 / DIRECTIONS))
    moved = np.cumsum(parts[0] - parts[1])
    # On a circle the mass that crosses the cut is free, and the median minimises the total (Rabin et al. 2011).
    return float(np.abs(moved - np.median(moved)).sum())


def track_distance(first: FlowHistograms, second: FlowHistograms) -> float:
    """Fréchet distance of the track features of two sets, two clips each or more."""
    return frechet_between(first.tracks, second.tracks)


def histogram_distance(first: Values, second: Values) -> float:
    """Earth mover's (1-Wasserstein) distance between two histograms over the same bins, in bin widths."""
    return float(np.abs(np.cumsum(first - second))[:-1].sum())
