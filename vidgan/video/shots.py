"""Detecting cuts between shots, and still or black segments.

Cuts: each frame is predicted from its predecessor by block matching, so that camera and object motion contribute little
to the residual. A cut is a frame whose residual is far above the median of its neighbours, as in the adaptive detectors
of shot segmentation tools. A flash is recognised by the earlier frame returning after it, a dissolve by frames that are
mixtures of the frames before and after it. `find_cuts_transnet` uses a neural network instead.
"""

from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from vidgan.video.resize import resize_frames

__all__ = [
    "BLACK_LEVEL",
    "BLACK_SHARE",
    "CUT_THRESHOLD",
    "STILL_LEVELS",
    "TRANSNET_THRESHOLD",
    "black_spans",
    "find_cuts",
    "find_cuts_transnet",
    "still_spans",
]

CUT_THRESHOLD: Final = 2.3
"""Minimum ratio of a cut's residual to the median of its 16 neighbours. On real clips, cuts had ratios from 2.6 on, and
the fastest hand-held motion and whip pans up to 2.0."""

TRANSNET_THRESHOLD: Final = 0.5
"""Probability above which the authors of TransNet V2 report the end of a shot."""

STILL_LEVELS: Final = 2.0
"""Maximum difference, in grey levels of 255, of any part of a still segment's frames from its first frame. A person
sitting still in front of a fixed camera differs by more."""

BLACK_LEVEL: Final = 25.5
"""Maximum luma of a black pixel, of 255, as in FFmpeg's `blackdetect`."""

BLACK_SHARE: Final = 0.98
"""Minimum share of black pixels in a black frame, as in FFmpeg's `blackdetect`."""

_GRID: Final = (27, 48)  # (H, W) in pixels at which frames are compared
_BLOCK: Final = (9, 8)  # (H, W) in pixels of the grid
_SHIFT: Final = 4  # search range of block matching, pixels of the grid in each direction: a twelfth of the width
_NEIGHBOURS: Final = 8  # frames on each side
# Minimum residual in grey levels: a share of the contrast (standard deviation) of both frames, and at least the noise.
_SHARE_OF_CONTRAST: Final = 0.22
_NOISE: Final = 4.0
_FLASH: Final = 6  # maximum length of a flash in frames
_DISSOLVES: Final = (12, 24)  # lengths in frames at which dissolves are searched
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def find_cuts(frames: np.ndarray, *, threshold: float = CUT_THRESHOLD) -> list[int]:
    """Number of the first frame of every shot except the first; for a dissolve, its middle frame.

    Args:
        frames: (T, h, w, 3) uint8 RGB in presentation order, of any size; compared at 48 x 27 pixels.
        threshold: see `CUT_THRESHOLD`; above 1. Lower values find more cuts and more false ones.

    Returns:
        Increasing frame numbers from 1 to T - 1.

    Raises:
        ValueError: the frames are not (T, h, w, 3) uint8, or the threshold is not above 1.
    """
    if not threshold > 1:
        raise ValueError(f"threshold of a cut must be above 1, got {threshold}")
    small = _small(frames)  # (T, 27, 48, 3)
    if len(small) < 4:
        return []
    residuals = _Residuals(small)
    cuts = [t for t in range(1, len(small)) if residuals.is_cut(t, threshold)]
    bounds = [0, *cuts, len(small)]
    for start, end in pairwise(bounds):
        cuts += [start + middle for middle in _dissolves(small[start:end])]
    return sorted(cuts)


def find_cuts_transnet(frames: np.ndarray, weights: Path | str, threshold: float = TRANSNET_THRESHOLD) -> list[int]:
    """Cuts as in `find_cuts`, detected by TransNet V2 (arXiv:2008.04838) with published weights.

    Args:
        frames: (T, h, w, 3) uint8 RGB of any size; the network sees 48 x 27 pixels.
        weights: PyTorch state dict of the network.
        threshold: probability between 0 and 1; see `TRANSNET_THRESHOLD`.

    Raises:
        ValueError: the frames or the threshold are invalid, or the file is not such a state dict.
    """
    from vidgan.video.transnet import load_transnet, shot_end_probabilities

    if not 0 < threshold < 1:
        raise ValueError(f"threshold of TransNet must be between 0 and 1, got {threshold}")
    small = _small(frames)
    if len(small) < 2:
        return []
    ends = shot_end_probabilities(load_transnet(weights), small) > threshold  # (T,)
    # Consecutive frames mark one gradual transition; the next shot starts after the last of them.
    return [t for t in range(1, len(ends)) if ends[t - 1] and not ends[t]]


def still_spans(frames: np.ndarray, *, levels: float = STILL_LEVELS, least: int = 12) -> list[tuple[int, int]]:
    """Segments without motion: the mean colours of 16 x 9 parts of the frame stay close to the segment's first frame.

    Args:
        frames: (T, h, w, 3) uint8 RGB.
        levels: maximum difference of a part's mean, in grey levels of 255; at least 0.
        least: minimum length of a segment in frames, at least 2.

    Returns:
        (start, end) pairs in order; the end is exclusive.

    Raises:
        ValueError: an argument is invalid.
    """
    if not levels >= 0 or least < 2:
        raise ValueError(f"levels must be at least 0 and least at least 2, got {levels} and {least}")
    small = _small(frames).astype(np.float32)  # (T, 27, 48, 3)
    means = small.reshape(-1, 9, 3, 16, 3, 3).mean((2, 4)).reshape(len(small), -1)  # (T, 9 * 16 * 3)
    spans = []
    start = 0
    for t in range(1, len(means) + 1):
        if t == len(means) or np.abs(means[t] - means[start]).max() > levels:
            if t - start >= least:
                spans.append((start, t))
            start = t
    return spans


def black_spans(
    frames: np.ndarray, *, level: float = BLACK_LEVEL, share: float = BLACK_SHARE, least: int = 1
) -> list[tuple[int, int]]:
    """Segments of black frames.

    Args:
        frames: (T, h, w, 3) uint8 RGB.
        level: maximum luma of a black pixel, of 255.
        share: minimum share of black pixels, above 0 and at most 1.
        least: minimum length of a segment in frames, at least 1.

    Returns:
        (start, end) pairs in order; the end is exclusive.

    Raises:
        ValueError: an argument is invalid.
    """
    if not 0 < share <= 1 or least < 1:
        raise ValueError(f"share must be above 0 and at most 1, and least at least 1, got {share} and {least}")
    luma = _small(frames) @ _LUMA  # (T, 27, 48)
    black = [False, *((luma <= level).mean((1, 2)) >= share), False]  # padded, so that every segment has two edges
    edges = [t for t in range(1, len(black)) if black[t] != black[t - 1]]
    spans = [(start - 1, end - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return [(start, end) for start, end in spans if end - start >= least]


class _Residuals:
    """Block-matching residuals between frames, in grey levels; computed on demand and cached."""

    def __init__(self, small: np.ndarray) -> None:
        planes = np.moveaxis(small, -1, 1).astype(np.float32)  # (T, 3, 27, 48)
        self._planes = planes
        edge = ((0, 0), (0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT))
        self._padded = np.pad(planes, edge, mode="edge")
        luma = small @ _LUMA
        self._contrast = luma.std((1, 2))  # (T,)
        # The difference without motion compensation: a cheap upper bound of the residual.
        self._uncompensated = np.abs(np.diff(planes, axis=0)).mean((1, 2, 3))  # (T - 1,)
        self._cache: dict[tuple[int, int], float] = {}
        height, width = _GRID
        rows, columns = np.divmod(np.arange(height * width), width)
        block = rows // _BLOCK[0] * (width // _BLOCK[1]) + columns // _BLOCK[1]
        self._blocks = (block[:, None] == np.arange(block.max() + 1)).astype(np.float32) / (3 * _BLOCK[0] * _BLOCK[1])

    def is_cut(self, t: int, threshold: float) -> bool:
        """Whether a shot starts at frame t."""
        least = max(_NOISE, _SHARE_OF_CONTRAST * (self._contrast[t - 1] + self._contrast[t]) / 2)
        if self._uncompensated[t - 1] < least:
            return False
        residual = self.between(t - 1, t)
        if residual < least:
            return False
        last = len(self._planes)
        around = [s for s in range(max(1, t - _NEIGHBOURS), min(last, t + _NEIGHBOURS + 1)) if s != t]
        median = float(np.median([self.between(s - 1, s) for s in around]))
        if residual < threshold * (median + 1):  # one level of noise keeps the ratio finite in still segments
            return False
        return not self._is_flash(t, residual)

    def between(self, a: int, b: int) -> float:
        """Mean absolute difference of frame b from frame a, with every block at its best shift."""
        if (a, b) not in self._cache:
            height, width = _GRID
            views = np.lib.stride_tricks.sliding_window_view(self._padded[a], (height, width), axis=(1, 2))
            difference = np.abs(views - self._planes[b][:, None, None]).sum(0)  # (9, 9, 27, 48)
            blocks = difference.reshape(-1, height * width) @ self._blocks  # (81, B)
            self._cache[a, b] = float(blocks.min(0).mean())
        return self._cache[a, b]

    def _is_flash(self, t: int, residual: float) -> bool:
        """Whether frame t-1 reappears soon after t, or frame t appeared soon before."""
        after = range(t + 1, min(t + _FLASH, len(self._planes)))
        before = range(max(0, t - _FLASH), t - 1)
        return any(self.between(t - 1, s) < residual / 2 for s in after) or any(
            self.between(s, t) < residual / 2 for s in before
        )


def _dissolves(small: np.ndarray) -> list[int]:
    """Middle frames of dissolves within a shot (T, 27, 48, 3), where the frames are mixtures of two different ends."""
    flat = small.reshape(len(small), -1).astype(np.float32)  # (T, N)
    candidates: list[tuple[float, int, int]] = []
    for length in _DISSOLVES:
        for start in range(len(flat) - length):
            first, last = flat[start], flat[start + length]
            step = last - first
            size = float(np.abs(step).mean())
            if size < _NOISE * 3 or _correlation(first, last) > 0.75:
                continue
            shares, errors = [], []
            for quarter in (1, 2, 3):
                offset = flat[start + quarter * length // 4] - first
                share = float(offset @ step / (step @ step))
                shares.append(share)
                errors.append(float(np.abs(offset - share * step).mean()) / size)
            mixed = 0.05 < shares[0] < shares[1] - 0.08 < shares[2] - 0.16 < 0.79
            if mixed and max(errors) < 0.2:
                candidates.append((max(errors), start, length))
    middles: list[int] = []
    for _, start, length in sorted(candidates):
        middle = start + length // 2
        if all(abs(middle - other) > max(_DISSOLVES) for other in middles):
            middles.append(middle)
    return middles


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1))


def _small(frames: np.ndarray) -> np.ndarray:
    return resize_frames(frames, _GRID, "squash")
