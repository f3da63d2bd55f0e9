"""Index and time arithmetic: presentation times, and which frames form a clip. No video is read here."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

from vidgan.errors import VideoError

__all__ = ["MAX_GAP_SECONDS", "check_gaps", "clip_starts", "presentation_times", "resample_indices"]

MAX_GAP_SECONDS: Final = 10.0
"""Longest pause between two frames that resampling to a constant rate fills with copies."""

# Presentation times are ratios of integers stored as floats. Distances that differ by less than this are equal.
_TIE_SECONDS = 1e-9


def clip_starts(total: int, frames: int, stride: int = 1) -> range:
    """Every start of a clip of `frames` frames, `stride` apart, in a video of `total` frames.

    Empty if the video is too short.

    Raises:
        ValueError: a negative total, or frames or stride below 1.
    """
    _check_count("total", total, least=0)
    _check_count("frames", frames, least=1)
    _check_count("stride", stride, least=1)
    return range(max(0, total - (frames - 1) * stride))


def resample_indices(pts: Sequence[float], fps: float) -> list[int]:
    """Resample to a constant rate: for every tick, the frame nearest in time.

    Ticks are pts[0] + k / fps up to the last presentation time. The earlier of two equally distant frames is
    chosen. A rate above the video's repeats frames, a lower one drops frames. The result starts with the first frame.

    Args:
        pts: presentation times in seconds, increasing.
        fps: target frames per second, above 0.

    Returns:
        Non-decreasing indices into `pts`; empty if `pts` is empty.

    Raises:
        ValueError: the times do not increase, or fps is not a positive number.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number, got {fps}")
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
    """Strictly increasing times from the timestamps of a file, in seconds since the first frame.

    A frame without a timestamp, or with one that is not later than its predecessor's, is placed one nominal interval
    after its predecessor. If the clock was set back, later times are shifted accordingly.

    Args:
        stamps: timestamps in presentation order, in units of `time_base`; None where missing.
        time_base: seconds per unit, above 0.
        rate: nominal frames per second, above 0.

    Returns:
        The times, starting with 0, and the number of repaired ones.
    """
    times: list[float] = []
    origin: Fraction | None = None  # timestamp of time 0, in seconds
    repaired = 0
    for stamp in stamps:
        expected = times[-1] + float(1 / rate) if times else 0.0
        seconds = None if stamp is None else stamp * time_base
        time = expected if seconds is None or origin is None else float(seconds - origin)
        if seconds is None:
            repaired += 1
        elif origin is None or time <= times[-1]:
            repaired += origin is not None
            time = expected
            origin = seconds - Fraction(expected)
        times.append(time)
    return times, repaired


def check_gaps(path: Path, times: Sequence[float]) -> None:
    """Raise VideoError for a pause that a constant frame rate would fill with more than `MAX_GAP_SECONDS` of copies.

    A single damaged timestamp could otherwise cause hours of copies.
    """
    for before, after in pairwise(times):
        if after - before > MAX_GAP_SECONDS:
            detail = (
                f"no new frame for {after - before:.1f} s after {before:.1f} s; a constant rate fills at most "
                f"{MAX_GAP_SECONDS:.0f} s with copies. Read at its own rate, or cut there, the file is accepted"
            )
            raise VideoError(path, "time-gap", detail)


def _check_count(name: str, value: int, *, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
