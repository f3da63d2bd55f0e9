"""Dual Motion GAN's generator (Liang, Lee, Dai, Xing, ICCV 2017, arXiv 1708.00284): forecasts frames and their flow.

From the context I_1..I_t, in the notation of the paper::

    z ~ N(mean, exp(logvar))     motion encoder E, one Gaussian per cell of a 1/16 grid
    A  = G_I(z)                  frame generator, the "direct" prediction
    f  = G_F(z)                  flow generator
    W  = warp(I_t, f)            the last frame, moved
    f' = Q(A, I_t)               the flow that A implies: couples G_I to motion
    P  = fuse(A, W)              the forecast

The paper's body was not at hand, so widths, kernels and the estimator are this project's. Four switches lead from the
published structure (decode from z alone, 1x1 fusion) to one that forecasts better; see `DualMotionGAN`.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import require_choice
from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.nn.recompute import recompute
from vidgan.nn.warp import resize_flow, warp
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.flow_estimator import ESTIMATORS, build_estimator, soft_limit
from vidgan.tasks.forecasting.fusion import FUSIONS, NO_HINDSIGHT, Parts, hindsight, restore_detail
from vidgan.tasks.forecasting.motion_decoder import MotionDecoder
from vidgan.tasks.forecasting.motion_encoder import Encoding, MotionEncoder, require_multiple
from vidgan.tasks.forecasting.motion_uncertainty import MotionDrift, flow_change, strayed
from vidgan.tasks.forecasting.prediction import Forecaster
from vidgan.types import Clip, Flow, Prediction

__all__ = ["DualMotionGAN"]


class DualMotionGAN(nn.Module, Forecaster):
    """Forecasts the frames that follow a context of two frames or more, of any length.

    The published structure is ``skip_connections=False, extrapolate_flow=False, residual_frame=False, fusion="conv",
    estimator="hourglass"``. It must carry all appearance through a 1/16 grid, so its frames are blurred. The defaults
    lift that limit.

    Args:
        image_size: (H, W) that the model is trained for, multiples of 16. The networks are convolutional and take any
            other multiple of 16 as well.
        channels: of a frame.
        widths: channels of the encoder at strides 2, 4, 8, 16. The decoders mirror them.
        dim_latent: D, channels of the motion code and of the ConvLSTMs.
        skip_connections: give both generators the encoder's features of the last frame, and that frame itself.
        extrapolate_flow: estimate the flow between the last two frames by Q and let G_F predict what to add to its
            continuation at constant velocity. Skipped features are moved by it before use.
        motion_hints: show both generators, moved along like the features, how the observed flow has changed since the
            frame before (acceleration) and what it failed to explain in the last frame (covered and uncovered ground,
            edges between pixels). Needs the two switches above.
        residual_frame: G_I predicts what to add to the last frame (moved, with ``extrapolate_flow``), not pixels.
        fusion: "conv" (1x1 convolution over A and W), "mask" (occlusion-aware convex blend of them) or "blend" (convex
            blend of them and of other rules of motion; needs ``extrapolate_flow``), see `vidgan.tasks.forecasting.fusion`.
        hindsight: in eval mode, hold P of the next frame to W as far as a forecast of the last frame would have been
            better so, place by place: see `vidgan.tasks.forecasting.fusion.hindsight`. What is fed back goes without.
        restore_detail: share of the detail lost to interpolation and blending that P is shown with (0 for none of it),
            see `vidgan.tasks.forecasting.fusion.restore_detail`. What is fed back goes without: errors would be sharpened as well.
        motion_spread: in eval mode, drawn futures differ in their motion as well, which goes on changing so many times
            as strongly as it was last seen to: see `vidgan.tasks.forecasting.motion_uncertainty`.
        max_flow: pixels; limit of every flow that a network puts out (of the correction, with ``extrapolate_flow``).
        estimator: Q, "hourglass", "pyramid" (coarse to fine, made for motion of many pixels) or "lucas_kanade" (nothing
            to learn: better where training drives are few, but slower).
        estimator_widths: channels of a learned Q: hourglass four, outermost first; pyramid one a level, finest first.
            None for 32 in each of four.
        norm: "group", "none", "instance", "pixel" or "batch". Batch norm makes the rows of a batch mix.
        checkpoint_activations: encoder, decoders and estimator run again in the backward pass instead of keeping their
            activations: several times less memory for about a third more time, the same gradients to rounding. Not with
            batch norm.
        probabilistic: False makes the encoder a plain one: its code is a point, and there is one future only.

    Raises:
        ValueError: a size that is no multiple of 16, or an unknown name.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        dim_latent: int = 512,
        skip_connections: bool = True,
        extrapolate_flow: bool = True,
        motion_hints: bool = False,
        residual_frame: bool = True,
        fusion: str = "mask",
        hindsight: bool = False,
        restore_detail: float = 0.0,
        motion_spread: float = 0.0,
        max_flow: float = 20.0,
        estimator: str = "pyramid",
        estimator_widths: Sequence[int] | None = None,
        norm: str = "group",
        checkpoint_activations: bool = False,
        probabilistic: bool = True,
    ) -> None:
        super().__init__()
        require_multiple(*image_size)
        if len(widths) != 4:
            raise ValueError(f"widths: the encoder has 4 stages, got {len(widths)} widths")
        require_choice("fusion", fusion, FUSIONS)
        if fusion == "blend" and not extrapolate_flow:
            raise ValueError("fusion='blend' needs extrapolate_flow: it blends what the observed flow leads to")
        require_choice("estimator", estimator, ESTIMATORS)
        if estimator == "lucas_kanade" and estimator_widths is not None:
            raise ValueError("estimator_widths has no effect on estimator='lucas_kanade'; remove it")
        if motion_hints and not (skip_connections and extrapolate_flow):
            raise ValueError("motion_hints: needs skip_connections and extrapolate_flow, which carry the hints")
        if motion_spread < 0 or (motion_spread and not (probabilistic and (motion_hints or fusion == "blend"))):
            raise ValueError("motion_spread: 0 or more; it needs probabilistic, and motion_hints or fusion='blend'")
        if not 0 <= restore_detail <= 1:
            raise ValueError(f"restore_detail: a share between 0 and 1, got {restore_detail}")
        if max_flow <= 0:
            raise ValueError(f"max_flow: must be positive (pixels), got {max_flow}")
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.dim_latent = dim_latent
        self.max_flow = max_flow
        self.skip_connections = skip_connections
        self.extrapolate_flow = extrapolate_flow
        self.motion_hints = motion_hints
        self.residual_frame = residual_frame
        self.hindsight = hindsight
        self.restore_detail = restore_detail
        self.motion_spread = motion_spread
        self.looks_back = motion_hints or fusion == "blend"
        self.checkpoint_activations = checkpoint_activations
        self.encoder = MotionEncoder(
            channels=channels,
            widths=widths,
            dim_latent=dim_latent,
            norm=norm,
            checkpoint_activations=checkpoint_activations,
            probabilistic=probabilistic,
        )
        self.estimator = build_estimator(
            estimator, channels=channels, widths=estimator_widths or (32, 32, 32, 32), max_flow=max_flow, norm=norm
        )
        extra = (4 + channels if motion_hints else 2) if extrapolate_flow else 0
        skip_channels = [width + extra for width in (*reversed(widths), channels)] if skip_connections else [0] * 5
        self.frame_generator = MotionDecoder(
            dim_latent=dim_latent, widths=widths, out_channels=channels, skip_channels=skip_channels, norm=norm
        )
        self.flow_generator = MotionDecoder(
            dim_latent=dim_latent, widths=widths, out_channels=2, skip_channels=skip_channels, norm=norm
        )
        self.fusion = FUSIONS[fusion](channels=channels, max_flow=max_flow)

    @property
    def fixed_estimator(self) -> LucasKanadeEstimator | None:
        """Q, where it has nothing to learn."""
        return self.estimator if isinstance(self.estimator, LucasKanadeEstimator) else None

    @property
    def _looks_twice(self) -> bool:
        """Training goes without hindsight: P is to be taught where it is wrong too, not only where it is trusted."""
        return self.hindsight and not self.training

    def estimate_flow(self, current: Tensor, previous: Tensor) -> Tensor:
        """Q for evaluation: frames (B, C, H, W) in [-1, 1] -> backward flow (B, 2, H, W) in pixels.

        To train Q use ``Prediction.observed_flow`` and ``implied_flow``, which come out of `forward`.
        """
        return self.estimator(current, previous)

    def forward(
        self, context: Clip, *, horizon: int = 1, draws: Draws | None = None, flow: Flow | None = None
    ) -> Prediction:
        """Forecast ``horizon`` frames; each is fed back as if it had been seen.

        A Q that learns sees the forecasts too. With a fixed one the flow of the last two true frames goes on instead:
        errors of a forecast's own flow, or of what is seen between blurred frames, would add up.

        Args:
            context: (B, T, C, H, W) in [-1, 1], T >= 2, H and W multiples of 16.
            horizon: K >= 1.
            draws: noise of the motion code, rows as in the context, a fresh draw for every step; other draws give
                another future. None takes the posterior mean: the same future every time, and the only one of a model
                that is not probabilistic.
            flow: (B, S, 2, H, W), what Q sees between the last frames of the context, newest last, as far as it is
                known already, S of 1 or more.

        Returns:
            A `Prediction` with K steps, float32. All its fields depend on the context only.

        Raises:
            ValueError: a shape or horizon outside these limits.
        """
        self._check(context, horizon, draws)
        previous, last = context[:, -2], context[:, -1]
        observed, earlier, before = self._flows(context, flow)
        first_observed, trust = observed, context.new_tensor(NO_HINDSIGHT)
        if self._looks_twice and context.shape[1] > 2:
            known = self.encoder(context[:, :-1])
            trust = self._hindsight(context, known, earlier, before)
            encoding = self.encoder(last[:, None], known.state)
        else:
            encoding = self.encoder(context)
        drift: MotionDrift | None = None
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
            seen = self._seen(last, previous, observed, earlier)
            if step == 0:
                change = flow_change(observed, seen[3])
            if draws is not None and self.motion_spread and not self.training:
                drift = drift or MotionDrift(draws, self.motion_spread * change)
                moved = drift.step()
                seen = (*seen[:2], seen[2] + moved, seen[3] + moved, seen[4])
            fused, warped, direct, f = self._decode(code, encoding.features, seen)
            # Q without weights needs no search here: what A implies is near what it was made from.
            near = () if self.fixed_estimator is None else (f.detach(),)
            implied = self._run(self.estimator, direct, last, *near)  # f' = Q(A, I_t)
            shown = fused
            if self._looks_twice and step == 0:  # the past tells of the next frame alone
                shown = warped + trust * (fused - warped)
            if self.restore_detail:
                shown = restore_detail(shown, last, context[:, -1], strayed(change, step + 1), self.restore_detail)
            steps.append((shown, warped, direct, f, implied, encoding.mean, encoding.logvar))
            previous, last = last, fused
        fields = [torch.stack(parts, dim=1) for parts in zip(*steps, strict=True)]  # each (B, K, ...)
        return Prediction(*(*fields, first_observed[:, None]))

    def _decode(
        self, code: Tensor, features: Sequence[Tensor], seen: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One step: (P, W, A, f) from the code, features of the last frame, and `Parts` from `last` on."""
        last, _, observed, former, unexplained = seen
        base_flow = observed if self.extrapolate_flow else None
        base_frame = last if base_flow is None else warp(last, base_flow)
        hints = self._hints(observed, former, unexplained)
        skips = self._skips(features, base_frame, base_flow, hints) if self.skip_connections else []

        correction = soft_limit(self._run(self.flow_generator, code, skips), self.max_flow)
        flow = correction if base_flow is None else base_flow + correction  # f = G_F(z)
        pixels = self._run(self.frame_generator, code, skips)  # A = G_I(z)
        direct = (base_frame + soft_limit(pixels, 2.0)).clamp(-1, 1) if self.residual_frame else torch.tanh(pixels)
        warped = warp(last, flow)  # W
        fused = self._run(self.fusion, *Parts(direct, warped, flow, *seen))  # P
        return fused, warped, direct, flow

    def _flows(self, context: Tensor, flow: Tensor | None) -> list[Tensor]:
        """The last three flows that Q sees, newest first; what is not needed or not known repeats the one after it."""
        seen = 3 if self._looks_twice else 1 + self.looks_back
        flows = [] if flow is None else list(flow.unbind(dim=1))[::-1][:seen]
        for age in range(len(flows), min(seen, context.shape[1] - 1)):
            flows.append(self._run(self.estimator, context[:, -1 - age], context[:, -2 - age]))
        return flows + [flows[-1]] * max(0, 3 - len(flows))

    @torch.no_grad()
    def _hindsight(self, context: Tensor, known: Encoding, observed: Tensor, earlier: Tensor) -> Tensor:
        """How far P would have been right about the last frame, from those before it, (B, 1, H, W)."""
        seen = self._seen(context[:, -2], context[:, -3], observed, earlier)
        fused, warped, _, _ = self._decode(known.mean, known.features, seen)
        return hindsight(fused.float(), warped.float(), context[:, -1])

    def tensor_parts(self) -> list[nn.Module]:
        """The parts that are functions of tensors alone, which torch.compile can take whole.

        Least squares are left out: unrolled they are hundreds of small steps, and compiling them takes many minutes.
        """
        estimator = [] if self.fixed_estimator is not None else [self.estimator]
        return [self.encoder.stages, *estimator, self.flow_generator, self.frame_generator, self.fusion]

    def _run(self, part: nn.Module, *inputs: Any) -> Tensor:
        """A part of the network, with or without its activations kept for the backward pass."""
        return recompute(part, *inputs) if self.checkpoint_activations else part(*inputs)

    def _seen(self, last: Tensor, previous: Tensor, observed: Tensor, earlier: Tensor) -> tuple[Tensor, ...]:
        """The fields of `Parts` from `last` on; without a look back as if the observed flow explained everything."""
        if not self.looks_back:
            return last, previous, observed, observed, torch.zeros_like(last)
        unexplained = warp(last - warp(previous, observed), observed)
        return last, previous, observed, warp(earlier, observed), unexplained

    def _hints(self, observed: Tensor, former: Tensor, unexplained: Tensor) -> Tensor:
        """What is known of the motion, (B, 2 or 4 + C, H, W): see `motion_hints` of the constructor."""
        flow = observed / self.max_flow
        if not self.motion_hints:
            return flow
        # In whole pixels, not in shares of the limit: an acceleration is small beside the velocity.
        return torch.cat([flow, soft_limit(observed - former, self.max_flow), unexplained], dim=1)

    def _skips(
        self, features: Sequence[Tensor], base_frame: Tensor, base_flow: Tensor | None, hints: Tensor
    ) -> list[Tensor]:
        """Features of the last frame, coarse to fine, then the frame; moved along with the flow where there is one."""
        if base_flow is None:
            return [*reversed(features), base_frame]
        skips = []
        for feature in reversed(features):
            size = (feature.shape[-2], feature.shape[-1])
            moved = warp(feature, resize_flow(base_flow, size))
            skips.append(torch.cat([moved, F.interpolate(hints, size=size, mode="area")], dim=1))
        return [*skips, torch.cat([base_frame, hints], dim=1)]

    def _check(self, context: Tensor, horizon: int, draws: Draws | None) -> None:
        if context.ndim != 5 or context.shape[1] < 2 or context.shape[2] != self.channels:
            raise ValueError(f"context must be (B, T, {self.channels}, H, W), T of 2 or more, got {(*context.shape,)}")
        require_multiple(*context.shape[-2:])
        if horizon < 1:
            raise ValueError(f"horizon must be 1 or more, got {horizon}")
        if draws is not None and len(draws) != len(context):
            raise ValueError(f"draws must have one row per clip, got {len(draws)} rows for {len(context)} clips")
