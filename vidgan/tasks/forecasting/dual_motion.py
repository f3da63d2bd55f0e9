"""Dual Motion GAN's generator (Liang, Lee, Dai, Xing, ICCV 2017, arXiv 1708.00284): forecasts frames and their flow.

From the context I_1..I_t, in the notation of the paper::

    z ~ N(mean, exp(logvar))     motion encoder E, one Gaussian per cell of a 1/16 grid
    A  = G_I(z)                  frame generator, the "direct" prediction
    f  = G_F(z)                  flow generator
    W  = warp(I_t, f)            the last frame, warped
    f' = Q(A, I_t)               the flow that A implies: couples G_I to motion
    P  = fuse(A, W)              the forecast

The paper's body was not at hand, so widths, kernels and the estimator are this project's. Four switches lead from the
published structure (decode from z alone, 1x1 fusion) to one that forecasts better; see `DualMotionGAN`.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

from vidgan.nn.recompute import recompute
from vidgan.nn.warp import resize_flow, warp
from vidgan.sections import OwnPart
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.coarse_to_fine import CoarseToFineConfig, CoarseToFineDualMotion
from vidgan.tasks.forecasting.config import DualMotionConfig, GeneratorConfig
from vidgan.tasks.forecasting.decoding import PRIOR_TRUST, Decoding, DecodingRun, agreement
from vidgan.tasks.forecasting.flow_estimator import ESTIMATORS, soft_limit
from vidgan.tasks.forecasting.fusion import FUSIONS, Evidence, Parts
from vidgan.tasks.forecasting.motion_decoder import MotionDecoder
from vidgan.tasks.forecasting.motion_encoder import MotionEncoder, check_call, require_multiple
from vidgan.tasks.forecasting.prediction import Forecaster
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.types import Clip, Flow, Prediction

__all__ = ["DualMotionGAN", "build_dual_motion", "build_generator"]

RGB = 3


class DualMotionGAN(nn.Module, Forecaster):
    """Forecasts the frames that follow a context of two frames or more, of any length.

    The published structure is ``skip_connections=False, extrapolate_flow=False, residual_frame=False`` with the
    estimator "hourglass" and the fusion "conv". It must carry all appearance through a 1/16 grid, so its frames are
    blurred. The other settings lift that limit.

    Args:
        encoder: the motion encoder E.
        estimator: Q, see `vidgan.tasks.forecasting.flow_estimator` for the protocol.
        frame_generator: G_I, from the code (and skips) to 3 channels.
        flow_generator: G_F, from the code (and skips) to 2 channels.
        fusion: see `vidgan.tasks.forecasting.fusion` for the protocol.
        image_size: (H, W) that the model is trained for, multiples of 16. The networks are convolutional and take any
            other multiple of 16 as well.
        channels: of a frame.
        max_flow: pixels; limit of the flow generator's output.
        skip_connections: give both generators the encoder's features of the last frame, and that frame itself.
        extrapolate_flow: estimate the flow between the last two frames by Q and let G_F predict a correction to its
            continuation at constant velocity. Skipped features are warped by it before use.
        motion_hints: give both generators, warped like the features, the change of the observed flow since the frame
            before (acceleration) and what it failed to explain in the last frame (covered and uncovered ground, edges
            between pixels).
        residual_frame: G_I predicts a correction to the last frame (warped, with ``extrapolate_flow``), not pixels.
        reads_earlier_motion: whether the flow before the last one is estimated too.
        decoding: what `forecast` and `predict` do beyond the network's output.
        checkpoint_activations: encoder, decoders and estimator run again in the backward pass instead of keeping their
            activations: several times less memory for about a third more time, the same gradients to rounding.

    Raises:
        ValueError: a size that is not a multiple of 16.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        estimator: nn.Module,
        frame_generator: nn.Module,
        flow_generator: nn.Module,
        fusion: nn.Module,
        image_size: tuple[int, int],
        channels: int = RGB,
        max_flow: float,
        skip_connections: bool,
        extrapolate_flow: bool,
        motion_hints: bool,
        residual_frame: bool,
        reads_earlier_motion: bool,
        decoding: Decoding = Decoding(),
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        require_multiple(*image_size)
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.max_flow = max_flow
        self.skip_connections = skip_connections
        self.extrapolate_flow = extrapolate_flow
        self.motion_hints = motion_hints
        self.residual_frame = residual_frame
        self.reads_earlier_motion = reads_earlier_motion
        self.decoding = decoding
        self.checkpoint_activations = checkpoint_activations
        self.encoder = encoder
        self.estimator = estimator
        self.frame_generator = frame_generator
        self.flow_generator = flow_generator
        self.fusion = fusion

    @property
    def fixed_estimator(self) -> nn.Module | None:
        """Q, if it has nothing to learn and refines a given start."""
        return self.estimator if getattr(self.estimator, "accepts_start", False) else None

    def forward(
        self,
        context: Clip,
        *,
        horizon: int = 1,
        draws: Draws | None = None,
        flow: Flow | None = None,
        decoding: Decoding = Decoding(),
        implied: bool = True,
    ) -> Prediction:
        """Forecast ``horizon`` frames; each is fed back as if it had been observed.

        A Q that learns also reads the forecasts. With a fixed one the flow of the last two true frames continues
        instead: errors of a forecast's own flow, or of flow estimated between blurred frames, would add up.

        Args:
            context: (B, T, C, H, W) in [-1, 1], T >= 2, H and W multiples of 16.
            horizon: K >= 1.
            draws: noise of the motion code, one row per clip, a fresh draw for every step; other draws give another
                forecast. None takes the posterior mean: always the same forecast, and the only one of a model that is
                not probabilistic.
            flow: (B, S, 2, H, W), Q's estimates between the last frames of the context, newest last, if known already,
                S of 1 or more.
            decoding: what is done to each returned frame; what is fed back stays as it is.
            implied: estimate the flow that A implies, which only training needs; zero otherwise.

        Returns:
            A `Prediction` with K steps, float32. All its fields depend on the context only.

        Raises:
            ValueError: a shape or horizon outside these limits.
        """
        check_call(context, horizon, draws, channels=self.channels)
        previous, last = context[:, -2], context[:, -1]
        observed, earlier, before = self._flows(
            context, flow, 3 if decoding.hindsight else 1 + self.reads_earlier_motion
        )
        first_observed, trust = observed, None
        if decoding.hindsight and context.shape[1] > 2:
            known = self.encoder(context[:, :-1])
            trust = self._trust(context, known.mean, known.features, earlier, before)
            encoding = self.encoder(last[:, None], known.state)
        else:
            encoding = self.encoder(context)
            if decoding.hindsight:
                trust = context.new_tensor(PRIOR_TRUST)
        run = DecodingRun(decoding, context=context, draws=draws, trust=trust)
        steps: list[tuple[Tensor, ...]] = []
        for step in range(horizon):
            if step > 0:
                encoding = self.encoder(last[:, None], encoding.state)
                if self.extrapolate_flow:
                    earlier = observed
                    if self.fixed_estimator is None:
                        observed = self._run(self.estimator, last, previous)
            code = encoding.mean
            if draws is not None and self.encoder.probabilistic:
                noise = draws.normal(*code.shape[1:]).to(code)
                code = code + noise * torch.exp(encoding.logvar / 2)  # reparameterised
            evidence = run.move(self.evidence(last, previous, observed, earlier))
            fused, parts = self.decode(code, encoding.features, evidence)
            # A fixed Q needs no search here: the flow that A implies is close to what A was made from.
            start = () if self.fixed_estimator is None else (parts.flow.detach(),)
            implied_flow = torch.zeros_like(parts.flow)
            if implied:
                implied_flow = self._run(self.estimator, parts.direct, last, *start)  # f' = Q(A, I_t)
            frame = run.finish(fused, parts.warped, last, step)
            steps.append((frame, parts.warped, parts.direct, parts.flow, implied_flow, encoding.mean, encoding.logvar))
            previous, last = last, fused
        fields = [torch.stack(values, dim=1) for values in zip(*steps, strict=True)]  # each (B, K, ...)
        return Prediction(*(*fields, first_observed[:, None]))

    def decode(self, code: Tensor, features: Sequence[Tensor], evidence: Evidence) -> tuple[Tensor, Parts]:
        """One step: P and what it was made from."""
        base_flow = evidence.observed if self.extrapolate_flow else None
        base_frame = evidence.last if base_flow is None else warp(evidence.last, base_flow)
        skips = self._skips(features, base_frame, base_flow, self._hints(evidence)) if self.skip_connections else []

        correction = soft_limit(self._run(self.flow_generator, code, skips), self.max_flow)
        flow = correction if base_flow is None else base_flow + correction  # f = G_F(z)
        pixels = self._run(self.frame_generator, code, skips)  # A = G_I(z)
        direct = (base_frame + soft_limit(pixels, 2.0)).clamp(-1, 1) if self.residual_frame else torch.tanh(pixels)
        parts = Parts(direct=direct, warped=warp(evidence.last, flow), flow=flow, evidence=evidence)
        return self._run(self.fusion, parts), parts  # P

    def _flows(self, context: Tensor, flow: Tensor | None, count: int) -> list[Tensor]:
        """Q's last three flows, newest first; those beyond `count` or the context repeat the one after them."""
        flows = [] if flow is None else list(flow.unbind(dim=1))[::-1][:count]
        for age in range(len(flows), min(count, context.shape[1] - 1)):
            flows.append(self._run(self.estimator, context[:, -1 - age], context[:, -2 - age]))
        return flows + [flows[-1]] * max(0, 3 - len(flows))

    @torch.no_grad()
    def _trust(
        self, context: Tensor, code: Tensor, features: Sequence[Tensor], observed: Tensor, earlier: Tensor
    ) -> Tensor:
        """How much of P would have been right about the last frame, from those before it, (B, 1, H, W)."""
        evidence = self.evidence(context[:, -2], context[:, -3], observed, earlier)
        fused, parts = self.decode(code, features, evidence)
        return agreement(fused.float(), parts.warped.float(), context[:, -1])

    def compilable_parts(self) -> list[nn.Module]:
        """The parts that are functions of tensors alone, which torch.compile can take whole.

        Least squares are left out: unrolled they are hundreds of small steps, and compiling them takes many minutes.
        """
        estimator = [] if self.fixed_estimator is not None else [self.estimator]
        encoder: Any = self.encoder
        return [encoder.stages, *estimator, self.flow_generator, self.frame_generator, self.fusion]

    def _run(self, part: nn.Module, *inputs: Any) -> Any:
        """A part of the network, with or without its activations kept for the backward pass."""
        return recompute(part, *inputs) if self.checkpoint_activations else part(*inputs)

    def evidence(self, last: Tensor, previous: Tensor, observed: Tensor, earlier: Tensor) -> Evidence:
        """What was observed; without earlier motion as if the observed flow explained everything."""
        if not self.reads_earlier_motion:
            return Evidence(last, previous, observed, observed, torch.zeros_like(last))
        unexplained = warp(last - warp(previous, observed), observed)
        return Evidence(last, previous, observed, warp(earlier, observed), unexplained)

    def _hints(self, evidence: Evidence) -> Tensor:
        """What is known of the motion, (B, 2 or 4 + C, H, W): see `motion_hints` of the constructor."""
        flow = evidence.observed / self.max_flow
        if not self.motion_hints:
            return flow
        # In whole pixels, not in shares of the limit: an acceleration is small beside the velocity.
        acceleration = soft_limit(evidence.observed - evidence.former, self.max_flow)
        return torch.cat([flow, acceleration, evidence.unexplained], dim=1)

    def _skips(
        self, features: Sequence[Tensor], base_frame: Tensor, base_flow: Tensor | None, hints: Tensor
    ) -> list[Tensor]:
        """Features of the last frame, coarse to fine, then the frame; warped if there is a flow to warp them by."""
        if base_flow is None:
            return [*reversed(features), base_frame]
        skips = []
        for feature in reversed(features):
            size = (feature.shape[-2], feature.shape[-1])
            moved = warp(feature, resize_flow(base_flow, size))
            skips.append(torch.cat([moved, F.interpolate(hints, size=size, mode="area")], dim=1))
        return [*skips, torch.cat([base_frame, hints], dim=1)]

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> Any:
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError, ValueError: the description is damaged or of another version.
        """
        height, width = architecture["image_size"]
        config: DualMotionConfig | CoarseToFineConfig = TypeAdapter(GeneratorConfig).validate_python(
            architecture["model"]
        )
        return build_generator(config, image_size=(height, width))


def build_generator(
    config: DualMotionConfig | CoarseToFineConfig, *, image_size: tuple[int, int]
) -> DualMotionGAN | CoarseToFineDualMotion:
    """The generator of either kind from the config section `model`; see `build_dual_motion`."""
    if isinstance(config, CoarseToFineConfig):
        return CoarseToFineDualMotion(config, image_size=image_size)
    return build_dual_motion(config, image_size=image_size)


def build_dual_motion(config: DualMotionConfig, *, image_size: tuple[int, int]) -> DualMotionGAN:
    """Dual Motion GAN from its config.

    Weights are drawn from torch's global generator: encoder, estimator, frame generator, flow generator, fusion.

    Args:
        config: the section `model`.
        image_size: (H, W) of the data's frames.

    Raises:
        ValueError, ConfigError: the config does not fit the frame size, or an own part breaks its protocol.
    """
    hints = (4 + RGB if config.motion_hints else 2) if config.extrapolate_flow else 0
    skip_channels = [width + hints for width in (*reversed(config.widths), RGB)] if config.skip_connections else [0] * 5
    decoder: dict[str, Any] = {"dim_latent": config.dim_latent, "widths": config.widths, "skip_channels": skip_channels}
    model = DualMotionGAN(
        encoder=MotionEncoder(
            channels=RGB,
            widths=config.widths,
            dim_latent=config.dim_latent,
            checkpoint_activations=config.checkpoint_activations,
            probabilistic=config.probabilistic,
        ),
        estimator=_build_estimator(config, image_size),
        frame_generator=MotionDecoder(**decoder, out_channels=RGB),
        flow_generator=MotionDecoder(**decoder, out_channels=2),
        fusion=_build_fusion(config, image_size),
        image_size=image_size,
        max_flow=config.max_flow,
        skip_connections=config.skip_connections,
        extrapolate_flow=config.extrapolate_flow,
        motion_hints=config.motion_hints,
        residual_frame=config.residual_frame,
        reads_earlier_motion=config.reads_earlier_motion,
        decoding=Decoding(**config.decoding.model_dump()),
        checkpoint_activations=config.checkpoint_activations,
    )
    model.architecture = {"model": config.model_dump(mode="json"), "image_size": list(image_size)}
    return model


def _build_estimator(config: DualMotionConfig, image_size: tuple[int, int]) -> nn.Module:
    given: dict[str, Any] = {"channels": RGB, "max_flow": config.max_flow}
    if not isinstance(config.estimator, OwnPart):
        return ESTIMATORS[type(config.estimator)](**given, **config.estimator.model_dump(exclude={"kind"}))
    estimator = build_own(config.estimator, "model.estimator", given)
    frames = torch.zeros(2, RGB, *image_size)
    require_output(
        "model.estimator",
        estimator,
        lambda network: {"flow": network(frames, frames)},
        f"current and previous {tuple(frames.shape)}",
        {"flow": (2, 2, *image_size)},
    )
    return estimator


def _build_fusion(config: DualMotionConfig, image_size: tuple[int, int]) -> nn.Module:
    given: dict[str, Any] = {"channels": RGB, "max_flow": config.max_flow}
    if not isinstance(config.fusion, OwnPart):
        return FUSIONS[type(config.fusion)](**given)
    fusion = build_own(config.fusion, "model.fusion", given)
    frame, flow = torch.zeros(2, RGB, *image_size), torch.zeros(2, 2, *image_size)
    parts = Parts(frame, frame, flow, Evidence(frame, frame, flow, flow, frame))
    require_output(
        "model.fusion",
        fusion,
        lambda network: {"P": network(parts)},
        f"Parts of frames {tuple(frame.shape)} and flows {tuple(flow.shape)}",
        {"P": tuple(frame.shape)},
    )
    return fusion
