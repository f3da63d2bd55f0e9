"""Which stretches of a recording become clips: no clip spans a shot change, and still or black ones can be left out."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from vidgan.video.resize import resize_frames
from vidgan.video.shots import black_spans, find_cuts, find_cuts_transnet, still_spans

SMALL: Final = (27, 48)
"""(H, W) of the frames that the detectors look at; the whole picture, squashed."""


@dataclass(frozen=True)
class Cutting:
    """What to look for. `method` is ``"auto"``, ``"off"`` or ``"transnet"``; `threshold` None is the detector's own."""

    method: str
    threshold: float | None
    weights: Path | None
    drop_still: bool
    drop_black: bool

    @property
    def active(self) -> bool:
        """Whether frames have to be looked at."""
        return self.method != "off" or self.drop_still or self.drop_black


class Shots(NamedTuple):
    """What was found in a recording; all numbers count the frames that were taken from it."""

    spans: list[tuple[int, int]]  # the stretches to keep, end exclusive
    cuts: Sequence[int] = ()  # the frames that begin a new shot
    still: int = 0  # frames left out
    black: int = 0


def find_shots(frames: np.ndarray, taken: Sequence[int], cutting: Cutting) -> Shots:
    """Look at all frames of a recording, (T, h, w, 3) uint8, and cut the frames `taken` from it.

    Args:
        frames: at the rate of the source, so that what is found does not depend on how it is resampled.
        taken: for each frame that was taken, its number among `frames`; never decreasing.
    """
    small = resize_frames(frames, SMALL, "squash")  # (T, 27, 48, 3)
    cuts = [bisect_left(taken, cut) for cut in _cuts(small, cutting)]
    cuts = sorted({cut for cut in cuts if 0 < cut < len(taken)})
    still = _taken_spans(still_spans(small), taken) if cutting.drop_still else []
    black = _taken_spans(black_spans(small), taken) if cutting.drop_black else []
    shots = [(start, end) for start, end in zip([0, *cuts], [*cuts, len(taken)], strict=True)]
    spans = _without(shots, [*still, *black])
    return Shots(spans, cuts, sum(e - s for s, e in still), sum(e - s for s, e in black))


def _cuts(small: np.ndarray, cutting: Cutting) -> list[int]:
    if cutting.method == "off":
        return []
    threshold = {} if cutting.threshold is None else {"threshold": cutting.threshold}
    if cutting.method == "transnet":
        assert cutting.weights is not None, "the options were checked"
        return find_cuts_transnet(small, cutting.weights, **threshold)
    return find_cuts(small, **threshold)


def _taken_spans(spans: Sequence[tuple[int, int]], taken: Sequence[int]) -> list[tuple[int, int]]:
    """The same spans, counted in the frames that were taken."""
    return [(bisect_left(taken, start), bisect_left(taken, end)) for start, end in spans]


def _without(shots: Sequence[tuple[int, int]], left_out: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of the shots that lie outside all of the stretches left out."""
    kept = []
    for start, end in shots:
        for first, last in sorted(left_out):
            if first > start and first < end:
                kept.append((start, first))
            if first < end:
                start = max(start, last)
        if start < end:
            kept.append((start, end))
    return kept
