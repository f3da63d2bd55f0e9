"""Trust: errors on known frames beside copy-last and the constant-velocity warp."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from vidgan.evaluation.trust import Trust, measure_trust


class Constant:
    """Forecasts grey frames of one level."""

    def __init__(self, level: int) -> None:
        self.level = level

    def predict(self, context: torch.Tensor, horizon: int = 10, **_: Any) -> torch.Tensor:
        return torch.full((len(context), horizon, *context.shape[2:]), self.level, dtype=torch.uint8)


def brightening(count: int) -> torch.Tensor:
    """Frame t is grey of level 10 t."""
    levels = torch.arange(count, dtype=torch.uint8) * 10
    return levels[:, None, None, None].expand(-1, 3, 16, 16).contiguous()


def test_errors_are_means_over_windows_that_span_the_video() -> None:
    model: Any = Constant(50)
    trust = measure_trust(model, brightening(8), context=2, horizon=2, windows=3)
    assert trust is not None and trust.windows == 3
    # Windows start at 0, 2, 4: true levels 20 30, 40 50, 60 70; last frames 10, 30, 50.
    assert trust.forecast == pytest.approx([(900 + 100 + 100) / 3, (400 + 0 + 400) / 3])
    assert trust.copy_last == pytest.approx([100.0, 400.0])
    assert trust.better_until == 0
    assert trust.gain(1)[0] == pytest.approx(10 * math.log10(400 / (800 / 3)))


def test_a_short_video_shortens_the_horizon_or_gives_none() -> None:
    model: Any = Constant(0)
    trust = measure_trust(model, brightening(4), context=3, horizon=5)
    assert trust is not None and len(trust.forecast) == 1 and trust.windows == 1
    assert measure_trust(model, brightening(3), context=3, horizon=5) is None


def test_the_text_names_where_the_forecast_stops_being_better() -> None:
    trust = Trust(4, (1.0, 4.0, 9.0), (10.0, 8.0, 9.0), (2.0, 5.0, 20.0))
    assert trust.better_until == 2
    assert trust.gain(0) == pytest.approx((10.0, 10 * math.log10(2)))
    assert "10.0 dB better than copy-last" in str(trust) and "up to frame 2, not from frame 3 on" in str(trust)
    exact = Trust(1, (0.0,), (1.0,), (0.0,))
    assert exact.gain(0) == (math.inf, 0.0) and exact.better_until == 0
    assert Trust(1, (0.5,), (1.0,), (2.0,)).as_json() == {
        "windows": 1, "better_until": 1, "mse": {"forecast": [0.5], "copy_last": [1.0], "warp": [2.0]},
    }  # fmt: skip
    assert np.isfinite(trust.gain(1)).all()
