"""Shot changes, still and black segments to the spans of clips, with fake detectors."""

from pathlib import Path

import numpy as np
import pytest

from vidgan.data.preparing import shots as shots_module
from vidgan.data.preparing.shots import Shots, ShotSettings, find_shots

Spans = list[tuple[int, int]]


@pytest.fixture
def detectors(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """The results of the fake detectors, and the arguments of their calls."""
    results: dict[str, list] = {"cuts": [], "still": [], "black": [], "calls": []}

    def find(frames: np.ndarray, **options: float) -> list[int]:
        results["calls"].append((frames.shape, options))
        return results["cuts"]

    def find_by_network(frames: np.ndarray, weights: Path, **options: float) -> list[int]:
        results["calls"].append((frames.shape, weights, options))
        return results["cuts"]

    monkeypatch.setattr(shots_module, "find_cuts", find)
    monkeypatch.setattr(shots_module, "find_cuts_transnet", find_by_network)
    monkeypatch.setattr(shots_module, "still_spans", lambda frames: results["still"])
    monkeypatch.setattr(shots_module, "black_spans", lambda frames: results["black"])
    return results


def shots(
    taken: range | list[int], total: int, method: str = "auto", *, still: bool = False, black: bool = False
) -> Shots:
    return find_shots(np.zeros((total, 54, 96, 3), np.uint8), taken, ShotSettings(method, None, None, still, black))


def test_cuts_are_mapped_to_the_frames_that_were_read(detectors: dict[str, list]) -> None:
    detectors["cuts"] = [3, 7]
    assert shots(range(10), 10) == Shots([(0, 3), (3, 7), (7, 10)], [3, 7], 0, 0)
    # Every third frame: 0 3 6 9; the first of these at or after the cuts are 3 and 9.
    assert shots(range(0, 10, 3), 10) == Shots([(0, 1), (1, 3), (3, 4)], [1, 3], 0, 0)
    # Two cuts between neighbouring frames become one; a cut after the last frame disappears.
    detectors["cuts"] = [1, 2, 8]
    assert shots([0, 4, 7], 10) == Shots([(0, 1), (1, 3)], [1], 0, 0)
    # Repeated frames: the cut is before the first of them.
    detectors["cuts"] = [1]
    assert shots([0, 0, 1, 1, 2], 3) == Shots([(0, 2), (2, 5)], [2], 0, 0)


def test_still_and_black_segments_are_excluded(detectors: dict[str, list]) -> None:
    detectors.update(cuts=[6], still=[(2, 4)], black=[(5, 7), (9, 10)])
    assert shots(range(10), 10).spans == [(0, 6), (6, 10)]
    assert shots(range(10), 10, still=True) == Shots([(0, 2), (4, 6), (6, 10)], [6], 2, 0)
    assert shots(range(10), 10, black=True) == Shots([(0, 5), (7, 9)], [6], 0, 3)
    both = shots(range(10), 10, still=True, black=True)
    assert both == Shots([(0, 2), (4, 5), (7, 9)], [6], 2, 3)
    detectors["black"] = [(0, 10)]
    assert shots(range(10), 10, black=True).spans == []
    detectors["black"] = [(1, 8)]  # contains a still segment and a cut
    assert shots(range(10), 10, still=True, black=True).spans == [(0, 1), (8, 10)]


def test_detectors_receive_small_frames_and_their_options(detectors: dict[str, list]) -> None:
    frames = np.zeros((4, 54, 96, 3), np.uint8)
    find_shots(frames, range(4), ShotSettings("auto", 0.3, None, False, False))
    find_shots(frames, range(4), ShotSettings("transnet", None, Path("w.pt"), False, False))
    shots(range(4), 4, "off", still=True)
    assert detectors["calls"] == [((4, 27, 48, 3), {"threshold": 0.3}), ((4, 27, 48, 3), Path("w.pt"), {})]
    assert not ShotSettings("off", None, None, False, False).active
    assert ShotSettings("off", None, None, False, True).active
