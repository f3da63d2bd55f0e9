"""Memorisation check: the training window that is closest to a generated clip.

Distances are root mean squared differences at 16x16, RGB in [0, 1], as in ``nearest_clip``. Windows at every start
frame are compared, and their mirror images, because a copy that begins one frame later is still a copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange

from vidgan.metrics.clip_statistics import POOLED, pool_frames
from vidgan.metrics.content import check_clips
from vidgan.types import ByteClip

DEFINITIONS = {
    "nearest_training": "root mean squared difference to the nearest training window of the same length, at any start,"
    f" as it is or mirrored, at {POOLED}x{POOLED}, RGB in [0, 1], mean over clips; 0 is a copy",
    "copy_ratio": "nearest_training of the generated clips over that of held-out real clips: about 1 or above: as far"
    " from the training clips as unseen ones are; well below 1: the model repeats what it saw",
}


@dataclass(frozen=True)
class Neighbour:
    """The closest window so far."""

    distance: float  # +inf before the first comparison
    video: str
    frames: tuple[int, ...]  # frame numbers in the video
    mirrored: bool


class NearestWindows:
    """Search for the closest window to each clip, one video at a time; `nearest` holds the result.

    Args:
        clips: (N, T, 3, H, W) uint8, T >= 3.
    """

    def __init__(self, clips: ByteClip) -> None:
        check_clips(clips)
        both = torch.cat([clips, clips.flip(-1)])  # mirroring the clip is as good as mirroring the window
        self.length = clips.shape[1]
        self._frames = pool_frames(rearrange(both, "n t c h w -> (n t) c h w"))  # (2N*T, D)
        self._squares = (self._frames**2).sum(axis=1)  # (2N*T,)
        self.nearest = [Neighbour(float("inf"), "", (), False)] * len(clips)

    def compare(self, video: str, numbers: Sequence[int], frames: ByteClip, windows: Sequence[Sequence[int]]) -> None:
        """Compare all clips with windows of one video.

        Args:
            video: name of the video.
            numbers: frame numbers of ``frames``, increasing.
            frames: (F, 3, H, W) uint8.
            windows: T frame numbers each.
        """
        pooled = pool_frames(frames)  # (F, D)
        products = self._frames @ pooled.T  # (2N*T, F)
        squared = self._squares[:, None] + (pooled**2).sum(axis=1) - 2 * products
        by_frame = squared.reshape(-1, self.length, len(pooled))  # (2N, T, F)
        columns = np.searchsorted(numbers, np.asarray(windows))  # (W, T)
        total = by_frame[:, np.arange(self.length), columns].sum(axis=2)  # (2N, W)
        for row, best in enumerate(total.argmin(axis=1)):
            distance = float(np.sqrt(max(0.0, total[row, best]) / (self.length * pooled.shape[1])))
            clip = row % len(self.nearest)
            if distance < self.nearest[clip].distance:
                self.nearest[clip] = Neighbour(distance, video, tuple(windows[best]), row >= len(self.nearest))
