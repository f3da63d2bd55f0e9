"""The training step of paired translation (Isola et al., CVPR 2017; Wang et al., NeurIPS 2018).

x is the condition of the clip y. The generator draws y~_t from x_t, x_{t-1} and y~_{t-1}, over more and more frames in
a row. D_I scores (x_t, y_t) against (x_t, y~_t), D_V the clips (x, y) against (x, y~).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidgan.errors import DataError
from vidgan.losses.matching import feature_matching, masked_l1, warp_confidence
from vidgan.losses.reconstruction import gradient_difference, l1
from vidgan.nn.layer_features import layer_features
from vidgan.nn.warp import warp
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.translation.conditions import RGB, GreyCondition, is_grey, observed_flow
from vidgan.tasks.translation.synthetic_flow import inside_frame
from vidgan.tasks.translation.translator import Translation
from vidgan.training.adversary import AdversarialGame, Adversary
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import Clip, ClipBatch, Flow, Terms

__all__ = ["PairedTraining", "flow_error", "temporal_error", "unrolled_frames", "warp_clip"]


def unrolled_frames(step: int, *, first: int, double_every: int | None, frames: int) -> int:
    """Frames drawn in a row at a step: `first`, doubled after every `double_every` steps, at most `frames`."""
    if double_every is None:
        return min(first, frames)
    return min(first * 2 ** min(step // double_every, 31), frames)


class PairedTraining:
    """One object per run.

    Args:
        game: the discriminators are "frame" and "video"; own terms are functions of (fake, real).
        unroll: frames drawn in a row at first; None: all of a clip.
        unroll_double: steps after which that number doubles.
        gradient_frames: frames back that a gradient runs through earlier outputs; None: all.
    """

    def __init__(
        self,
        game: AdversarialGame,
        *,
        unroll: int | None = None,
        unroll_double: int | None = None,
        gradient_frames: int | None = None,
    ) -> None:
        self.game = game
        self.trainees = game.trainees
        self.ema = game.ema
        self.unroll = unroll
        self.unroll_double = unroll_double
        self.gradient_frames = gradient_frames

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration: the turns in order, each with fresh fakes. Returns detached measurements by name."""
        if step == 0:
            self._require_colour(micros)
        whole = micros[0][0].clip.shape[1]
        frames = unrolled_frames(step, first=self.unroll or whole, double_every=self.unroll_double, frames=whole)
        micros = [(self._with_condition(batch, frames, draws), draws) for batch, draws in micros]
        measured = self.game.step(step, micros, self.generator_losses, self.discriminator_losses, self.game.weights)
        if self.unroll is not None:
            measured["unrolled_frames"] = torch.tensor(float(frames))
        return measured

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """D_I or D_V on the condition with the true and with the drawn frames."""
        condition, real = _pair(batch)
        with torch.no_grad():
            fake = self._draw(condition, batch.flow).frames
        draws = draws.fork(adversary.name)
        return adversary.discriminator_losses(_joined(condition, real), _joined(condition, fake), draws, step)

    def generator_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The weighted terms, and the generator against both discriminators."""
        condition, real = _pair(batch)
        draws = draws.fork("generator")
        drawn = self._draw(condition, batch.flow)
        terms: dict[str, Callable[[], Tensor]] = {
            "l1": lambda: l1(drawn.frames, real),
            "raw": lambda: l1(drawn.raw, real),
            "gradient_difference": lambda: gradient_difference(drawn.frames, real),
            "flow": lambda: flow_error(drawn.flow, real),
            "temporal": lambda: temporal_error(drawn.frames, real),
            "feature_matching": lambda: self._feature_matching(condition, real, drawn.frames, draws),
        }
        losses = {name: term() for name, term in terms.items() if name in self.game.weights}
        for name, adversary in self.game.adversaries.items():
            losses[f"adversarial_{name}"], _ = adversary.generator_loss(
                _joined(condition, drawn.frames), _joined(condition, real), draws.fork(name)
            )
        losses |= {name: term(drawn.frames, real) for name, term in self.game.own_terms.items()}
        return TurnResult(losses, {})

    def _with_condition(self, batch: ClipBatch, frames: int, draws: Draws) -> ClipBatch:
        """What all turns of a step share, of the frames that are drawn.

        Returns:
            The batch with clip and condition, (B, T, 3 + K, H, W) uint8, and the flow between the conditions (if read).
        """
        generator: Any = self.trainees.raw["generator"]
        given, target = generator.pair_of(batch.clip, draws.fork("condition"))
        given = given[:, :frames]
        flow = generator.observed(to_float(given))
        if flow is None:
            flow = torch.zeros(len(given), 0, 2, *given.shape[-2:], device=given.device)
        return batch._replace(clip=torch.cat([target[:, :frames], given], dim=2), flow=flow)

    def _require_colour(self, micros: Sequence[Micro]) -> None:
        """Raise DataError if colours are to be learned from clips without any."""
        generator: Any = self.trainees.raw["generator"]
        clips = [batch.clip[:, :, :RGB] for batch, _ in micros]
        if isinstance(generator.condition, GreyCondition) and all(map(is_grey, clips)):
            raise DataError(
                "data.root: the clips of the first batch are all grey, but condition.kind=grey learns their colours;"
                " accepted: colour videos"
            )

    def _draw(self, condition: Tensor, flow: Flow) -> Translation:
        """Clips, float32, through the prepared generator."""
        with self.trainees.autocast():
            drawn: Translation = self.trainees.prepared["generator"](
                condition, flow=flow if flow.shape[1] else None, gradient_frames=self.gradient_frames
            )
        return Translation(*(None if part is None else part.float() for part in drawn))  # type: ignore[arg-type]

    def _feature_matching(self, condition: Tensor, real: Clip, fake: Clip, draws: Draws) -> Tensor:
        """Mean over the discriminators, which are frozen here."""
        terms = []
        for name, adversary in self.game.adversaries.items():
            network = self.trainees.raw[name]
            features = []
            for clip in (fake, real):
                samples = _joined(condition, clip)
                if not adversary.scores_clips:
                    samples = rearrange(samples, "b t c h w -> (b t) c h w")
                rows = draws.fork("features", name).expand(len(samples) // len(draws))
                with self.trainees.autocast():
                    features.append(layer_features(network, samples, rows))
            terms.append(feature_matching(*features))
        return torch.stack(terms).mean()


def _pair(batch: ClipBatch) -> tuple[Tensor, Clip]:
    """Condition and clean clip in [-1, 1]."""
    clip = to_float(batch.clip)
    return clip[:, :, RGB:], clip[:, :, :RGB]


def _joined(condition: Tensor, clip: Clip) -> Tensor:
    """What a discriminator scores, (B, T, K + 3, H, W)."""
    return torch.cat([condition, clip], dim=2)


def flow_error(flow: Flow | None, real: Clip) -> Tensor:
    """How badly the drawn flow explains the true clip: mean |warp(y_{t-1}, flow_t) - y_t| where its origin is inside.

    Args:
        flow: (B, T-1, 2, H, W), pixels; None for one frame, whose error is 0.
        real: (B, T, 3, H, W).
    """
    if flow is None:
        return real.new_zeros((), requires_grad=True)
    return masked_l1(warp_clip(real[:, :-1], flow), real[:, 1:], inside_frame(flow.detach()))


def temporal_error(fake: Clip, real: Clip) -> Tensor:
    """mean |y~_t - warp(y~_{t-1}, f_t)| with the flow f of the true clip, where f explains the true clip.

    y~_{t-1} is taken as a constant. 0 for one frame.

    Args:
        fake, real: (B, T, 3, H, W) in [-1, 1].
    """
    if real.shape[1] < 2:
        return real.new_zeros((), requires_grad=True)
    flow = observed_flow(real)
    confident = warp_confidence(real[:, 1:], warp_clip(real[:, :-1], flow))
    return masked_l1(fake[:, 1:], warp_clip(fake[:, :-1].detach(), flow), confident)


def warp_clip(clip: Clip, flow: Flow) -> Clip:
    """Each frame (B, T, 3, H, W) warped by its flow (B, T, 2, H, W)."""
    frames, flows = (rearrange(part, "b t c h w -> (b t) c h w") for part in (clip, flow))
    return rearrange(warp(frames, flows), "(b t) c h w -> b t c h w", b=len(clip))
