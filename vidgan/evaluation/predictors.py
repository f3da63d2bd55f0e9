"""A forecasting model and the baselines as named functions of a context and a horizon."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from vidgan.evaluation.baselines import ConstantVelocityWarp, copy_last, linear_extrapolation, mean_context
from vidgan.evaluation.measure import Predictor, Sampler
from vidgan.evaluation.summary import COPY_LAST
from vidgan.pixels import to_byte
from vidgan.tasks.base import ForecastModel
from vidgan.types import ByteClip, Forecast
from vidgan.video.optical_flow import default_method, estimate_flow

MULTIPLE = 16  # pixels; frame sides are padded to multiples, which suits networks of up to four halvings
# (a model with `side_multiple` has its own)


def model_predictors(model: ForecastModel, *, brief: bool = False) -> dict[str, Predictor]:
    """The forecast, its parts and the baselines by row name; `brief`: only the forecast and copy-last."""
    parts = _Parts(model)
    predictors: dict[str, Predictor] = {model.forecast_name: parts.predictor(None), COPY_LAST: copy_last}
    if brief:
        return predictors
    flow = partial(estimate_flow, method=default_method())
    return predictors | {
        "constant-velocity warp": ConstantVelocityWarp(flow),
        "constant-velocity, carried": ConstantVelocityWarp(flow, carry=True),
        "linear extrapolation": linear_extrapolation,
        "context mean": mean_context,
        **{name: parts.predictor(name) for name in model.part_names},
    }


def sampled_name(model: ForecastModel) -> str:
    """Row name of a model's samples: `sampled P` for a forecast named `fused P`."""
    return f"sampled {model.forecast_name.rpartition(' ')[2]}"


def model_samplers(model: ForecastModel, samples: int, seed: int) -> dict[str, Sampler]:
    """The stochastic forecast by row name; empty for a single sample. The number of a window keys its draws."""
    if samples == 1:
        return {}

    def sample(context: ByteClip, horizon: int, rows: Sequence[int]) -> ByteClip:
        forecasts = [
            model.predict(_pad(clips, model), horizon, samples=samples, seed=seed, rows=numbers)
            for clips, numbers in _batches(model, context, rows)
        ]
        height, width = context.shape[-2:]
        return torch.cat(forecasts, dim=1)[..., :height, :width]  # (N, B, K, C, H, W)

    return {sampled_name(model): sample}


class _Parts:
    """The parts of a forecast as predictors. The network runs once for all parts of the same windows."""

    def __init__(self, model: ForecastModel) -> None:
        self.model = model
        self._latest: tuple[ByteClip, int, Forecast] | None = None

    def predictor(self, part: str | None) -> Predictor:
        """The predictor that returns one part; None: the forecast itself."""

        def predict(context: ByteClip, horizon: int) -> ByteClip:
            if self._latest is None or self._latest[0] is not context or self._latest[1] != horizon:
                batches = [forecast_any_size(self.model, clips, horizon) for clips, _ in _batches(self.model, context)]
                self._latest = context, horizon, join_forecasts(batches, dim=0)
            forecast = self._latest[2]
            return to_byte(forecast.frames if part is None else forecast.parts[part])

        return predict


def forecast_any_size(
    model: ForecastModel, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
) -> Forecast:
    """`ForecastModel.forecast` for frames of any size: the context is padded, and all parts are cropped back."""
    height, width = context.shape[-2:]
    forecast = model.forecast(_pad(context, model), horizon, seed=seed, rows=rows)
    return Forecast(
        frames=forecast.frames[..., :height, :width],
        parts={name: part[..., :height, :width] for name, part in forecast.parts.items()},
        flow=None if forecast.flow is None else forecast.flow[..., :height, :width],
    )


def join_forecasts(forecasts: Sequence[Forecast], *, dim: int) -> Forecast:
    """Concatenate forecasts along the batch (0) or time (1)."""
    first = forecasts[0]
    return Forecast(
        frames=torch.cat([one.frames for one in forecasts], dim=dim),
        parts={name: torch.cat([one.parts[name] for one in forecasts], dim=dim) for name in first.parts},
        flow=None
        if first.flow is None
        else torch.cat([one.flow for one in forecasts if one.flow is not None], dim=dim),
    )


def _batches(
    model: ForecastModel, context: ByteClip, rows: Sequence[int] = ()
) -> Iterator[tuple[ByteClip, Sequence[int]]]:
    """Split a batch into single clips on a CPU, where rounding depends on the batch size."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    size = len(context) if weight is not None and weight.device.type != "cpu" else 1
    for first in range(0, len(context), size):
        yield context[first : first + size], rows[first : first + size]


def _pad(frames: ByteClip, model: ForecastModel) -> ByteClip:
    """Repeat the lower and right border up to sides that are multiples of `MULTIPLE`, or of the model's own number."""
    multiple = getattr(model, "side_multiple", MULTIPLE)
    down, right = (-side % multiple for side in frames.shape[-2:])
    if not (down or right):
        return frames
    batch = len(frames)
    flat = rearrange(frames, "b t c h w -> (b t) c h w").float()
    padded = F.pad(flat, (0, right, 0, down), mode="replicate").to(torch.uint8)
    return rearrange(padded, "(b t) c h w -> b t c h w", b=batch)
