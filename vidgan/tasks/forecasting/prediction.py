"""What users call on a trained Dual Motion GAN: uint8 clips in, uint8 clips out, the same for the same seed."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from vidgan.hub import Pretrained
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.inference import device_of, evaluating
from vidgan.types import ByteClip, Forecast

__all__ = ["Forecaster"]


class Forecaster(Pretrained):
    """Adds `forecast` and `predict` to a Dual Motion GAN (the protocol `vidgan.tasks.base.ForecastModel`)."""

    usage = "future = model.predict(context, horizon=10)"
    forecast_name: ClassVar[str] = "fused P"
    part_names: ClassVar[tuple[str, ...]] = ("warped W", "direct A")

    @property
    def can_sample(self) -> bool:
        """Whether different seeds give different forecasts."""
        model: Any = self
        return bool(model.encoder.probabilistic)

    def forecast(
        self, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
    ) -> Forecast:
        """Forecast with its parts, on the CPU: float32, pixels in [-1, 1], flow in pixels.

        Args:
            context: (B, T, C, H, W) uint8, T of 2 or more.
            horizon: frames to forecast.
            seed: draws the motion code from its posterior; None takes its mean.
            rows: numbers that key each clip's draws; default: its place in the batch.

        Raises:
            ValueError: as `predict`.
        """
        model: Any = self
        if seed is not None and not self.can_sample:
            raise ValueError("this model has one forecast only (model.probabilistic=false): leave seed and samples out")
        draws = None if seed is None else Draws(seed, "forecast", rows=range(len(context)) if rows is None else rows)
        with evaluating(model):
            prediction = model(
                to_float(context.to(device_of(self))),
                horizon=horizon,
                draws=draws,
                decoding=model.decoding,
                implied=False,
            )
        return Forecast(
            frames=prediction.frames.cpu(),
            parts={"warped W": prediction.warped.cpu(), "direct A": prediction.direct.cpu()},
            flow=prediction.flow.cpu(),
        )

    def predict(
        self,
        context: ByteClip,
        horizon: int = 10,
        *,
        samples: int = 1,
        seed: int | None = None,
        rows: Sequence[int] | None = None,
    ) -> ByteClip:
        """Forecast the frames that follow.

        Args:
            context: (B, T, C, H, W) uint8, T of 2 or more, H and W multiples of 16.
            horizon: K, frames to forecast.
            samples: N forecasts; more than one draws the motion code N times.
            seed: of the draws; None with one sample takes the posterior's mean (the best single guess).
            rows: as in `forecast`.

        Returns:
            (B, K, C, H, W) uint8 on the CPU; (N, B, K, C, H, W) for `samples` > 1.

        Raises:
            ValueError: a context that is too short or of an unsuitable size; samples of a model that has none.
        """
        if samples < 1:
            raise ValueError(f"samples must be 1 or more, got {samples}")
        if samples == 1:
            return to_byte(self.forecast(context, horizon, seed=seed, rows=rows).frames)
        first = 0 if seed is None else seed
        drawn = (self.forecast(context, horizon, seed=first + n, rows=rows).frames for n in range(samples))
        return torch.stack([to_byte(frames) for frames in drawn])
