"""The training window that a clip is nearest to: whether a generator repeats what it saw.

Distances are root mean squared differences at 16x16, RGB in [0, 1], the space of ``nearest_clip``. Windows at every
start are compared, and their mirror images: a copy that begins a frame later is still a copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from vidgan.metrics.clip_statistics import POOLED, pool_frames
from vidgan.metrics.content import check_clips
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]

DEFINITIONS = {
    "nearest_training": "root mean squared difference to the nearest training window of the same length, at any start,"
    f" as it is or mirrored, at {POOLED}x{POOLED}, RGB in [0, 1], mean over clips; 0 is a copy",
    "copy_ratio": "nearest_training of the generated clips over that of held-out real clips: about 1 or above: as far"
    " from the training clips as unseen ones are; well below 1: the model repeats what it saw",
}


@dataclass(frozen=True)
class Neighbour:
    """The nearest window found so far."""

    distance: float
    video: str  # "" before any was seen
    frames: tuple[int, ...]
    mirrored: bool


class NearestWindows:
    """Finds the nearest window of each clip among videos that are shown one after another.

    Args:
        clips: (N, T, 3, H, W) uint8, T >= 3.
    """

    def __init__(self, clips: ByteClip) -> None:
        check_clips(clips)
        both = torch.cat([clips, clips.flip(-1)])  # a mirrored window is as far from a clip as it is from the mirror
        self.length = clips.shape[1]
        self._frames = pool_frames(both.flatten(0, 1))  # (2N*T, D)
        self._squares = (self._frames**2).sum(axis=1)  # (2N*T,)
        self.found = [Neighbour(float("inf"), "", (), False)] * len(clips)

    def look(self, video: str, numbers: Sequence[int], frames: ByteClip, windows: Sequence[Sequence[int]]) -> None:
        """Compare with windows of one video.

        Args:
            video: its name.
            numbers: of the frames that are given, rising.
            frames: (F, 3, H, W) uint8.
            windows: T frame numbers each.
        """
        shown = pool_frames(frames)  # (F, D)
        products = self._frames @ shown.T  # (2N*T, F)
        squared = self._squares[:, None] + (shown**2).sum(axis=1) - 2 * products
        apart = squared.reshape(-1, self.length, len(shown))  # (2N, T, F)
        places = np.searchsorted(numbers, np.asarray(windows))  # (W, T)
        total = apart[:, np.arange(self.length), places].sum(axis=2)  # (2N, W)
        for row, best in enumerate(total.argmin(axis=1)):
            distance = float(np.sqrt(max(0.0, total[row, best]) / (self.length * shown.shape[1])))
            clip = row % len(self.found)
            if distance < self.found[clip].distance:
                self.found[clip] = Neighbour(distance, video, tuple(windows[best]), row >= len(self.found))
