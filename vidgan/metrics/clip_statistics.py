"""Measures of a set of generated clips that need no pretrained network.

They are this project's own and carry their own names: none of them is FVD, LPIPS or an inception score, and their
numbers compare only with each other, on the same data, size, length and number of clips. Each is meaningful only beside
the same measure of held-out real clips (the floor) and of damaged real clips (the controls): `score_synthesis` gives
all of them. Clips are (N, T, 3, H, W) uint8 with T >= 3.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.metrics import content
from vidgan.metrics.content import BACKGROUND, check_clips, content_distance
from vidgan.metrics.frechet import frechet_between
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import generator
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]

# Clips are compared pixel by pixel after averaging down to at most this many pixels a side: a copy stays a copy, and a
# thousand clips still fit in memory.
POOLED = 16
# Clips described at once; bounds memory, does not change a result.
CHUNK = 32
FEATURES = 29
# A feature that hardly varies is divided by this (a quarter of a grey level) rather than by its own spread.
MIN_SPREAD = 1e-3

DEFINITIONS = {
    "motion_energy": "mean absolute difference of neighbouring frames, RGB in [0, 1], mean over clips",
    "content_distance": content.DEFINITION,
    "motion_histogram": "earth mover's distance, in grey levels, between the histograms of absolute differences of "
    "neighbouring frames of the set and of the reference",
    "diversity": f"mean squared difference between pairs of clips of the set, at {POOLED}x{POOLED}, RGB in [0, 1]",
    "nearest_clip": f"root mean squared difference to the nearest reference clip at {POOLED}x{POOLED}, RGB in [0, 1], "
    "mean over clips; 0 is a copy",
    "frechet_inhouse": f"Fréchet distance between {FEATURES} hand-made features (quadrant colour, contrast, motion, "
    "trend, acceleration, edges) of the set and of the reference, in standard deviations of the real clips; not FVD",
}


def motion_energy(clips: ByteClip) -> Array:
    """Mean absolute difference of neighbouring frames, pixels in [0, 1]: (N,), 0 for a frozen clip."""
    return _energy(difference_histogram(clips))


def difference_histogram(clips: ByteClip) -> Array:
    """How often each grey-level difference 0..255 occurs between neighbouring frames: (N, 256), rows sum to 1."""
    check_clips(clips)
    differences = clips.cpu().short().diff(dim=1).abs().flatten(1).long()  # (N, numbers)
    counts = torch.stack([torch.bincount(row, minlength=256) for row in differences])
    return (counts / differences.shape[1]).double().numpy()


def features(clips: ByteClip) -> Array:
    """The hand-made features of the in-house Fréchet distance: (N, 29), pixels in [0, 1].

    12 mean colour of each quadrant; 3 contrast (deviation over time and space, per channel); 4 motion, |frame step|
    per quadrant; 4 trend, signed frame step per quadrant (changes sign when a clip runs backwards); 4 acceleration,
    |change of the frame step| per quadrant (large for shuffled frames); 2 edges, |neighbour difference| down and across
    (small for blurred frames).
    """
    pixels = _unit(clips)
    steps = pixels.diff(dim=1)
    edges = [pixels.diff(dim=axis).abs().mean(dim=(1, 2, 3, 4)) for axis in (-2, -1)]
    parts = [
        _quadrants(pixels).flatten(1),
        pixels.std(dim=(1, 3, 4), correction=0),
        _quadrants(steps.abs()).mean(dim=1).flatten(1),
        _quadrants(steps).mean(dim=1).flatten(1),
        _quadrants(steps.diff(dim=1).abs()).mean(dim=1).flatten(1),
        torch.stack(edges, dim=1),
    ]
    return torch.cat(parts, dim=1).double().numpy()


@dataclass(frozen=True)
class Description:
    """All that the measures need of a set of clips, computed once: rows can then be chosen freely."""

    motion_energy: Array  # (N,)
    content_distance: Array  # (N,)
    histogram: Array  # (N, 256)
    features: Array  # (N, 29)
    pooled: Array  # (N, numbers)

    def __len__(self) -> int:
        return len(self.motion_energy)

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> "Description":
        parts = (self.motion_energy, self.content_distance, self.histogram, self.features, self.pooled)
        return Description(*(part[rows] for part in parts))


def describe(clips: ByteClip, background: int | None = BACKGROUND) -> Description:
    """Describe (N, T, 3, H, W) uint8 clips, a few at a time."""
    check_clips(clips)
    columns: list[tuple[Array, ...]] = []
    for part in clips.split(CHUNK):
        histogram = difference_histogram(part)
        columns.append((_energy(histogram), content_distance(part, background), histogram, features(part), _pool(part)))
    return Description(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def pairwise_diversity(pooled: Array) -> float:
    """Mean squared difference over all pairs of rows, per number: twice the unbiased variance, so no pair is formed."""
    return float(2 * pooled.var(axis=0, ddof=1).mean())


def nearest_distance(pooled: Array, reference: Array) -> Array:
    """Root mean squared difference from each row to the nearest row of ``reference``: (N, D), (M, D) -> (N,)."""
    distances = torch.cdist(torch.from_numpy(pooled), torch.from_numpy(reference))  # (N, M)
    return distances.amin(dim=1).numpy() / np.sqrt(pooled.shape[1])


def frechet_inhouse(first: Array, second: Array, spread: Array) -> float:
    """Fréchet distance between two feature sets after division by ``spread`` (D,), the real clips' deviation."""
    scale = np.maximum(spread, MIN_SPREAD)
    return frechet_between(first / scale, second / scale)


def frozen(clips: ByteClip) -> ByteClip:
    """Control: the first frame, repeated."""
    return clips[:, :1].expand_as(clips)


def shuffled(clips: ByteClip) -> ByteClip:
    """Control: the frames of each clip in a random order, the same one at every call."""
    orders = [torch.randperm(clips.shape[1], generator=generator("shuffled", row)) for row in range(len(clips))]
    return torch.stack([clip[order] for clip, order in zip(clips, orders, strict=True)])


def backward(clips: ByteClip) -> ByteClip:
    """Control: time reversed."""
    return clips.flip(1)


def blurred(clips: ByteClip) -> ByteClip:
    """Control: every frame averaged over 5x5 pixels."""
    frames = to_float(clips.cpu().flatten(0, 1))  # (N*T, 3, H, W)
    for window, padding in (((5, 1), (2, 0)), ((1, 5), (0, 2))):  # rows, then columns: as one 5x5 mean, but faster
        frames = F.avg_pool2d(frames, window, stride=1, padding=padding, count_include_pad=False)
    return to_byte(frames).view_as(clips)


CONTROLS = {"frozen": frozen, "shuffled": shuffled, "reversed": backward, "blurred": blurred}


def _energy(histogram: Array) -> Array:
    return histogram @ np.arange(256) / 255


def _unit(clips: ByteClip) -> Tensor:
    check_clips(clips)
    return clips.cpu().float() / 255


def _quadrants(pixels: Tensor) -> Tensor:
    """(N, T, 3, H, W) -> mean over time of each channel in each quadrant, (N, 3, 2, 2)."""
    return F.adaptive_avg_pool2d(pixels.mean(dim=1), 2)


def pool_frames(frames: ByteClip) -> Array:
    """Frames (N, 3, H, W) uint8 as they are compared pixel by pixel: (N, 768) at most, in [0, 1]."""
    size = min(POOLED, frames.shape[-2]), min(POOLED, frames.shape[-1])
    return F.adaptive_avg_pool2d(frames.cpu().float() / 255, size).flatten(1).double().numpy()


def _pool(clips: ByteClip) -> Array:
    check_clips(clips)
    return pool_frames(clips.flatten(0, 1)).reshape(len(clips), -1)
