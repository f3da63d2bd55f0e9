"""Where one shot ends and the next begins, and stretches in which there is nothing to learn from.

A change of shot is a frame that cannot be put together from the one before, by far more than its neighbours: frames are
compared block by block at the best shift, so that camera and object motion count little (block matching, as in motion
estimation), and the rest is held against the median of the surrounding rests (as the adaptive detectors of shot
segmentation tools do). A flash is told by the picture that comes back after it, a dissolve by pictures that are
mixtures of what lies before and behind. `find_cuts_transnet` asks a network instead.
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
"""How many times the median of its 16 neighbours the change at a cut is at least. On real clips, cuts gave 2.6 and
more, the fastest hand-held motion and whip pans 2.0 and less."""

TRANSNET_THRESHOLD: Final = 0.5
"""The probability from which the authors of TransNet V2 count a shot as ended."""

STILL_LEVELS: Final = 2.0
"""Levels (of 255) by which no part of a still picture moves away from the first of its stretch. A person who sits
still before a fixed camera moves more."""

BLACK_LEVEL: Final = 25.5
BLACK_SHARE: Final = 0.98
"""A frame is black where this share of its pixels is no brighter than `BLACK_LEVEL`: FFmpeg's `blackdetect`."""

_GRID: Final = (27, 48)  # (H, W) in pixels at which pictures are compared
_BLOCK: Final = (9, 8)
_SHIFT: Final = 4  # pixels of the grid by which blocks are looked for, each way: a twelfth of the width
_NEIGHBOURS: Final = 8  # on either side
# The least change, in levels: a share of the contrast (standard deviation) of both pictures, and no less than noise.
_SHARE_OF_CONTRAST: Final = 0.22
_NOISE: Final = 4.0
_FLASH: Final = 6  # frames after which the picture before a flash is back
_DISSOLVES: Final = (12, 24)  # frames that a dissolve is looked for over
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def find_cuts(frames: np.ndarray, *, threshold: float = CUT_THRESHOLD) -> list[int]:
    """The first frame of every shot but the first; of a dissolve, its middle.

    Args:
        frames: (T, h, w, 3) uint8 RGB in presentation order, of any size; 48 x 27 is what is looked at.
        threshold: see `CUT_THRESHOLD`; above 1. Lower finds more and errs more.

    Returns:
        Frame numbers, increasing, from 1 to T - 1.

    Raises:
        ValueError: the frames are not (T, h, w, 3) uint8, or the threshold is not above 1.
    """
    if not threshold > 1:
        raise ValueError(f"a cut threshold must be above 1, got {threshold}")
    small = _small(frames)  # (T, 27, 48, 3)
    if len(small) < 4:
        return []
    changes = _Changes(small)
    cuts = [t for t in range(1, len(small)) if changes.is_cut(t, threshold)]
    bounds = [0, *cuts, len(small)]
    for start, end in pairwise(bounds):
        cuts += [start + middle for middle in _dissolves(small[start:end])]
    return sorted(cuts)


def find_cuts_transnet(frames: np.ndarray, weights: Path | str, threshold: float = TRANSNET_THRESHOLD) -> list[int]:
    """As `find_cuts`, found by TransNet V2 (arXiv:2008.04838) with published weights.

    Args:
        frames: (T, h, w, 3) uint8 RGB of any size; the network looks at 48 x 27.
        weights: PyTorch state dict of the network.
        threshold: probability, above 0 and below 1; see `TRANSNET_THRESHOLD`.

    Raises:
        ValueError: the frames or the threshold are not valid, or the file is not such a state dict.
    """
    from vidgan.video.transnet import load_transnet, shot_end_probabilities

    if not 0 < threshold < 1:
        raise ValueError(f"a TransNet threshold lies between 0 and 1, got {threshold}")
    small = _small(frames)
    if len(small) < 2:
        return []
    ends = shot_end_probabilities(load_transnet(weights), small) > threshold  # (T,)
    # Several frames in a row mark one gradual change: the next shot starts after the last of them.
    return [t for t in range(1, len(ends)) if ends[t - 1] and not ends[t]]


def still_spans(frames: np.ndarray, *, levels: float = STILL_LEVELS, least: int = 12) -> list[tuple[int, int]]:
    """Stretches in which the picture stands still: no part of it, of 16 x 9, moves away from the stretch's first frame.

    Args:
        frames: (T, h, w, 3) uint8 RGB.
        levels: the most that a part's mean may differ, of 255; 0 or more.
        least: frames of the shortest stretch, at least 2.

    Returns:
        (start, end) pairs in order, the end not included.

    Raises:
        ValueError: an argument is not valid.
    """
    if not levels >= 0 or least < 2:
        raise ValueError(f"levels must be 0 or more and least 2 or more, got {levels} and {least}")
    small = _small(frames).astype(np.float32)  # (T, 27, 48, 3)
    means = small.reshape(-1, 9, 3, 16, 3, 3).mean((2, 4)).reshape(len(small), -1)  # (T, 9 16 3)
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
    """Stretches of black frames, as (start, end) pairs in order, the end not included.

    Args:
        frames: (T, h, w, 3) uint8 RGB.
        level: the brightest luma (of 255) that is black.
        share: of the pixels that must be black, above 0 to 1.
        least: frames of the shortest stretch, at least 1.

    Raises:
        ValueError: an argument is not valid.
    """
    if not 0 < share <= 1 or least < 1:
        raise ValueError(f"share must be above 0 and at most 1, least 1 or more, got {share} and {least}")
    luma = _small(frames) @ _LUMA  # (T, 27, 48)
    black = [False, *((luma <= level).mean((1, 2)) >= share), False]  # with an edge on either side
    edges = [t for t in range(1, len(black)) if black[t] != black[t - 1]]
    spans = [(start - 1, end - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return [(start, end) for start, end in spans if end - start >= least]


class _Changes:
    """How much of a frame cannot be found in an earlier one, in levels; worked out where it is asked for."""

    def __init__(self, small: np.ndarray) -> None:
        planes = np.moveaxis(small, -1, 1).astype(np.float32)  # (T, 3, 27, 48)
        self._planes = planes
        edge = ((0, 0), (0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT))
        self._padded = np.pad(planes, edge, mode="edge")
        luma = small @ _LUMA
        self._contrast = luma.std((1, 2))  # (T,)
        # Not compensated, this bounds the change from above and is quick.
        self._plain = np.abs(np.diff(planes, axis=0)).mean((1, 2, 3))  # (T - 1,)
        self._known: dict[tuple[int, int], float] = {}
        height, width = _GRID
        rows, columns = np.divmod(np.arange(height * width), width)
        block = rows // _BLOCK[0] * (width // _BLOCK[1]) + columns // _BLOCK[1]
        self._blocks = (block[:, None] == np.arange(block.max() + 1)).astype(np.float32) / (3 * _BLOCK[0] * _BLOCK[1])

    def is_cut(self, t: int, threshold: float) -> bool:
        """Whether a shot starts with frame t."""
        least = max(_NOISE, _SHARE_OF_CONTRAST * (self._contrast[t - 1] + self._contrast[t]) / 2)
        if self._plain[t - 1] < least:
            return False
        change = self.between(t - 1, t)
        if change < least:
            return False
        last = len(self._planes)
        around = [s for s in range(max(1, t - _NEIGHBOURS), min(last, t + _NEIGHBOURS + 1)) if s != t]
        usual = float(np.median([self.between(s - 1, s) for s in around]))
        if change < threshold * (usual + 1):  # one level of noise, so that a still picture has no infinite ratio
            return False
        return not self._is_flash(t, change)

    def between(self, a: int, b: int) -> float:
        """Mean difference of frame b from frame a, every block at its best shift."""
        if (a, b) not in self._known:
            height, width = _GRID
            views = np.lib.stride_tricks.sliding_window_view(self._padded[a], (height, width), axis=(1, 2))
            rest = np.abs(views - self._planes[b][:, None, None]).sum(0)  # (9, 9, 27, 48)
            blocks = rest.reshape(-1, height * width) @ self._blocks  # (81, B)
            self._known[a, b] = float(blocks.min(0).mean())
        return self._known[a, b]

    def _is_flash(self, t: int, change: float) -> bool:
        """Whether the picture from before t is back soon after, or what comes at t was there soon before."""
        after = range(t + 1, min(t + _FLASH, len(self._planes)))
        before = range(max(0, t - _FLASH), t - 1)
        return any(self.between(t - 1, s) < change / 2 for s in after) or any(
            self.between(s, t) < change / 2 for s in before
        )


def _dissolves(small: np.ndarray) -> list[int]:
    """Middles of dissolves within one shot (T, 27, 48, 3): pictures in between are mixtures of two unlike ends."""
    flat = small.reshape(len(small), -1).astype(np.float32)  # (T, N)
    found: list[tuple[float, int, int]] = []
    for length in _DISSOLVES:
        for start in range(len(flat) - length):
            first, last = flat[start], flat[start + length]
            step = last - first
            size = float(np.abs(step).mean())
            if size < _NOISE * 3 or _correlation(first, last) > 0.75:
                continue
            shares, rests = [], []
            for quarter in (1, 2, 3):
                offset = flat[start + quarter * length // 4] - first
                share = float(offset @ step / (step @ step))
                shares.append(share)
                rests.append(float(np.abs(offset - share * step).mean()) / size)
            mixed = 0.05 < shares[0] < shares[1] - 0.08 < shares[2] - 0.16 < 0.79
            if mixed and max(rests) < 0.2:
                found.append((max(rests), start, length))
    middles: list[int] = []
    for _, start, length in sorted(found):
        middle = start + length // 2
        if all(abs(middle - other) > max(_DISSOLVES) for other in middles):
            middles.append(middle)
    return middles


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1))


def _small(frames: np.ndarray) -> np.ndarray:
    return resize_frames(frames, _GRID, "squash")
