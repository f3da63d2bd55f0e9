"""Index and time arithmetic: when frames are shown and which of them make a clip. No video is touched here."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

__all__ = ["clip_starts", "presentation_times", "resample_indices", "windows"]

# Presentation times are ratios of whole numbers stored as floats: two distances closer than this are a tie.
_TIE_SECONDS = 1e-9


def clip_starts(total: int, frames: int, stride: int = 1) -> range:
    """Every index at which a clip of `frames` frames, `stride` apart, can start within `total` frames.

    Empty where the video is too short. Raises ValueError for a negative total, or for frames or stride below 1.
    """
    _check_count("total", total, least=0)
    _check_count("frames", frames, least=1)
    _check_count("stride", stride, least=1)
    return range(max(0, total - (frames - 1) * stride))


def windows(total: int, length: int, hop: int) -> list[int]:
    """Starts of the windows of `length` frames, `hop` apart from frame 0 on, that lie wholly within `total` frames.

    Raises ValueError for a negative total, or for length or hop below 1.
    """
    _check_count("total", total, least=0)
    _check_count("length", length, least=1)
    _check_count("hop", hop, least=1)
    return list(range(0, total - length + 1, hop))


def resample_indices(pts: Sequence[float], fps: float) -> list[int]:
    """Which frames to show for a steady rate of `fps`: at every tick, the frame that is nearest in time.

    Ticks are pts[0] + k / fps up to the last presentation time. Of two frames that are equally near, the earlier one
    is taken. A rate above the video's own repeats frames, one below it leaves frames out; the first frame always comes
    first.

    Args:
        pts: presentation times in seconds, increasing.
        fps: wanted frames per second, above 0.

    Returns:
        Indices into `pts`, never decreasing; empty for no frames.

    Raises:
        ValueError: the times do not increase, or fps is not a positive number.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a number above 0, got {fps}")
    if any(after <= before for before, after in pairwise(pts)):
        raise ValueError("presentation times must increase")
    if not pts:
        return []
    chosen = []
    nearest = 0
    for k in range(math.floor((pts[-1] - pts[0] + _TIE_SECONDS) * fps) + 1):
        tick = pts[0] + k / fps
        while nearest + 1 < len(pts) and pts[nearest + 1] - tick < tick - pts[nearest] - _TIE_SECONDS:
            nearest += 1
        chosen.append(nearest)
    return chosen


def presentation_times(stamps: Sequence[int | None], time_base: Fraction, rate: Fraction) -> tuple[list[float], int]:
    """Seconds since the first frame, always increasing, from the timestamps of a file.

    Where a timestamp is missing or does not come after the one before, the frame is placed one nominal interval after
    its predecessor, and a clock that went back goes on from there.

    Args:
        stamps: timestamps in presentation order, in units of `time_base`; None where the file gives none.
        time_base: seconds per unit, above 0.
        rate: nominal frames per second, above 0.

    Returns:
        The times, the first 0, and how many of them had to be made up.
    """
    times: list[float] = []
    origin: Fraction | None = None  # timestamp, in seconds, that is second 0
    repaired = 0
    for stamp in stamps:
        expected = times[-1] + float(1 / rate) if times else 0.0
        shown = None if stamp is None else stamp * time_base
        time = expected if shown is None or origin is None else float(shown - origin)
        if shown is None:
            repaired += 1
        elif origin is None or time <= times[-1]:
            repaired += origin is not None
            time = expected
            origin = shown - Fraction(expected)
        times.append(time)
    return times, repaired


def _check_count(name: str, value: int, *, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
