"""Shot detection: which segments of a recording become clips. No clip spans a shot change."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
    return _shots(
        _detect_cuts(small, settings),
        still_spans(small) if settings.drop_still else [],
        black_spans(small) if settings.drop_black else [],
        taken,
    )


def _shots(
    detected: Sequence[int],
    still_frames: Sequence[tuple[int, int]],
    black_frames: Sequence[tuple[int, int]],
    taken: Sequence[int],
) -> Shots:
    """Shots in numbers of the frames that were read, from cuts and spans in numbers of the recording."""
    cuts = sorted({cut for cut in (bisect_left(taken, cut) for cut in detected) if 0 < cut < len(taken)})
    still, black = _map_spans(still_frames, taken), _map_spans(black_frames, taken)
    shots = [(start, end) for start, end in zip([0, *cuts], [*cuts, len(taken)], strict=True)]
    spans = _subtract(shots, [*still, *black])
    return Shots(spans, cuts, sum(e - s for s, e in still), sum(e - s for s, e in black))


_BLOCK_FRAMES: Final = 4000
_MARGIN_FRAMES: Final = 200  # detectors look at fewer neighbours; a multiple of TransNetV2's step of 50, as the block


def find_shots_in_blocks(small: Iterable[np.ndarray], taken: Sequence[int], settings: ShotSettings) -> Shots:
    """As `find_shots`, for a recording of any length: only a few thousand frames are in memory.

    Args:
        small: frames (27, 48, 3) uint8, at the frame rate of the source.
        taken, settings: as in `find_shots`.
    """
    cuts: list[int] = []
    still: list[tuple[int, int]] = []
    black: list[tuple[int, int]] = []
    for first, begin, end, frames in _blocks(small):

        def spans(found: Sequence[tuple[int, int]], first: int = first, begin: int = begin, end: int = end) -> Any:
            """The parts of spans that belong to the block, in numbers of the recording."""
            moved = [(max(start + first, begin), min(stop + first, end)) for start, stop in found]
            return [(start, stop) for start, stop in moved if start < stop]

        cuts += [cut + first for cut in _detect_cuts(frames, settings) if begin <= cut + first < end]
        if settings.drop_still:
            still += spans(still_spans(frames))
        if settings.drop_black:
            black += spans(black_spans(frames))
    return _shots(cuts, _joined(still), _joined(black), taken)


def _blocks(small: Iterable[np.ndarray]) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Number of the first frame, first frame and end of the block, and frames (T, 27, 48, 3) with margins around it."""
    buffer: list[np.ndarray] = []
    first, begin = 0, 0
    for frame in small:
        buffer.append(frame)
        if first + len(buffer) == begin + _BLOCK_FRAMES + _MARGIN_FRAMES:
            yield first, begin, begin + _BLOCK_FRAMES, np.stack(buffer)
            begin += _BLOCK_FRAMES
            buffer = buffer[begin - _MARGIN_FRAMES - first :]
            first = begin - _MARGIN_FRAMES
    if buffer and begin < first + len(buffer):
        yield first, begin, first + len(buffer), np.stack(buffer)


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


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
