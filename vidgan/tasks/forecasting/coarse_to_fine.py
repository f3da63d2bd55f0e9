"""Dual Motion GAN with a motion pyramid: the future flow is refined from coarse to fine, from the whole context.

The parts of the published method stay: a probabilistic motion encoder E with the code z, a flow generator G_F with
W = warp(I_t, F), a frame generator G_I with A, a flow estimator Q, and a fusion P. What differs is what they read:

    features      one pyramid of each frame, shared by all parts
    Q             a few least-squares steps, corrected by the local correlation of the features
    E             recurrent over the features and Q's flow, so that z knows the motion of the whole context
    G_F           at each level, both last frames' features are warped onto the next frame by the present estimate;
                  where they disagree, that estimate is wrong, or the place was hidden
    G_I           reads the same warped features, and fills what no frame shows
    fusion        a convex blend of the last frame moved in several ways, of the frame before it, and of A

Later frames are not made from earlier forecasts: flow is composed, ``F_k = f_k + F_{k-1}(x + f_k)``, and the last true
frames are warped by it. Their detail does not fade, and neither frames nor flow are estimated from forecasts.

What is learned of motion can be wrong about videos of another kind. With `hindsight`, the last known frame is forecast
from those before it, and P is blended with constant velocity as far as that was the better forecast there.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK
from vidgan.nn.correlation import local_correlation, unit_length
from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.nn.modes import without_autocast
from vidgan.nn.warp import resize_flow, warp
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.decoding import Decoding, MotionDrift, agreement, flow_change
from vidgan.tasks.forecasting.flow_estimator import Channels, soft_limit
from vidgan.tasks.forecasting.motion_encoder import (
    EncoderState,
    FullPrecisionConv2d,
    MotionPosterior,
    check_call,
    require_multiple,
)
from vidgan.tasks.forecasting.prediction import Forecaster
from vidgan.types import Clip, Flow, Prediction

FLOW_UNIT = 0.1  # networks read flow in tens of pixels of their level
RGB = 3


class Stage(nn.Sequential):
    """Convolutions of size 3 with leaky ReLU, on channels-last maps (two to five times faster on a CPU).

    Args:
        path: channels, from the input's to the output's.
        stride: of the first convolution.
    """

    def __init__(self, *path: int, stride: int = 1) -> None:
        layers: list[nn.Module] = []
        for place, (inputs, outputs) in enumerate(pairwise(path)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=stride if place == 0 else 1, padding=1),
                nn.LeakyReLU(LEAK),
            ]
        super().__init__(*layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, path[-1], H / stride, W / stride)."""
        return super().forward(input.contiguous(memory_format=torch.channels_last))


class CoarseToFineConfig(Section):
    """The generator with a motion pyramid: future flow refined from coarse to fine."""

    kind: Literal["coarse_to_fine"] = option("coarse_to_fine", "Learned motion, fast; needs stored label flow.")
    widths: tuple[Channels, Channels, Channels, Channels] = option(
        (16, 32, 48, 64), "Channels of the features at strides 2, 4, 8 and 16.", unit="channels"
    )
    hidden: Channels = option(24, "Channels that each level passes on to the next finer one.", unit="channels")
    dim_latent: int = option(48, "Channels of the motion code and of the ConvLSTMs.", unit="channels", ge=1)
    probabilistic: bool = option(True, "The motion code is a distribution; false: a point, and one forecast only.")
    radius: int = option(2, "Reach of the flow estimator at stride 4, in pixels of that grid.", ge=1, le=8)
    hypotheses: int = option(4, "Further displacements of the last frame that the fusion blends.", ge=0, le=16)
    hindsight: bool = option(
        False, "Blend P with constant velocity, as far as P of the last context frame was no better than that."
    )
    motion_spread: float = option(
        0.0, "Samples differ in motion: velocity keeps changing by this multiple of its last change.", ge=0
    )

    @property
    def learns_flow(self) -> bool:
        """Q has weights."""
        return True

    @property
    def extrapolate_flow(self) -> bool:
        """The forecast starts from the observed flow, so that it trains Q."""
        return True

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.motion_spread and not self.probabilistic:
            yield "motion_spread needs probabilistic"


class FeaturePyramid(nn.Module):
    """Features of single frames at strides 2, 4, 8, ..."""

    def __init__(self, *, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        path = [channels, *widths]
        self.stages = nn.ModuleList(Stage(a, b, b, stride=2) for a, b in pairwise(path))

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> (N, widths[i], H / 2**(i+1), W / 2**(i+1)), finest first."""
        features = []
        for stage in self.stages:
            frames = stage(frames)
            features.append(frames)
        return features


class Refinement(nn.Module):
    """One level's network: maps for the next finer level, and a correction in float32."""

    def __init__(self, *, inputs: int, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.body = Stage(inputs, width, width, hidden)
        self.head = FullPrecisionConv2d(hidden, outputs, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # start near the flow of the coarser level

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps of one size -> hidden maps (N, hidden, H, W), output (N, outputs, H, W) float32."""
        hidden = self.body(torch.cat([part.to(inputs[0].dtype) for part in inputs], dim=1))
        return hidden, self.head(hidden)


class RefinedEstimator(nn.Module):
    """Q: a few least-squares steps, corrected by what the local correlation of learned features says.

    Least squares find most motion without training; the correction handles what they cannot: hidden places, missing
    texture, changing light. It starts near zero.

    Args:
        widths: of the feature pyramid, finest first; the two finest levels are compared.
        hidden: channels passed on between levels.
        radius: reach of the correlation at stride 4; at stride 2 it is 1.
    """

    def __init__(self, *, widths: Sequence[int], hidden: int, radius: int) -> None:
        super().__init__()
        self.start = LucasKanadeEstimator(levels=5, steps=2, fine_steps=1, symmetric=False, fine_propagation=False)
        self.radii = (1, radius)
        self.levels = nn.ModuleList()
        for level, reach in enumerate(self.radii):
            inputs = widths[level] + (2 * reach + 1) ** 2 + 2 + (hidden if level == 0 else 0)
            self.levels.append(Refinement(inputs=inputs, width=32, hidden=hidden, outputs=2))

    def forward(self, current: Tensor, previous: Tensor, now: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
        """Frames (N, C, H, W) in [-1, 1] and their pyramids -> backward flow (N, 2, H, W) in pixels, float32."""
        with torch.no_grad():
            start = self.start(current, previous)
        correction = torch.zeros_like(start)
        hidden: list[Tensor] = []
        for level in range(len(self.levels) - 1, -1, -1):
            size = (now[level].shape[-2], now[level].shape[-1])
            correction, hidden = resize_flow(correction, size), [enlarged(maps, size) for maps in hidden]
            flow = resize_flow(start, size) + correction
            with without_autocast(flow.device.type):  # bfloat16 cannot tell neighbours apart
                moved = warp(unit_length(before[level]), flow)
                costs = local_correlation(unit_length(now[level]), moved, self.radii[level])
            maps, change = self.levels[level]([now[level], costs, FLOW_UNIT * flow, *hidden])
            correction, hidden = correction + soft_limit(change, self.radii[level] + 1.0), [maps]
        return start + resize_flow(correction, (start.shape[-2], start.shape[-1]))


class Memory(NamedTuple):
    """What is known of a video after its last frame. Flow is backward, in pixels."""

    frame: Tensor  # (B, C, H, W) in [-1, 1], the last frame
    earlier: Tensor  # the frame before it; the last one itself after a single frame
    now: list[Tensor]  # features of the last frame
    before: list[Tensor]  # features of the frame before it
    flow: Tensor  # (B, 2, H, W) between these two; zero after a single frame
    acceleration: Tensor  # how it differs from the flow before it, moved along
    mean: Tensor  # (B, D, H/16, W/16) posterior mean of the motion code
    logvar: Tensor  # and its log-variance
    state: EncoderState | None  # of E; None after a single frame
    trust: Tensor | None = None  # (B, 1, 1, 1) in [0, 1], how far P of the last frame was right; None without hindsight


class Scene(NamedTuple):
    """What the next frame is made from. Flow (B, 2, H, W) in pixels."""

    memory: Memory
    base: Tensor  # flow between the last two true frames
    last: Tensor  # flow of the step before: `base`, or the flow forecast last
    composed: Tensor | None  # flow from the frame forecast last to the last true frame; None for the next frame
    step: int | Tensor  # 0 for the next frame


class Motion(NamedTuple):
    """Flow of the next frame, (B, 2, H, W) in pixels, and features of it at half size."""

    flow: Tensor  # f, to the frame before it
    composed: Tensor  # F, to the last true frame
    twofold: Tensor  # to the true frame before that one
    hidden: Tensor  # (B, hidden, H/2, W/2)
    moved: Tensor  # (B, 2 C, H/2, W/2), the features of both true frames, warped


class Progress(NamedTuple):
    """How far a forecast has come: what the next frame is made from, beside the memory of the context."""

    mean: Tensor  # (B, D, H/16, W/16) of the motion code
    logvar: Tensor
    state: EncoderState | None  # of E
    last: Tensor  # (B, 2, H, W) flow of the frame before
    composed: Tensor | None  # (B, 2, H, W) from that frame to the last true one; None before the next frame
    steady: Tensor  # (B, 2, H, W) composed flow at constant velocity
    step: int | Tensor  # 0 before the next frame


class NextFrame(NamedTuple):
    """One forecast frame and what it was made from; frames (B, C, H, W) in [-1, 1]."""

    fused: Tensor  # P
    warped: Tensor  # W
    direct: Tensor  # A
    motion: Motion
    steady: Tensor  # (B, 2, H, W) composed flow at constant velocity


class FlowGenerator(nn.Module):
    """G_F: from the code and the features of the last two frames to the flow of the next one, coarse to fine."""

    LEVELS = 4  # strides 2 to 16, that of the code

    def __init__(self, *, widths: Sequence[int], hidden: int, dim_latent: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for level in range(self.LEVELS):
            coarser = dim_latent if level == self.LEVELS - 1 else hidden
            inputs = 2 * widths[level] + 1 + 8 + 2 + 1 + coarser
            refinement = Refinement(inputs=inputs, width=max(widths[level], 32), hidden=hidden, outputs=4)
            with torch.no_grad():
                assert refinement.head.bias is not None
                refinement.head.bias.copy_(torch.tensor([0.0, 0.0, -2.0, -2.0]))  # gates start nearly closed
            self.levels.append(refinement)

    def forward(self, code: Tensor, scene: Scene) -> Motion:
        """The motion code (B, D, H/16, W/16) and what is known -> the flow of the next frame."""
        memory, hidden, flow = scene.memory, code, scene.base
        full = (scene.base.shape[-2], scene.base.shape[-1])
        for level in range(self.LEVELS - 1, -1, -1):
            size = (memory.now[level].shape[-2], memory.now[level].shape[-1])
            base, last, observed, acceleration = (
                resize_flow(maps, size) for maps in (scene.base, scene.last, memory.flow, memory.acceleration)
            )
            flow, hidden = resize_flow(flow, size), enlarged(hidden, size)
            composed = flow if scene.composed is None else flow + warp(resize_flow(scene.composed, size), flow)
            twofold = composed + warp(observed, composed)
            ones, others = warp(memory.now[level], composed), warp(memory.before[level], twofold)
            difference = (ones - others).abs().mean(dim=1, keepdim=True)
            carried = warp(last, flow)
            hints = [FLOW_UNIT * flow, base - flow, carried - flow, acceleration]
            inside = [is_inside(composed), is_inside(twofold)]
            horizon = torch.ones_like(difference) * (scene.step > 0)
            hidden, change = self.levels[level]([ones, others, difference, *hints, *inside, horizon, hidden])
            to_base, to_carried = change[:, 2:].sigmoid().split(1, dim=1)
            step = soft_limit(change[:, :2], 2.0)
            flow = flow + to_base * (base - flow) + to_carried * (carried - flow) + step
        flow = scene.base + resize_flow(flow - base, full)  # keeps the detail of the observed flow
        return moving(flow, scene, hidden, torch.cat([ones, others], dim=1))


def moving(flow: Tensor, scene: Scene, hidden: Tensor, moved: Tensor) -> Motion:
    """The motion of a next frame that is reached by `flow` (B, 2, H, W)."""
    composed = flow if scene.composed is None else flow + warp(scene.composed, flow)
    return Motion(flow, composed, composed + warp(scene.memory.flow, composed), hidden, moved)


class FrameGenerator(nn.Module):
    """G_I: a correction to the warped frame, from the features of both last frames warped onto the next one."""

    def __init__(self, *, channels: int, width: int, hidden: int) -> None:
        super().__init__()
        self.body = Stage(hidden + 2 * width, 32, 32)
        self.head = FullPrecisionConv2d(32, 4 * channels, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, motion: Motion) -> Tensor:
        """(B, C, H, W), added to W."""
        inputs = torch.cat([motion.hidden, motion.moved.to(motion.hidden.dtype)], dim=1)
        return F.pixel_shuffle(self.head(self.body(inputs)).contiguous(), 2)


class DisplacementFusion(nn.Module):
    """P: a convex blend of W, of the last frame displaced in further ways, of the frame before, the last frame, and A.

    Where motion is certain all displacements coincide. Where it is not, their blend is the blur that a mean of the
    possible futures has, along the direction of the doubt.
    """

    WIDTH, CONTEXT = 16, 8
    REACH = 4.0  # pixels of the half-size grid

    def __init__(self, *, channels: int, hidden: int, hypotheses: int) -> None:
        super().__init__()
        self.hypotheses = hypotheses
        self.context = nn.Conv2d(hidden, self.CONTEXT, 1)
        candidates = hypotheses + 4
        self.body = Stage(channels * candidates + self.CONTEXT + 2, self.WIDTH, self.WIDTH)
        self.head = FullPrecisionConv2d(self.WIDTH, candidates, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([2.0, *[0.0] * hypotheses, 0.0, -1.5, -1.0]))
        if hypotheses:
            self.offsets = FullPrecisionConv2d(hidden, 2 * hypotheses, 3, padding=1)
            angles = torch.arange(hypotheses) * (2 * torch.pi / hypotheses)
            with torch.no_grad():
                self.offsets.weight.mul_(0.1)
                assert self.offsets.bias is not None
                self.offsets.bias.copy_(0.2 * torch.stack([angles.cos(), angles.sin()], dim=1).flatten())

    def forward(self, motion: Motion, memory: Memory, direct: Tensor, warped: Tensor, step: int | Tensor) -> Tensor:
        """P (B, C, H, W) from the motion, A and W; step 0 is the next frame. Displacements grow with the horizon."""
        size = (warped.shape[-2], warped.shape[-1])
        candidates = [warped]
        if self.hypotheses:
            offsets = (step + 1) ** 0.5 * soft_limit(self.offsets(motion.hidden), self.REACH)
            offsets = rearrange(offsets, "b (k xy) h w -> (b k) xy h w", xy=2)
            flows = motion.composed.repeat_interleave(self.hypotheses, dim=0) + resize_flow(offsets, size)
            moved = warp(memory.frame.repeat_interleave(self.hypotheses, dim=0), flows)
            candidates += rearrange(moved, "(b k) c h w -> b k c h w", k=self.hypotheses).unbind(dim=1)
        candidates += [warp(memory.earlier, motion.twofold), memory.frame, direct]
        context = enlarged(self.context(motion.hidden), size)
        differences = [(candidate - warped) for candidate in candidates[1:]]
        inputs = [context, warped, *differences, is_inside(motion.composed), is_inside(motion.twofold)]
        logits = self.head(self.body(torch.cat([part.to(context.dtype) for part in inputs], dim=1)))
        weights = logits.softmax(dim=1)
        blend = warped * 1.0
        for place, difference in enumerate(differences, start=1):
            blend = blend + weights[:, place : place + 1] * difference
        return blend


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (N, C, h, w) bilinearly at another size; the maps themselves if they have it."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def is_inside(flow: Tensor) -> Tensor:
    """(N, 1, H, W): 1 where a backward flow points into the frame, falling to 0 within a pixel beyond its edge."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    beyond = torch.maximum(torch.maximum(-x, x - (width - 1)), torch.maximum(-y, y - (height - 1)))
    return (1 - beyond).clamp(0, 1).unsqueeze(1)


class CoarseToFineDualMotion(nn.Module, Forecaster):
    """Forecasts the frames that follow a context of two frames or more, of any length.

    Args:
        config: the section `model`.
        image_size: (H, W) that the model is trained for, multiples of 16; other multiples of 16 work as well.
        channels: of a frame.

    Raises:
        ValueError: a size that is not a multiple of 16.
    """

    public_class: ClassVar[str] = "DualMotionGAN"

    def __init__(self, config: CoarseToFineConfig, *, image_size: tuple[int, int], channels: int = RGB) -> None:
        super().__init__()
        require_multiple(*image_size)
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.decoding = Decoding(hindsight=config.hindsight, motion_spread=config.motion_spread)
        widths, hidden = config.widths, config.hidden
        self.features = FeaturePyramid(channels=channels, widths=widths)
        self.estimator = RefinedEstimator(widths=widths, hidden=hidden, radius=config.radius)
        self.encoder = MotionPosterior(
            in_channels=widths[3] + 2, dim_latent=config.dim_latent, probabilistic=config.probabilistic
        )
        self.flow_generator = FlowGenerator(widths=widths, hidden=hidden, dim_latent=config.dim_latent)
        self.frame_generator = FrameGenerator(channels=channels, width=widths[0], hidden=hidden)
        self.fusion = DisplacementFusion(channels=channels, hidden=hidden, hypotheses=config.hypotheses)
        self.architecture = {"model": config.model_dump(mode="json"), "image_size": list(image_size)}

    @property
    def fixed_estimator(self) -> None:
        """Q has weights."""

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
        """Forecast `horizon` frames.

        Args:
            context: (B, T, C, H, W) in [-1, 1], T >= 2, H and W multiples of 16.
            horizon: K >= 1.
            draws: noise of the motion code, one row per clip; None takes the posterior mean.
            flow: not read; see `vidgan.tasks.forecasting.dual_motion.DualMotionGAN`.
            decoding: `hindsight` and `motion_spread` apply.
            implied: estimate the flow that A implies, which only training uses.

        Returns:
            A `Prediction` with K steps, float32.

        Raises:
            ValueError: a shape or horizon outside these limits.
        """
        check_call(context, horizon, draws, channels=self.channels)
        memory = self.remember(context, hindsight=decoding.hindsight)
        return self.continued(memory, horizon, draws=draws, decoding=decoding, implied=implied)

    def remember(self, context: Clip, *, hindsight: bool = False) -> Memory:
        """What is known after a context (B, T, C, H, W), T >= 2. Only the flow of its last two frames is trained."""
        times = context.shape[1]
        levels = [
            rearrange(maps, "(b t) c h w -> b t c h w", t=times)
            for maps in self.features(rearrange(context, "b t c h w -> (b t) c h w"))
        ]
        now, before = ([maps[:, place] for maps in levels] for place in (-1, -2))
        flows = [self.estimator(context[:, -1], context[:, -2], now, before)]
        if times > 2:
            with torch.no_grad():
                ones, others = (
                    [rearrange(maps[:, part], "b t c h w -> (b t) c h w") for maps in (context, *levels)]
                    for part in (slice(1, -1), slice(0, -2))
                )
                past = self.estimator(ones[0], others[0], ones[1:], others[1:])
            flows = [*rearrange(past, "(b t) xy h w -> b t xy h w", t=times - 2).unbind(dim=1), *flows]
        sequence = [self.motion_input(levels[3][:, t + 1], flow) for t, flow in enumerate(flows)]
        mean, logvar, state = self.encoder.posterior(torch.stack(sequence, dim=1))
        acceleration = flows[-1] - warp(flows[-2], flows[-1]) if times > 2 else torch.zeros_like(flows[-1])
        trust = None
        if hindsight and times > 2:
            trust = self.trust(self.remember(context[:, :-1]), context[:, -1])
        return Memory(context[:, -1], context[:, -2], now, before, flows[-1], acceleration, mean, logvar, state, trust)

    def observe(self, frame: Tensor, memory: Memory | None) -> Memory:
        """The memory after one more true frame (B, C, H, W); None before the first one."""
        now = self.features(frame)
        if memory is None:
            still, code = torch.zeros_like(frame[:, :2]), torch.zeros(0)
            return Memory(frame, frame, now, now, still, still, code, code, None)
        flow = self.estimator(frame, memory.frame, now, memory.now)
        acceleration = torch.zeros_like(flow) if memory.state is None else flow - warp(memory.flow, flow)
        sequence = self.motion_input(now[3], flow)[:, None]
        mean, logvar, state = self.encoder.posterior(sequence, memory.state)
        trust = None
        if self.decoding.hindsight and memory.state is not None:
            trust = self.trust(memory, frame)
        return Memory(frame, memory.frame, now, memory.now, flow, acceleration, mean, logvar, state, trust)

    def continued(
        self,
        memory: Memory,
        horizon: int,
        *,
        draws: Draws | None = None,
        decoding: Decoding = Decoding(),
        implied: bool = True,
    ) -> Prediction:
        """The frames after those in memory; arguments as in `forward`."""
        drift = None
        if draws is not None and decoding.motion_spread:
            change = flow_change(memory.acceleration, torch.zeros_like(memory.acceleration))
            drift = MotionDrift(draws, decoding.motion_spread * change)
        progress, previous, steps = self.start(memory), memory.frame, []
        for step in range(horizon):
            code = progress.mean
            if draws is not None and self.encoder.probabilistic:
                code = code + draws.normal(*code.shape[1:]).to(code) * torch.exp(progress.logvar / 2)
            made = self.next_frame(
                memory, progress, code, drift=None if drift is None else drift.step(), hindsight=decoding.hindsight
            )
            implied_flow = torch.zeros_like(made.motion.flow)
            if implied:
                implied_flow = self.estimator(
                    made.direct, previous, self.features(made.direct), self.features(previous)
                )
            steps.append(
                (made.fused, made.warped, made.direct, made.motion.flow, implied_flow, progress.mean, progress.logvar)
            )
            if step + 1 < horizon:
                progress, previous = self.after(memory, progress, made), made.fused
        fields = [torch.stack(values, dim=1) for values in zip(*steps, strict=True)]  # each (B, K, ...)
        return Prediction(*(*fields, memory.flow[:, None]))

    def start(self, memory: Memory) -> Progress:
        """A forecast that has no frame yet."""
        still = torch.zeros_like(memory.flow)
        return Progress(memory.mean, memory.logvar, memory.state, memory.flow, None, still, 0)

    def next_frame(
        self, memory: Memory, progress: Progress, code: Tensor, *, drift: Tensor | None = None, hindsight: bool = False
    ) -> NextFrame:
        """One more frame of a forecast.

        Args:
            memory: of the context.
            progress: of the forecast.
            code: (B, D, H/16, W/16), the motion code: its mean, or a draw.
            drift: (B, 2, H, W) pixels, added to the flow.
            hindsight: blend with constant velocity by `memory.trust`.
        """
        scene = Scene(memory, memory.flow, progress.last, progress.composed, progress.step)
        motion = self.flow_generator(code, scene)
        if drift is not None:
            motion = moving(motion.flow + drift, scene, motion.hidden, motion.moved)
        warped = warp(memory.frame, motion.composed)
        direct = (warped + soft_limit(self.frame_generator(motion), 2.0)).clamp(-1, 1)
        fused, steady = self.fusion(motion, memory, direct, warped, progress.step), progress.steady
        if hindsight and memory.trust is not None:
            steady = memory.flow + warp(steady, memory.flow)
            fused = torch.lerp(warp(memory.frame, steady), fused, memory.trust)
        return NextFrame(fused, warped, direct, motion, steady)

    def after(self, memory: Memory, progress: Progress, made: NextFrame) -> Progress:
        """The progress after a frame that `next_frame` made."""
        size = (memory.now[3].shape[-2], memory.now[3].shape[-1])
        features = warp(memory.now[3], resize_flow(made.motion.composed, size))
        sequence = self.motion_input(features, made.motion.flow)[:, None]
        mean, logvar, state = self.encoder.posterior(sequence, progress.state)
        return Progress(mean, logvar, state, made.motion.flow, made.motion.composed, made.steady, progress.step + 1)

    @torch.no_grad()
    def trust(self, memory: Memory, frame: Tensor) -> Tensor:
        """How far P of a frame that is now known was better than constant velocity, (B, 1, 1, 1) in [0, 1]."""
        fused = self.continued(memory, 1, implied=False).frames[:, 0]
        return agreement(fused, warp(memory.frame, memory.flow), frame).mean(dim=(1, 2, 3), keepdim=True)

    def compilable_parts(self) -> list[nn.Module]:
        """The parts that are functions of tensors alone."""
        return [self.features, self.frame_generator]

    def motion_input(self, features: Tensor, flow: Tensor) -> Tensor:
        """What E reads of a frame: features at stride 16 and the flow to the frame before."""
        coarse = FLOW_UNIT * resize_flow(flow, (features.shape[-2], features.shape[-1]))
        return torch.cat([features, coarse.to(features.dtype)], dim=1)
