"""A forecaster as one function with explicit state in and out; the loop over frames stays outside.

    state = zeros
    for frame in context:    _, state = step(observing=True, frame, noises, state)
    for each further frame:  forecast, state = step(observing=False, any frame, noises, state)

All times are therefore free: of the context and of the forecast. To observe more frames after a forecast, take the
state from before it. The state is zero before the first frame. It counts the frames it knows, because the first ones
lack a past: flow needs two, acceleration and hindsight three.

The two halves, `Observing` and `Forecasting`, are exported on their own and then joined.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from vidgan.nn.conv_lstm import ConvLSTMState
from vidgan.nn.warp import warp
from vidgan.pixels import to_byte, to_float
from vidgan.tasks.forecasting.coarse_to_fine import CoarseToFineDualMotion, Memory, Progress
from vidgan.tasks.forecasting.decoding import (
    PRIOR_TRUST,
    agreement,
    displacement_deviation,
    enlarged_noise,
    flow_change,
    noise_shape,
    restore_detail,
)
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.tasks.forecasting.fusion import Evidence
from vidgan.tasks.forecasting.motion_encoder import EncoderState

__all__ = ["ForecastStep", "Forecasting", "Observing", "forecast_step"]

State = dict[str, Tensor]
LSTMS = ("shared", "mean", "logvar")


class ForecastStep(nn.Module, ABC):
    """What both kinds of Dual Motion GAN share.

    Args:
        model: the forecaster; it stays as it is.

    Attributes:
        state_shapes: name -> shape without the batch, in the order of the arguments.
        noise_shapes: name -> shape without the batch of each noise that is given to a step, in the order in which it is
            drawn; zeros give the best single guess.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        height, width = model.image_size
        self.size: tuple[int, int] = (height, width)
        self.code_shape: tuple[int, ...] = (model.encoder.mean.out_channels, height // 16, width // 16)
        self.noise_shapes: dict[str, tuple[int, ...]] = {}
        if model.encoder.probabilistic:
            self.noise_shapes["code_noise"] = self.code_shape
        if model.decoding.motion_spread:
            self.noise_shapes["motion_noise"] = noise_shape(self.size)
        self.state_shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("count", "step"), (1, 1, 1))
        self.state_shapes |= dict.fromkeys(("mean", "logvar"), self.code_shape)
        lstms = LSTMS if model.encoder.probabilistic else LSTMS[:2]
        self.state_shapes |= {f"{lstm}_{part}": self.code_shape for lstm in lstms for part in ConvLSTMState._fields}
        if model.decoding.motion_spread:
            self.state_shapes |= {"change": (1, *self.size), "drift": (2, *self.size)}

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs in order."""
        return ["frame", *self.noise_shapes, *(f"state_{name}" for name in self.state_shapes)]

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Inputs of a step before the first frame: a frame, the noises and the state."""
        shapes = (*self.noise_shapes.values(), *self.state_shapes.values())
        frame = torch.zeros(batch, self.model.channels, *self.size, dtype=torch.uint8)
        return frame, *(torch.zeros(batch, *shape) for shape in shapes)

    @abstractmethod
    def observe(self, frame: Tensor, state: State) -> State:
        """The state after one more true frame (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def forecast(self, noises: State, state: State) -> tuple[Tensor, State]:
        """The next frame (B, 3, H, W) in [-1, 1], and the state after it."""

    def _encoder_state(self, state: State) -> EncoderState:
        parts = [
            ConvLSTMState(state[f"{lstm}_hidden"], state[f"{lstm}_cell"]) if f"{lstm}_hidden" in state else None
            for lstm in LSTMS
        ]
        return EncoderState(*parts)  # type: ignore[arg-type]

    def _encoded(self, encoder_state: EncoderState) -> State:
        return {
            f"{lstm}_{part}": value
            for lstm, maps in zip(LSTMS, encoder_state, strict=True)
            if maps is not None
            for part, value in maps._asdict().items()
        }

    def _code(self, noises: State, state: State) -> Tensor:
        if "code_noise" not in noises:
            return state["mean"]
        return state["mean"] + noises["code_noise"] * torch.exp(state["logvar"] / 2)

    def _drift(self, noises: State, state: State) -> Tensor:
        """The random walk of the velocity, one step further."""
        deviation = self.model.decoding.motion_spread * state["change"]
        return state["drift"] + deviation * enlarged_noise(noises["motion_noise"], self.size)


class PyramidStep(ForecastStep):
    """The forecaster with a motion pyramid."""

    def __init__(self, model: CoarseToFineDualMotion) -> None:
        super().__init__(model)
        frame, flow = (model.channels, *self.size), (2, *self.size)
        self.state_shapes |= {"frame": frame, "earlier": frame}
        self.state_shapes |= dict.fromkeys(("flow", "acceleration", "last", "composed", "steady"), flow)
        widths = [stage[-2].out_channels for stage in model.features.stages]  # type: ignore[index]
        for level, width in enumerate(widths):
            maps = (width, *(side >> (level + 1) for side in self.size))
            self.state_shapes |= {f"now{level}": maps, f"before{level}": maps}
        self.levels = len(widths)
        if model.decoding.hindsight:
            self.state_shapes["trust"] = (1, 1, 1)

    def observe(self, frame: Tensor, state: State) -> State:
        """As `CoarseToFineDualMotion.observe`, with zeros for what is not known yet."""
        model, old, count = self.model, self._memory(state), state["count"]
        now = model.features(frame)
        flow = _where(count > 0, model.estimator(frame, old.frame, now, old.now))
        acceleration = _where(count > 1, flow - warp(old.flow, flow))
        mean, logvar, encoder_state = model.encoder.posterior(model.motion_input(now[3], flow)[:, None], old.state)
        still = torch.zeros_like(flow)
        new = {name: _where(count > 0, value) for name, value in self._encoded(encoder_state).items()}
        new |= {
            "count": count + 1,
            "step": torch.zeros_like(count),
            "mean": mean,
            "logvar": logvar,
            "frame": frame,
            "earlier": _where(count > 0, old.frame, frame),
            "flow": flow,
            "acceleration": acceleration,
            "last": flow,
            "composed": still,
            "steady": still,
        }
        for level, maps in enumerate(now):
            new |= {f"now{level}": maps, f"before{level}": _where(count > 0, old.now[level], maps)}
        if "trust" in state:
            new["trust"] = _where(count > 1, model.trust(old, frame), torch.ones_like(state["trust"]))
        if "drift" in state:
            new |= {"drift": still, "change": flow_change(acceleration, still)}
        return new

    def forecast(self, noises: State, state: State) -> tuple[Tensor, State]:
        """As `CoarseToFineDualMotion.continued`."""
        model, memory, new = self.model, self._memory(state), dict(state)
        drift = None
        if "drift" in state:
            new["drift"] = drift = self._drift(noises, state)
        progress = Progress(
            memory.mean, memory.logvar, memory.state, state["last"], state["composed"], state["steady"], state["step"]
        )  # fmt: skip
        made = model.next_frame(
            memory, progress, self._code(noises, state), drift=drift, hindsight=model.decoding.hindsight
        )
        after = model.after(memory, progress, made)
        assert after.state is not None and after.composed is not None
        new |= self._encoded(after.state)
        new |= {"mean": after.mean, "logvar": after.logvar, "step": state["step"] + 1}
        new |= {"last": after.last, "composed": after.composed, "steady": after.steady}
        return made.fused, new

    def _memory(self, state: State) -> Memory:
        now, before = ([state[f"{name}{level}"] for level in range(self.levels)] for name in ("now", "before"))
        return Memory(
            state["frame"], state["earlier"], now, before, state["flow"], state["acceleration"], state["mean"],
            state["logvar"], self._encoder_state(state), state.get("trust"),
        )  # fmt: skip


class RecurrentStep(ForecastStep):
    """The published structure and its variants, which feed each forecast back."""

    def __init__(self, model: DualMotionGAN) -> None:
        super().__init__(model)
        frame, flow = (model.channels, *self.size), (2, *self.size)
        self.state_shapes |= {"last": frame, "previous": frame, "observed": flow, "earlier": flow}
        encoder: Any = model.encoder
        for level, stage in enumerate(encoder.stages):
            self.state_shapes[f"features{level}"] = (stage[0].out_channels, *(s >> (level + 1) for s in self.size))
        self.levels = len(encoder.stages)
        if model.decoding.hindsight:
            self.state_shapes["trust"] = (1, *self.size)
        if model.decoding.restore_detail:
            self.state_shapes |= {"last_true": frame, "change": (1, *self.size)}

    def observe(self, frame: Tensor, state: State) -> State:
        """As the context of `DualMotionGAN.forward`, with zeros for what is not known yet."""
        model, count = self.model, state["count"]
        observed = _where(count > 0, model.estimator(frame, state["last"]))
        encoding = model.encoder(frame[:, None], self._encoder_state(state))
        new = state | self._encoded(encoding.state)
        new |= {f"features{level}": maps for level, maps in enumerate(encoding.features)}
        new |= {
            "count": count + 1,
            "step": torch.zeros_like(count),
            "mean": encoding.mean,
            "logvar": encoding.logvar,
            "last": frame,
            "previous": _where(count > 0, state["last"], frame),
            "observed": observed,
            "earlier": _where(count > 1, state["observed"], observed),
        }
        if "trust" in state:
            fused, parts = model.decode(state["mean"], self._features(state), self._evidence(state))
            trust = agreement(fused, parts.warped, frame)
            new["trust"] = _where(count > 1, trust, torch.full_like(trust, PRIOR_TRUST))
        if "last_true" in state:
            new["last_true"] = frame
        if "change" in state:
            evidence = self._evidence(new)
            new["change"] = flow_change(evidence.observed, evidence.former)
        if "drift" in state:
            new["drift"] = torch.zeros_like(observed)
        return new

    def forecast(self, noises: State, state: State) -> tuple[Tensor, State]:
        """As one turn of the loop in `DualMotionGAN.forward`, which then takes its own forecast in."""
        model, new, last, step = self.model, dict(state), state["last"], state["step"]
        evidence = self._evidence(state)
        if "drift" in state:
            new["drift"] = drift = self._drift(noises, state)
            evidence = evidence._replace(observed=evidence.observed + drift, former=evidence.former + drift)
        fused, parts = model.decode(self._code(noises, state), self._features(state), evidence)
        frame = fused
        if "trust" in state:
            blended = parts.warped + state["trust"] * (fused - parts.warped)
            frame = _where(step > 0, fused, blended)  # the past informs about the next frame only
        if "last_true" in state:
            deviation = displacement_deviation(state["change"], step + 1)
            frame = restore_detail(frame, last, state["last_true"], deviation, model.decoding.restore_detail)
        encoding = model.encoder(fused[:, None], self._encoder_state(state))
        new |= self._encoded(encoding.state)
        new |= {f"features{level}": maps for level, maps in enumerate(encoding.features)}
        new |= {"mean": encoding.mean, "logvar": encoding.logvar, "step": step + 1, "last": fused, "previous": last}
        if model.extrapolate_flow:
            new["earlier"] = state["observed"]
            if model.fixed_estimator is None:
                new["observed"] = model.estimator(fused, last)
        return frame, new

    def _features(self, state: State) -> list[Tensor]:
        return [state[f"features{level}"] for level in range(self.levels)]

    def _evidence(self, state: State) -> Evidence:
        evidence: Evidence = self.model.evidence(state["last"], state["previous"], state["observed"], state["earlier"])
        return evidence


class _Half(nn.Module):
    """One half of a step as a function of tensors.

    It takes `frame` (B, 3, H, W) uint8, the noises and the state, each (B, *shape) float32, and returns the forecast
    (B, 3, H, W) uint8 and the new state.
    """

    def __init__(self, step: ForecastStep) -> None:
        super().__init__()
        self.step = step

    def _named(self, inputs: tuple[Tensor, ...]) -> tuple[State, State]:
        count = len(self.step.noise_shapes)
        noises = dict(zip(self.step.noise_shapes, inputs[:count], strict=True))
        return noises, dict(zip(self.step.state_shapes, inputs[count:], strict=True))

    def _flat(self, frame: Tensor, state: State) -> tuple[Tensor, ...]:
        """Fresh tensors, as outputs must be."""
        return tuple(value.clone() for value in (frame, *(state[name] for name in self.step.state_shapes)))


class Observing(_Half):
    """Takes a true frame in. The forecast is the frame itself."""

    def forward(self, frame: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """See `_Half`."""
        _, state = self._named(inputs)
        return self._flat(frame, self.step.observe(to_float(frame), state))


class Forecasting(_Half):
    """Forecasts the frame after those known. The given frame is not read."""

    def forward(self, frame: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """See `_Half`."""
        noises, state = self._named(inputs)
        forecast, state = self.step.forecast(noises, state)
        return self._flat(to_byte(forecast), state)


def _where(condition: Tensor, value: Tensor, other: Tensor | None = None) -> Tensor:
    """`value` in the rows (B, 1, 1, 1) where the condition holds, elsewhere `other` or zeros."""
    return torch.where(condition, value, torch.zeros_like(value) if other is None else other)


def forecast_step(model: Any) -> ForecastStep:
    """The step of a Dual Motion GAN of either kind."""
    return PyramidStep(model) if isinstance(model, CoarseToFineDualMotion) else RecurrentStep(model)
