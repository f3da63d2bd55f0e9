"""Does a reconstruction move with its clip, or is it a still image that only looks close?

Most pixels of a clip are background. A reconstruction that repeats one frame can therefore have a high PSNR. Every
reconstruction is compared with two still ones: the best single frame of the clip repeated, and the mean of its frames.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vidgan.metrics.values import finite_or_none
from vidgan.types import ByteClip

__all__ = ["MIN_CORRELATION", "MIN_ENERGY_RATIO", "STILL_ENERGY", "Reconstruction", "reconstruction_scores"]

MIN_ENERGY_RATIO = 0.25  # of the motion energy of the clip, below which a reconstruction is frozen
MIN_CORRELATION = 0.3  # of temporal differences, below which the motion is not that of the clip
GRID = 16  # squares along the shorter side, in which motion is compared
STILL_ENERGY = 0.1 / 255  # mean absolute difference of neighbouring frames, below which the clip itself is still


@dataclass(frozen=True)
class Reconstruction:
    """How a reconstruction compares with its clip.

    PSNR is that of the whole clip: one mean squared error over all frames.

    Attributes:
        psnr: of the reconstruction, dB; +inf if it is exact.
        best_frame_psnr: of the frame of the clip whose repetition is closest to the clip, dB; +inf for a still clip.
        mean_frame_psnr: of the mean of the frames, repeated and rounded to grey levels, dB.
        energy_ratio: mean absolute difference of neighbouring frames, over that of the clip; NaN for a still clip.
        correlation: Pearson correlation of the temporal differences of both, averaged over squares of a sixteenth of
            the shorter side, so that an object that is displaced by a pixel still counts; 0 where the reconstruction is
            still, NaN for a still clip.
    """

    psnr: float
    best_frame_psnr: float
    mean_frame_psnr: float
    energy_ratio: float
    correlation: float

    @property
    def is_frozen(self) -> bool:
        """Whether the clip moves and the reconstruction does not follow it.

        True below `MIN_ENERGY_RATIO` or `MIN_CORRELATION`, and where the best repeated frame is closer.
        """
        if np.isnan(self.energy_ratio):
            return False
        follows = self.energy_ratio >= MIN_ENERGY_RATIO and self.correlation >= MIN_CORRELATION
        return not follows or self.psnr <= self.best_frame_psnr

    def to_json(self) -> dict[str, Any]:
        """The numbers, null where infinite or undefined, and `frozen`."""
        return {name: finite_or_none(value) for name, value in asdict(self).items()} | {"frozen": self.is_frozen}


def reconstruction_scores(reconstruction: ByteClip, clip: ByteClip) -> Reconstruction:
    """Compare a reconstruction with its clip, (T, C, H, W) uint8 each, T of 2 or more.

    Raises:
        ValueError: other shapes or dtypes.
    """
    for name, frames in (("reconstruction", reconstruction), ("clip", clip)):
        if frames.dtype != torch.uint8 or frames.ndim != 4 or len(frames) < 2:
            raise ValueError(f"the {name} must be uint8 (T, C, H, W) with T of 2 or more, got {tuple(frames.shape)}")
    if reconstruction.shape != clip.shape:
        raise ValueError(f"the shapes differ: {tuple(reconstruction.shape)} and {tuple(clip.shape)}")
    pixels, true = reconstruction.cpu().double() / 255, clip.cpu().double() / 255
    still = [_psnr(frame.expand_as(true), true) for frame in true]
    mean = (true.mean(dim=0) * 255).round() / 255
    moves, true_moves = pixels.diff(dim=0), true.diff(dim=0)
    energy, true_energy = float(moves.abs().mean()), float(true_moves.abs().mean())
    is_still = true_energy < STILL_ENERGY
    return Reconstruction(
        psnr=_psnr(pixels, true),
        best_frame_psnr=max(still),
        mean_frame_psnr=_psnr(mean.expand_as(true), true),
        energy_ratio=float("nan") if is_still else energy / true_energy,
        correlation=float("nan") if is_still else _correlation(_pooled(moves), _pooled(true_moves)),
    )


def _psnr(pixels: torch.Tensor, true: torch.Tensor) -> float:
    error = float((pixels - true).square().mean())
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def _pooled(moves: torch.Tensor) -> torch.Tensor:
    """Averages over squares of a sixteenth of the shorter side of (T-1, C, H, W)."""
    side = max(1, min(moves.shape[-2:]) // GRID)
    return F.avg_pool2d(moves, side) if side > 1 else moves


def _correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Pearson correlation of all numbers; 0 where one of them is constant."""
    first, second = first - first.mean(), second - second.mean()
    size = float((first.square().sum() * second.square().sum()).sqrt())
    return 0.0 if size == 0 else float((first * second).sum()) / size
