"""Scores of clips that were made from one clip: are they new, and do they look and move like it?

No number stands alone. A copy has nearest-patch distance 0 and no diversity; noise has much of both; a frozen or
shuffled clip has patches of the clip, too little or too much motion. So the table has these clips as reference rows.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vidgan.evaluation.mapping import MIN_SIDE, Motion
from vidgan.seeding import generator
from vidgan.types import ByteClip

__all__ = ["DEFINITIONS", "PATCH", "measure_clips", "reference_clips"]

PATCH = (3, 5, 5)  # frames, height, width
PLACES = 512  # patches of a clip that are looked up, each with three neighbours
BLOCK = 64  # of these compared at once
ROUNDING = 1e-4  # relative difference of squared distances that means nothing

DEFINITIONS = {
    "nearest_patch": f"root mean squared difference of a patch of {PATCH[0]} frames of {PATCH[1]}x{PATCH[2]} to the"
    f" nearest patch of the source, pixels in [0, 1], mean over {PLACES} places per clip and their neighbours",
    "rearranged": "share of neighbouring patches (in time, down or across) of which the second one's nearest patch in"
    " the source is nearer than the patch beside the first one's; 0 for a copy",
    "spread": "standard deviation over the clips of each pixel, mean over pixels, divided by the standard deviation of"
    " the source's pixels; 0 for equal clips",
    "motion_ratio": "mean absolute difference of neighbouring frames over that of the source; below 1 too still",
    "warp_ratio": "root mean squared difference between each frame and its predecessor warped by the clip's own flow,"
    " over that of the source; 1 is as coherent in time as the source",
    "sharpness_ratio": "mean absolute difference of neighbouring pixels over that of the source; below 1 blurred",
}


def measure_clips(source: ByteClip, clips: ByteClip, *, seed: int = 0) -> dict[str, float | None]:
    """Metric of `DEFINITIONS` -> value of a set of clips.

    Args:
        source: (T, 3, H, W) uint8.
        clips: (N, T', 3, H', W') uint8, made from it.
        seed: of the places that are looked up.

    Returns:
        None where a metric is undefined: `spread` of one clip, ratios to a source that stands still, flow of frames
        smaller than 32 pixels.

    Raises:
        ValueError: a clip is smaller than a patch.
    """
    for clip in (source, clips[0]):
        if any(side < least for side, least in zip((len(clip), *clip.shape[-2:]), PATCH, strict=True)):
            raise ValueError(f"clips of {tuple(clip.shape)} are smaller than the patches of {PATCH} that are compared")
    patches = _Patches(source)
    looked_up = [patches.look_up(clip, seed) for clip in clips]
    deviation = source.float().std(unbiased=False)
    spread = clips.float().std(dim=0, unbiased=False).mean() / deviation if len(clips) > 1 and deviation else None
    table: dict[str, float | None] = {
        "nearest_patch": float(np.mean([distance for distance, _ in looked_up])),
        "rearranged": float(np.mean([share for _, share in looked_up])),
        "spread": None if spread is None else float(spread),
    }
    return table | _ratios(source, clips)


def reference_clips(source: ByteClip, number: int, *, seed: int = 0) -> Mapping[str, ByteClip]:
    """Row name -> (number, T, 3, H, W): clips that a score must not take for good new ones."""
    frames = len(source)
    draws = generator("single clip", "references", seed)
    chosen = torch.randint(frames, (number,), generator=draws)
    orders = torch.stack([torch.randperm(frames, generator=draws) for _ in range(number)])
    noise = torch.randint(256, (number, *source.shape), generator=draws, dtype=torch.uint8)
    return {
        "copy": source.expand(number, *source.shape),
        "frozen": source[chosen][:, None].expand(number, *source.shape),
        "shuffled": source[orders],
        "reversed": source.flip(0).expand(number, *source.shape),
        "noise": noise,
    }


class _Patches:
    """All patches of a source clip, for exhaustive search with exact distances."""

    def __init__(self, source: ByteClip) -> None:
        self.source = _pixels(source)
        unfolded = _unfold(self.source)
        self.shape = unfolded.shape[:3]
        self.patches = unfolded.reshape(-1, unfolded[0, 0, 0].numel())  # (M, D)
        self.squares = self.patches.square().sum(dim=1)

    def look_up(self, clip: ByteClip, seed: int) -> tuple[float, float]:
        """Mean distance to the nearest patches, and the share of neighbours that lead elsewhere."""
        grid = _unfold(_pixels(clip))
        shape = grid.shape[:3]
        draws = generator("single clip", "places", seed)
        high = [max(1, side - 1) for side in shape]
        base = torch.stack([torch.randint(side, (PLACES,), generator=draws) for side in high], dim=1)  # (P, 3)
        steps = torch.eye(3, dtype=torch.long)
        steps = steps[torch.tensor(shape) > 1]
        places = torch.cat([base, *(base + step for step in steps)])
        found, squared = self._nearest(grid[places[:, 0], places[:, 1], places[:, 2]].flatten(1), places, shape)
        named, apart = found.reshape(-1, PLACES, 3), []
        limits = torch.tensor(self.shape)
        for number, step in enumerate(steps, start=1):
            place = places[number * PLACES : (number + 1) * PLACES]
            there = self._squared(grid, place, torch.minimum(named[0] + step, limits - 1))
            nearest = squared[number * PLACES : (number + 1) * PLACES]
            apart.append(there > nearest * (1 + ROUNDING) + ROUNDING**2)
        return float(squared.sqrt().mean()), float(torch.stack(apart).double().mean())

    def _squared(self, grid: Tensor, places: Tensor, named: Tensor) -> Tensor:
        """Mean squared difference of the patches at `places` of a clip to those at `named` of the source."""
        patches = self.patches[(named[:, 0] * self.shape[1] + named[:, 1]) * self.shape[2] + named[:, 2]]
        return (grid[places[:, 0], places[:, 1], places[:, 2]].flatten(1) - patches).square().mean(dim=1)

    def _nearest(self, queries: Tensor, places: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """The place (N, 3) of the nearest patch and its mean squared difference (N,); the own place wins a tie."""
        numbers = []
        for part in queries.split(BLOCK):
            numbers.append(torch.addmm(self.squares, part, self.patches.T, alpha=-2).argmin(dim=1))
        found = torch.cat(numbers)
        squared = (queries - self.patches[found]).square().mean(dim=1)
        if shape == self.shape:
            own = (places[:, 0] * shape[1] + places[:, 1]) * shape[2] + places[:, 2]
            at_own = (queries - self.patches[own]).square().mean(dim=1)
            found = torch.where(at_own <= squared, own, found)
            squared = torch.minimum(at_own, squared)
        _, h, w = self.shape
        return torch.stack([found // (h * w), found // w % h, found % w], dim=1), squared


def _pixels(clip: ByteClip) -> Tensor:
    return clip.cpu().float().div(255).movedim(1, -1)  # (T, H, W, 3)


def _unfold(pixels: Tensor) -> Tensor:
    """(T, H, W, 3) -> (t, h, w, 3, *PATCH), a view."""
    for axis, side in enumerate(PATCH):
        pixels = pixels.unfold(axis, side, 1)
    return pixels


def _ratios(source: ByteClip, clips: ByteClip) -> dict[str, float | None]:
    """Motion, warp error and sharpness of the clips over those of the source, of the means."""
    names = {"motion_ratio": "motion", "warp_ratio": "warp_error", "sharpness_ratio": "sharpness"}
    if min(*source.shape[-2:], *clips.shape[-2:]) < MIN_SIDE:
        return dict.fromkeys(names)
    measured = Motion(source[None], (source.shape[-2], source.shape[-1])).of(source[None], None)
    sizes = (clips.shape[-2], clips.shape[-1])
    made = [Motion(clip[None], sizes).of(clip[None], None) for clip in clips]
    table: dict[str, float | None] = {}
    for ratio, key in names.items():
        reference = float(np.nanmean(measured[key]))
        table[ratio] = float(np.nanmean([np.nanmean(one[key]) for one in made])) / reference if reference else None
    return table
