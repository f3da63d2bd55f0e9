"""Flow histograms of clips whose motion is known."""

import numpy as np
import pytest
import torch

from vidgan.metrics.motion_histograms import (
    DIRECTIONS,
    FlowHistograms,
    direction_distance,
    flow_histograms,
    speed_distance,
)


def constant_flow(x: float, y: float):  # type: ignore[no-untyped-def]
    """A flow function that reports motion by (x, y) everywhere, as backward flow (-x, -y)."""
    return lambda now, before: np.stack([np.full(now.shape[:2], -x), np.full(now.shape[:2], -y)]).astype(np.float32)


CLIPS = torch.zeros(2, 4, 3, 16, 16, dtype=torch.uint8)


def histograms(x: float, y: float) -> FlowHistograms:
    return flow_histograms(CLIPS, constant_flow(x, y))


def test_speed_and_direction() -> None:
    found = histograms(3.0, 4.0)
    assert found.speed.shape == (2, 128) and found.direction.shape == (2, DIRECTIONS)
    assert found.speed[0, 20] == 1.0  # 5 px in bins of 0.25
    assert found.direction[1].tolist() == pytest.approx([0, 5.0, 0, 0, 0, 0, 0, 0])  # down and right
    assert histograms(-100.0, 0.0).speed[0, 127] == 1.0
    assert np.flatnonzero(histograms(-1.0, 0.0).direction[0]).tolist() == [4]


def test_distances() -> None:
    slow, fast = histograms(1.0, 0.0), histograms(3.0, 0.0)
    assert speed_distance(fast, slow) == pytest.approx(2.0)
    assert direction_distance(fast, slow) == 0.0
    assert direction_distance(histograms(0.0, 1.0), slow) == pytest.approx(2.0)  # a quarter turn
    assert direction_distance(histograms(-1.0, 0.0), slow) == pytest.approx(4.0)  # opposite
    assert direction_distance(histograms(1.0, -1.0), slow) == pytest.approx(1.0)  # the short way round
    still = histograms(0.0, 0.0)
    assert speed_distance(still, slow) == pytest.approx(1.0)
    assert direction_distance(still, slow) == pytest.approx(2.0)  # a set without motion counts as all directions
    assert direction_distance(still, still) == 0.0


def test_a_reversed_clip() -> None:
    """The flow function reads the motion from brightness, which encodes the x position."""
    clips = (torch.arange(4)[None, :, None, None, None] * 10).expand(2, 4, 3, 16, 16).to(torch.uint8)

    def flow(now: np.ndarray, before: np.ndarray) -> np.ndarray:
        moved = (now.astype(float) - before)[..., 0]
        return np.stack([-moved, np.zeros_like(moved)])

    forward, back = flow_histograms(clips, flow), flow_histograms(clips.flip(1), flow)
    assert speed_distance(forward, back) == 0.0 and direction_distance(forward, back) == pytest.approx(4.0)


def test_rows_can_be_chosen() -> None:
    found = histograms(1.0, 0.0)[np.array([1])]
    assert found.speed.shape == (1, 128) and found.direction.shape == (1, 8)
