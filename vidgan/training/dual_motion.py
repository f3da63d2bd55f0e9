"""Dual Motion GAN's training step (Liang et al., ICCV 2017).

The motion encoder gives z; A = G_I(z), f = G_F(z), W = warp(last frame, f), f' = Q(A, last frame), P = fuse(A, W). The
frame discriminator judges A, W and P against the true frame, the flow discriminator f and f' against the label flow, so
that each branch trains the other (the dual loop).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from vidgan.losses.flow import flow_l1, photometric, smoothness
from vidgan.losses.latent import kl_standard_normal
from vidgan.losses.reconstruction import gradient_difference, l1, l2
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.training.adversary import Adversary, Penalty, frames_apart, play
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Micro, Trainees
from vidgan.types import ClipBatch, Prediction, Terms


class DualMotionTraining:
    """One object per run; `step` reads as the algorithm box.

    Args:
        trainees: "generator" and the discriminators ("frame", "flow") that `weights` names.
        ema: average of the generator, used for all outputs.
        context: frames given; the remaining frames of each clip are forecast, by feedback when there are several.
        weights: the generator's terms, see TERMS.
        adversarial: objective name.
        penalties: regularisation of the discriminators, by name.
        critic_steps: the generator moves on every k-th step.
        noise: step -> sigma of the discriminators' instance noise.
        kl_warmup: steps until the KL term has its full weight.
    """

    TERMS = (
        "direct",
        "warped",
        "fused",
        "direct_l2",
        "fused_l2",
        "photometric",
        "flow",
        "implied_flow",
        "observed_flow",
        "kl",
        "gradient_difference",
        "smoothness",
        "adversarial_frame",
        "adversarial_flow",
    )

    def __init__(
        self,
        *,
        trainees: Trainees,
        ema: ExponentialMovingAverage,
        context: int,
        weights: Mapping[str, float],
        adversarial: str,
        penalties: Mapping[str, Penalty] | None = None,
        critic_steps: int = 1,
        noise: Callable[[int], float] | None = None,
        kl_warmup: int | None = None,
    ) -> None:
        self.trainees = trainees
        self.ema = ema
        self.context = context
        self.weights = dict(weights)
        self.critic_steps = critic_steps
        self.noise = noise
        self.kl_warmup = kl_warmup
        self.adversaries = {
            name: Adversary(
                trainees=trainees,
                name=name,
                adversarial=adversarial,
                penalty=(penalties or {}).get(name),
                view=frames_apart,
            )
            for name in trainees.raw
            if name != "generator"
        }

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """Discriminators, then the generator; each meets a fresh forecast. Returns detached measurements by name."""
        return play(
            step,
            micros,
            trainees=self.trainees,
            ema=self.ema,
            adversaries=self.adversaries,
            noise=self.noise,
            critic_steps=self.critic_steps,
            discriminator_terms=self._discriminator_terms,
            generator_terms=self._generator_terms,
            weights=self._weights_at(step),
        )

    def _weights_at(self, step: int) -> dict[str, float]:
        """KL grows linearly to its weight: from the start it would switch the latent off (posterior collapse)."""
        weights = dict(self.weights)
        if self.kl_warmup is not None and "kl" in weights:
            weights["kl"] *= min(1.0, (step + 1) / self.kl_warmup)
        return weights

    def _forecast(self, batch: ClipBatch, draws: Draws) -> Prediction:
        """Forecast of all frames after the context, through the prepared generator, z drawn from the posterior."""
        real = to_float(batch.clip)
        horizon = real.shape[1] - self.context
        with self.trainees.autocast():
            prediction = self.trainees.prepared["generator"](real[:, : self.context], horizon=horizon, draws=draws)
        return Prediction(*(part.float() for part in prediction))

    def _real_and_fake(self, name: str, batch: ClipBatch, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """What a discriminator compares: (B, K, ...) real and (B, m*K, ...) its m kinds of fakes."""
        if name == "frame":
            fakes = (prediction.direct, prediction.warped, prediction.frames)
            return to_float(batch.clip)[:, self.context :], torch.cat(fakes, dim=1)  # (B, 3K, C, H, W)
        return self._future_flow(batch), torch.cat(
            (prediction.flow, prediction.implied_flow), dim=1
        )  # (B, 2K, 2, H, W)

    def _future_flow(self, batch: ClipBatch) -> Tensor:
        """Label flow from each forecast frame to the one before it, (B, K, 2, H, W)."""
        return batch.flow[:, self.context - 1 :].float()

    def _discriminator_terms(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> Terms:
        draws = draws.fork(adversary.name)
        with torch.no_grad():
            prediction = self._forecast(batch, draws.fork("posterior"))
        real, fake = self._real_and_fake(adversary.name, batch, prediction)
        return adversary.discriminator_terms(real, fake, draws, step)

    def _generator_terms(self, batch: ClipBatch, draws: Draws) -> Terms:
        draws = draws.fork("generator")
        prediction = self._forecast(batch, draws.fork("posterior"))
        future = to_float(batch.clip)[:, self.context :]
        computed: dict[str, Callable[[], Tensor]] = {
            "direct": lambda: l1(prediction.direct, future),
            "warped": lambda: l1(prediction.warped, future),
            "fused": lambda: l1(prediction.frames, future),
            "direct_l2": lambda: l2(prediction.direct, future),
            "fused_l2": lambda: l2(prediction.frames, future),
            "photometric": lambda: photometric(prediction.warped, future),
            "flow": lambda: flow_l1(prediction.flow, self._future_flow(batch)),
            "implied_flow": lambda: flow_l1(prediction.implied_flow, self._future_flow(batch)),
            "observed_flow": lambda: self._observed_flow(batch, prediction),
            "kl": lambda: kl_standard_normal(prediction.mean, prediction.logvar),
            "gradient_difference": lambda: gradient_difference(prediction.frames, future),
            "smoothness": lambda: smoothness(prediction.flow),
        }
        terms = {name: term() for name, term in computed.items() if name in self.weights}
        for name, adversary in self.adversaries.items():
            real, fake = self._real_and_fake(name, batch, prediction)
            terms[f"adversarial_{name}"], _ = adversary.generator_terms(fake, real, draws.fork(name))
        return terms

    def _observed_flow(self, batch: ClipBatch, prediction: Prediction) -> Tensor:
        """The flow estimator on real frames: its only direct teacher."""
        label = batch.flow[:, self.context - 2 : self.context - 1].float()  # (B, 1, 2, H, W)
        return flow_l1(prediction.observed_flow[:, :1], label)
