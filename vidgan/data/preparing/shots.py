"""Shot detection: which segments of a recording become clips. No clip spans a shot change."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vidgan.video.resize import resize_frames
from vidgan.video.shots import black_spans, find_cuts, find_cuts_transnet, still_spans

DETECTOR_SIZE: Final = (27, 48)
"""(H, W) of the frames that detectors receive: the full frame, squashed."""


@dataclass(frozen=True)
class ShotSettings:
    """What to detect.

    Attributes:
        method: ``"auto"``, ``"off"`` or ``"transnet"``.
        threshold: of the detector, None for its default.
        weights: file of TransNetV2's weights, for ``"transnet"``.
        drop_still: exclude segments without motion.
        drop_black: exclude black segments.
    """

    method: str
    threshold: float | None
    weights: Path | None
    drop_still: bool
    drop_black: bool

    @property
    def active(self) -> bool:
        """Whether any detector runs."""
        return self.method != "off" or self.drop_still or self.drop_black


@dataclass(frozen=True)
class Shots:
    """The detected shots. All numbers count the frames that were read, after resampling.

    Attributes:
        spans: first frame and end (exclusive) of each segment to keep.
        cuts: first frames of new shots.
        still, black: number of excluded frames.
    """

    spans: list[tuple[int, int]]
    cuts: list[int]
    still: int = 0
    black: int = 0


def find_shots(frames: np.ndarray, taken: Sequence[int], settings: ShotSettings) -> Shots:
    """Detect shots in a recording.

    Args:
        frames: (T, h, w, 3) uint8, at the frame rate of the source, so that the result does not depend on resampling.
        taken: number in `frames` of each frame that was read; never decreasing.
        settings: what to detect.
    """
    small = resize_frames(frames, DETECTOR_SIZE, "squash")  # (T, 27, 48, 3)
    cuts = [bisect_left(taken, cut) for cut in _detect_cuts(small, settings)]
    cuts = sorted({cut for cut in cuts if 0 < cut < len(taken)})
    still = _map_spans(still_spans(small), taken) if settings.drop_still else []
    black = _map_spans(black_spans(small), taken) if settings.drop_black else []
    shots = [(start, end) for start, end in zip([0, *cuts], [*cuts, len(taken)], strict=True)]
    spans = _subtract(shots, [*still, *black])
    return Shots(spans, cuts, sum(e - s for s, e in still), sum(e - s for s, e in black))


def _detect_cuts(small: np.ndarray, settings: ShotSettings) -> list[int]:
    if settings.method == "off":
        return []
    threshold = {} if settings.threshold is None else {"threshold": settings.threshold}
    if settings.method == "transnet":
        assert settings.weights is not None, "checked by Options"
        return find_cuts_transnet(small, settings.weights, **threshold)
    return find_cuts(small, **threshold)


def _map_spans(spans: Sequence[tuple[int, int]], taken: Sequence[int]) -> list[tuple[int, int]]:
    """The same spans in numbers of the frames that were read."""
    return [(bisect_left(taken, start), bisect_left(taken, end)) for start, end in spans]


def _subtract(shots: Sequence[tuple[int, int]], excluded: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of `shots` outside all of `excluded`."""
    kept = []
    for start, end in shots:
        for first, last in sorted(excluded):
            if first > start and first < end:
                kept.append((start, first))
            if first < end:
                start = max(start, last)
        if start < end:
            kept.append((start, end))
    return kept
