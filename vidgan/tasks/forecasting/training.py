"""Dual Motion GAN's training step (Liang et al., ICCV 2017).

The motion encoder gives z; A = G_I(z), f = G_F(z), W = warp(last frame, f), f' = Q(A, last frame), P = fuse(A, W). The
frame discriminator scores A, W and P against the true frame, the flow discriminator f and f' against the label flow, so
that each branch trains the other (the dual loop).
"""

from collections.abc import Callable, Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.losses.flow import flow_l1
from vidgan.losses.latent import kl_standard_normal
from vidgan.losses.reconstruction import crps, dissimilarity, gradient_difference, l2, log_l2
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.decoding import Decoding
from vidgan.training.adversary import AdversarialGame, Adversary
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import ClipBatch, Prediction, Terms

__all__ = ["DualMotionTraining"]


class DualMotionTraining:
    """One object per run.

    Args:
        game: the discriminators are "frame" and "flow"; own terms are functions of (prediction, future).
        context: frames given; the remaining frames of each clip are forecast, by feedback if there are several.
        decoding: what is done to the forecast before the losses.
        fixed_estimator: Q, if it has nothing to learn: it then labels each batch once, the true future included.
        kl_warmup: steps until the KL term has its full weight.
        samples: forecasts of each clip, each with its own z. `direct`, `warped` and `fused` are their continuous
            ranked probability score, which for one is the mean absolute difference. All other terms use the first.
        implied: whether a term reads the flow that A implies.
    """

    def __init__(
        self,
        game: AdversarialGame,
        *,
        context: int,
        decoding: Decoding,
        fixed_estimator: nn.Module | None = None,
        kl_warmup: int | None = None,
        samples: int = 1,
        implied: bool = True,
    ) -> None:
        self.game = game
        self.trainees = game.trainees
        self.ema = game.ema
        self.context = context
        self.decoding = decoding
        self.fixed_estimator = fixed_estimator
        self.kl_warmup = kl_warmup
        self.samples = samples
        self.implied = implied

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration: the turns in order, each with a fresh forecast. Returns detached measurements by name."""
        micros = [(self._with_flow(batch), draws) for batch, draws in micros]
        return self.game.step(step, micros, self.generator_losses, self.discriminator_losses, self._weights_at(step))

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """D_I on the true frame and A, W, P; or D_F on label flow and f, f'."""
        draws = draws.fork(adversary.name)
        with torch.no_grad():
            prediction = self._forecast(batch, draws.fork("posterior"))
        real, fake = self._real_and_fake(adversary.name, batch, prediction)
        return adversary.discriminator_losses(real, fake, draws, step)

    def generator_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The weighted terms of the forecast, and the generator against all discriminators."""
        draws = draws.fork("generator")
        prediction = self._forecast(batch, draws.fork("posterior"))
        others = [self._forecast(batch, draws.fork("posterior", n)) for n in range(1, self.samples)]
        drawn = (prediction, *others)
        future = to_float(batch.clip)[:, self.context :]
        terms: dict[str, Callable[[], Tensor]] = {
            "direct": lambda: crps([one.direct for one in drawn], future),
            "warped": lambda: crps([one.warped for one in drawn], future),
            "fused": lambda: crps([one.frames for one in drawn], future),
            "direct_l2": lambda: l2(prediction.direct, future),
            "fused_l2": lambda: l2(prediction.frames, future),
            "direct_log_l2": lambda: log_l2(prediction.direct, future),
            "warped_log_l2": lambda: log_l2(prediction.warped, future),
            "fused_log_l2": lambda: log_l2(prediction.frames, future),
            "fused_dissimilarity": lambda: dissimilarity(prediction.frames, future),
            "flow": lambda: flow_l1(prediction.flow, self._future_flow(batch)),
            "implied_flow": lambda: flow_l1(prediction.implied_flow, self._future_flow(batch)),
            "observed_flow": lambda: flow_l1(prediction.observed_flow[:, :1], self._last_flow(batch)),
            "kl": lambda: kl_standard_normal(prediction.mean, prediction.logvar),
            "gradient_difference": lambda: gradient_difference(prediction.frames, future),
        }
        losses = {name: term() for name, term in terms.items() if name in self.game.weights}
        for name, adversary in self.game.adversaries.items():
            real, fake = self._real_and_fake(name, batch, prediction)
            losses[f"adversarial_{name}"], _ = adversary.generator_loss(fake, real, draws.fork(name))
        losses |= {name: term(prediction, future) for name, term in self.game.own_terms.items()}
        return TurnResult(losses, {})

    def _weights_at(self, step: int) -> dict[str, float]:
        """KL grows linearly to its weight: from the start it would switch the latent off (posterior collapse)."""
        weights = dict(self.game.weights)
        if self.kl_warmup is not None and "kl" in weights:
            weights["kl"] *= min(1.0, (step + 1) / self.kl_warmup)
        return weights

    def _forecast(self, batch: ClipBatch, draws: Draws) -> Prediction:
        """Forecast of all frames after the context, through the prepared generator, z drawn from the posterior."""
        real = to_float(batch.clip)
        horizon = real.shape[1] - self.context
        flow = None if self.fixed_estimator is None else batch.flow[:, :-horizon]
        with self.trainees.autocast():
            prediction = self.trainees.prepared["generator"](
                real[:, : self.context],
                horizon=horizon,
                draws=draws,
                flow=flow,
                decoding=self.decoding,
                implied=self.implied,
            )
        return Prediction(*(part.float() for part in prediction))

    def _real_and_fake(self, name: str, batch: ClipBatch, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """What a discriminator compares: (B, K, ...) real and (B, m*K, ...) its m kinds of fakes."""
        if name == "frame":
            fakes = (prediction.direct, prediction.warped, prediction.frames)
            return to_float(batch.clip)[:, self.context :], torch.cat(fakes, dim=1)  # (B, 3K, C, H, W)
        flows = (prediction.flow, prediction.implied_flow)
        return self._future_flow(batch), torch.cat(flows, dim=1)  # (B, 2K, 2, H, W)

    def _future_flow(self, batch: ClipBatch) -> Tensor:
        """Label flow from each forecast frame to the one before it, (B, K, 2, H, W)."""
        return batch.flow[:, self.context - batch.clip.shape[1] :].float()

    def _last_flow(self, batch: ClipBatch) -> Tensor:
        """Label flow between the last two context frames, (B, 1, 2, H, W): the estimator's only direct teacher."""
        last = self.context - batch.clip.shape[1] - 1
        return batch.flow[:, last : last + 1].float()

    @torch.no_grad()
    def _with_flow(self, batch: ClipBatch) -> ClipBatch:
        """The batch with the fixed estimator's flow, (B, S+K, 2, H, W) with S of 1 or 2, as observed flow and label."""
        if self.fixed_estimator is None:
            return batch
        clip = to_float(batch.clip[:, max(0, self.context - 3) :])
        now, before = (rearrange(part, "b t c h w -> (b t) c h w") for part in (clip[:, 1:], clip[:, :-1]))
        flow = self.fixed_estimator(now, before)  # (B*(S+K), 2, H, W)
        return batch._replace(flow=rearrange(flow, "(b t) c h w -> b t c h w", b=len(clip)))
