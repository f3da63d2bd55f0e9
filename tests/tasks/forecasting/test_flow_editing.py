"""Edited flow: a square of exactly known motion moves as far as its scaled flow says, and leaves no ghost."""

from typing import Any

import pytest
import torch

from vidgan.pixels import to_byte, to_float
from vidgan.tasks.forecasting.flow_editing import edit_flow, moving_region
from vidgan.types import ByteClip, Forecast

STEP, HORIZON = 3, 3


def square_at(x: int) -> ByteClip:
    """A bright square, 8x8, on a dark background, (3, 32, 48)."""
    frame = torch.full((3, 32, 48), 20, dtype=torch.uint8)
    frame[:, 12:20, x : x + 8] = 220
    return frame


class Exact:
    """A forecaster that knows the future of the square."""

    def forecast(self, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Any = None) -> Forecast:
        places = [20 + STEP * (k + 1) for k in range(horizon)]
        flow = torch.zeros(1, horizon, 2, 32, 48)
        for k, x in enumerate(places):
            flow[0, k, 0, 12:20, x : x + 8] = -STEP
        frames = to_float(torch.stack([square_at(x) for x in places]))[None]
        return Forecast(frames=frames, parts={}, flow=flow)


@pytest.fixture
def context() -> ByteClip:
    return torch.stack([square_at(20 - STEP), square_at(20)])[None]


def place(frame: torch.Tensor) -> float:
    """Mean column of the bright pixels."""
    return float(torch.nonzero(to_byte(frame)[0] > 120)[:, 1].float().mean()) - 3.5


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0, -1.0])
def test_displacements_scale(context: ByteClip, scale: float) -> None:
    edited = edit_flow(Exact(), context, HORIZON, scale=scale)
    for k in range(HORIZON):
        assert place(edited.frames[0, k]) == pytest.approx(20 + scale * STEP * (k + 1), abs=0.3)
        bright = (to_byte(edited.frames[0, k])[0] > 60).sum()
        assert 64 <= bright <= 100, "one square and its soft edge, no ghost at the place where it would have been"
    assert edited.flow is not None
    assert float(edited.flow[0, 0, 0, 16, 24 + round(scale * STEP)]) == pytest.approx(-scale * STEP, abs=0.1)
    assert torch.equal(edited.parts["unedited"], Exact().forecast(context, HORIZON).frames)


def test_the_moving_region_is_where_the_square_is_now(context: ByteClip) -> None:
    region = moving_region(Exact().forecast(context, 1))[0]
    assert bool(region[12:20, 20:28].all()) and float(region.sum()) <= 10 * 10


def test_outside_a_given_region_nothing_changes(context: ByteClip) -> None:
    region = torch.zeros(32, 48)
    region[:8, :8] = 1  # still background
    edited = edit_flow(Exact(), context, HORIZON, scale=0.0, region=region)
    unedited = Exact().forecast(context, HORIZON).frames
    assert torch.equal(edited.frames[..., 11:, 20:], unedited[..., 11:, 20:])
    assert (edited.frames - unedited).abs().max() < 0.02


def test_refusals(context: ByteClip) -> None:
    with pytest.raises(ValueError, match="region"):
        edit_flow(Exact(), context, 1, region=torch.zeros(8, 8))

    class Flowless(Exact):
        def forecast(self, *arguments: Any, **options: Any) -> Forecast:
            return super().forecast(*arguments, **options)._replace(flow=None)

    with pytest.raises(ValueError, match="no flow"):
        edit_flow(Flowless(), context, 1)
