"""Measures of a set of generated clips that need no pretrained network.

They are this project's own: none of them is FVD, LPIPS or an Inception Score. Their numbers compare only with each
other, on the same data, frame size, length and number of clips. Two references make them readable: the same measure of
held-out real clips (the floor) and of damaged real clips (the controls). Clips are (N, T, 3, H, W) uint8 with T >= 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.metrics import content
from vidgan.metrics.content import BACKGROUND, check_clips, content_distance
from vidgan.metrics.frechet import frechet_between
from vidgan.metrics.values import Values
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import generator
from vidgan.types import ByteClip

# Clips are compared pixel by pixel after averaging down to at most this many pixels per side: a copy stays a copy, and
# a thousand clips still fit in memory.
POOLED = 16
CHUNK = 32  # clips described at once; bounds memory and does not change a result
FEATURES = 29
# Lower bound of the deviation by which a feature is divided (a quarter of a grey level).
MIN_SPREAD = 1e-3

DEFINITIONS = {
    "motion_energy": "mean absolute difference of neighbouring frames, RGB in [0, 1], mean over clips",
    "flicker": "mean amount by which a pixel leaves the range of its values in the frames before and after, RGB in"
    " [0, 1]; the real clips' own is beside it, and a frozen clip has 0",
    "content_distance": content.DEFINITION,
    "motion_histogram": "earth mover's distance, in grey levels, between the histograms of absolute differences of "
    "neighbouring frames of the set and of the reference",
    "diversity": f"mean squared difference between pairs of clips of the set, at {POOLED}x{POOLED}, RGB in [0, 1]",
    "nearest_clip": f"root mean squared difference to the nearest reference clip at {POOLED}x{POOLED}, RGB in [0, 1], "
    "mean over clips; 0 is a copy",
    "frechet_inhouse": f"Fréchet distance between {FEATURES} hand-made features (quadrant colour, contrast, motion, "
    "trend, acceleration, edges) of the set and of the reference, in standard deviations of the real clips; not FVD",
}


def motion_energy(clips: ByteClip) -> Values:
    """Mean absolute difference of neighbouring frames, pixels in [0, 1]: (N, T, 3, H, W) uint8 -> (N,).

    0 for a frozen clip. Neither high nor low is better: compare with real clips.
    """
    return _energy(difference_histogram(clips))


def flicker(clips: ByteClip) -> Values:
    """Mean amount by which pixels in [0, 1] leave the range of both neighbours in time: (N, T, 3, H, W) -> (N,).

    Steady motion changes a pixel in one direction and counts little; noise, jitter and flashes count fully. Neither
    high nor low is better: compare with real clips.
    """
    check_clips(clips)
    rows = []
    for clip in clips.cpu():
        pixels = clip.short()
        before, now, after = pixels[:-2], pixels[1:-1], pixels[2:]
        above = (now - torch.maximum(before, after)).clamp_min(0)
        below = (torch.minimum(before, after) - now).clamp_min(0)
        rows.append((above + below).double().mean() / 255)
    return torch.stack(rows).numpy()


def difference_histogram(clips: ByteClip) -> Values:
    """Histogram of the absolute differences 0..255 of neighbouring frames: (N, 256), each row sums to 1."""
    check_clips(clips)
    differences = clips.cpu().short().diff(dim=1).abs().flatten(1).long()  # (N, pixel values)
    counts = torch.stack([torch.bincount(row, minlength=256) for row in differences])
    return (counts / differences.shape[1]).double().numpy()


def handmade_features(clips: ByteClip) -> Values:
    """Features of the in-house Fréchet distance, pixels in [0, 1]: (N, T, 3, H, W) uint8 -> (N, 29).

    | columns | feature |
    |---|---|
    | 12 | mean colour of each quadrant |
    | 3 | contrast: standard deviation over time and space, per channel |
    | 4 | motion: mean absolute frame difference of each quadrant |
    | 4 | trend: mean signed frame difference of each quadrant; changes sign when a clip is reversed |
    | 4 | acceleration: mean absolute second difference of each quadrant; large for shuffled frames |
    | 2 | edges: mean absolute difference of vertical and of horizontal neighbours; small for blurred frames |
    """
    check_clips(clips)
    pixels = clips.cpu().float() / 255
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
    """What the measures need of each clip of a set, computed once; indexing selects clips."""

    motion_energy: Values  # (N,)
    flicker: Values  # (N,)
    content_distance: Values  # (N,)
    histogram: Values  # (N, 256), see `difference_histogram`
    features: Values  # (N, 29), see `handmade_features`
    pooled: Values  # (N, D), see `pool_frames`

    def __len__(self) -> int:
        return len(self.motion_energy)

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> "Description":
        parts = (self.motion_energy, self.flicker, self.content_distance, self.histogram, self.features, self.pooled)
        return Description(*(part[rows] for part in parts))


def describe(clips: ByteClip, background: int | None = BACKGROUND) -> Description:
    """Describe (N, T, 3, H, W) uint8 clips, `CHUNK` at a time; ``background`` as in `content_distance`."""
    check_clips(clips)
    columns: list[tuple[Values, ...]] = []
    for part in clips.split(CHUNK):
        histogram = difference_histogram(part)
        pooled = rearrange(pool_frames(rearrange(part, "n t c h w -> (n t) c h w")), "(n t) d -> n (t d)", n=len(part))
        per_clip = (_energy(histogram), flicker(part), content_distance(part, background))
        columns.append((*per_clip, histogram, handmade_features(part), pooled))
    return Description(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def pairwise_diversity(pooled: Values) -> float:
    """Mean squared difference over all pairs of rows of (N, D), averaged over D: twice the unbiased variance."""
    return float(2 * pooled.var(axis=0, ddof=1).mean())


def diversity_by_category(pooled: Values, labels: Sequence[int], names: Sequence[str]) -> dict[str, float]:
    """`pairwise_diversity` among the clips of each category with two clips or more.

    Args:
        pooled: (N, D).
        labels: (N,), 0..K-1, or below 0 for a clip without a category.
        names: of the K categories.
    """
    rows = {name: np.asarray(labels) == number for number, name in enumerate(names)}
    return {name: pairwise_diversity(pooled[chosen]) for name, chosen in rows.items() if chosen.sum() > 1}


def nearest_distance(pooled: Values, reference: Values) -> Values:
    """Root mean squared difference of each row to the nearest row of ``reference``: (N, D), (M, D) -> (N,)."""
    distances = torch.cdist(torch.from_numpy(pooled), torch.from_numpy(reference))  # (N, M)
    return distances.amin(dim=1).numpy() / np.sqrt(pooled.shape[1])


def frechet_inhouse(first: Values, second: Values, spread: Values) -> float:
    """Fréchet distance between two feature sets in units of the real clips' standard deviation.

    Args:
        first: (N, D).
        second: (M, D).
        spread: (D,) standard deviation of the features of the real clips, at least `MIN_SPREAD` each.
    """
    scale = np.maximum(spread, MIN_SPREAD)
    return frechet_between(first / scale, second / scale)


def freeze(clips: ByteClip) -> ByteClip:
    """Control: the first frame of each clip, repeated."""
    return clips[:, :1].expand_as(clips)


def shuffle(clips: ByteClip) -> ByteClip:
    """Control: the frames of each clip in a random order, which is the same at every call."""
    orders = [torch.randperm(clips.shape[1], generator=generator("shuffled", row)) for row in range(len(clips))]
    return torch.stack([clip[order] for clip, order in zip(clips, orders, strict=True)])


def reverse(clips: ByteClip) -> ByteClip:
    """Control: each clip in reverse."""
    return clips.flip(1)


def blur(clips: ByteClip) -> ByteClip:
    """Control: every frame averaged over 5x5 pixels."""
    frames = to_float(rearrange(clips.cpu(), "n t c h w -> (n t) c h w"))
    for kernel, padding in (((5, 1), (2, 0)), ((1, 5), (0, 2))):  # separable: faster than one 5x5 mean
        frames = F.avg_pool2d(frames, kernel, stride=1, padding=padding, count_include_pad=False)
    return rearrange(to_byte(frames), "(n t) c h w -> n t c h w", n=len(clips))


CONTROLS = {"frozen": freeze, "shuffled": shuffle, "reversed": reverse, "blurred": blur}


def _energy(histogram: Values) -> Values:
    return histogram @ np.arange(256) / 255


def _quadrants(pixels: Tensor) -> Tensor:
    """Mean over time of each channel in each quadrant: (N, T, 3, H, W) -> (N, 3, 2, 2)."""
    return F.adaptive_avg_pool2d(pixels.mean(dim=1), 2)


def pool_frames(frames: ByteClip) -> Values:
    """Average frames down to at most `POOLED` pixels per side: (N, 3, H, W) uint8 -> (N, D) in [0, 1], D <= 768."""
    size = min(POOLED, frames.shape[-2]), min(POOLED, frames.shape[-1])
    return F.adaptive_avg_pool2d(frames.cpu().float() / 255, size).flatten(1).double().numpy()
