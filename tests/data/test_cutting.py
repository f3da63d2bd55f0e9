"""From shot changes, still and black stretches to the spans that become clips, by hand-made detectors."""

from pathlib import Path

import numpy as np
import pytest

from vidgan.data.preparing import cutting
from vidgan.data.preparing.cutting import Cutting, find_shots

Spans = list[tuple[int, int]]


@pytest.fixture
def detectors(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What the detectors find; and what they were called with."""
    found: dict[str, list] = {"cuts": [], "still": [], "black": [], "calls": []}

    def find(frames: np.ndarray, **options: float) -> list[int]:
        found["calls"].append((frames.shape, options))
        return found["cuts"]

    def find_by_network(frames: np.ndarray, weights: Path, **options: float) -> list[int]:
        found["calls"].append((frames.shape, weights, options))
        return found["cuts"]

    monkeypatch.setattr(cutting, "find_cuts", find)
    monkeypatch.setattr(cutting, "find_cuts_transnet", find_by_network)
    monkeypatch.setattr(cutting, "still_spans", lambda frames: found["still"])
    monkeypatch.setattr(cutting, "black_spans", lambda frames: found["black"])
    return found


def shots(taken: range | list[int], total: int, method: str = "auto", *, still: bool = False, black: bool = False):
    return find_shots(np.zeros((total, 54, 96, 3), np.uint8), taken, Cutting(method, None, None, still, black))


def test_cuts_divide_what_was_taken(detectors: dict[str, list]) -> None:
    detectors["cuts"] = [3, 7]
    assert shots(range(10), 10) == ([(0, 3), (3, 7), (7, 10)], [3, 7], 0, 0)
    # Every third frame: 0 3 6 9; the first taken ones at or after the cuts are 3 and 9.
    assert shots(range(0, 10, 3), 10) == ([(0, 1), (1, 3), (3, 4)], [1, 3], 0, 0)
    # Two cuts between neighbouring frames that were taken are one; one after the last is none.
    detectors["cuts"] = [1, 2, 8]
    assert shots([0, 4, 7], 10) == ([(0, 1), (1, 3)], [1], 0, 0)
    # Repeated frames: the cut is before the first of them.
    detectors["cuts"] = [1]
    assert shots([0, 0, 1, 1, 2], 3) == ([(0, 2), (2, 5)], [2], 0, 0)


def test_stretches_are_left_out(detectors: dict[str, list]) -> None:
    detectors.update(cuts=[6], still=[(2, 4)], black=[(5, 7), (9, 10)])
    assert shots(range(10), 10).spans == [(0, 6), (6, 10)]
    assert shots(range(10), 10, still=True) == ([(0, 2), (4, 6), (6, 10)], [6], 2, 0)
    assert shots(range(10), 10, black=True) == ([(0, 5), (7, 9)], [6], 0, 3)
    both = shots(range(10), 10, still=True, black=True)
    assert both == ([(0, 2), (4, 5), (7, 9)], [6], 2, 3)
    detectors["black"] = [(0, 10)]
    assert shots(range(10), 10, black=True).spans == []
    detectors["black"] = [(1, 8)]  # covers a still stretch and a cut
    assert shots(range(10), 10, still=True, black=True).spans == [(0, 1), (8, 10)]


def test_detectors_get_small_frames_and_their_options(detectors: dict[str, list]) -> None:
    frames = np.zeros((4, 54, 96, 3), np.uint8)
    find_shots(frames, range(4), Cutting("auto", 0.3, None, False, False))
    find_shots(frames, range(4), Cutting("transnet", None, Path("w.pt"), False, False))
    shots(range(4), 4, "off", still=True)
    assert detectors["calls"] == [((4, 27, 48, 3), {"threshold": 0.3}), ((4, 27, 48, 3), Path("w.pt"), {})]
    assert not Cutting("off", None, None, False, False).active
    assert Cutting("off", None, None, False, True).active
