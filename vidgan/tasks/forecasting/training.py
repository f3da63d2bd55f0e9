"""Dual Motion GAN's training step (Liang et al., ICCV 2017).

The motion encoder gives z; A = G_I(z), f = G_F(z), W = warp(last frame, f), f' = Q(A, last frame), P = fuse(A, W). The
frame discriminator judges A, W and P against the true frame, the flow discriminator f and f' against the label flow, so
that each branch trains the other (the dual loop).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vidgan.losses.flow import flow_l1
from vidgan.losses.latent import kl_standard_normal
from vidgan.losses.reconstruction import crps, dissimilarity, gradient_difference, l2, log_l2
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.training.adversary import Adversary, Game, frames_apart
from vidgan.training.trainees import Micro
from vidgan.types import ClipBatch, Prediction, Terms


class DualMotionTraining(Game):
    """One object per run; `step` reads as the algorithm box.

    Args:
        context: frames given; the remaining frames of each clip are forecast, by feedback when there are several.
        kl_warmup: steps until the KL term has its full weight.
        futures: forecasts of each clip, each with a z of its own. `direct`, `warped` and `fused` are their continuous
            ranked probability score, which for one is the mean absolute difference. All other terms see the first.
        game: what `Game` takes; the discriminators are "frame" and "flow", the generator's terms those of TERMS.
    """

    TERMS = (
        "direct",
        "warped",
        "fused",
        "direct_l2",
        "fused_l2",
        "direct_log_l2",
        "warped_log_l2",
        "fused_log_l2",
        "fused_dissimilarity",
        "flow",
        "implied_flow",
        "observed_flow",
        "kl",
        "gradient_difference",
        "adversarial_frame",
        "adversarial_flow",
    )

    def __init__(self, *, context: int, kl_warmup: int | None = None, futures: int = 1, **game: Any) -> None:
        self.context = context
        self.kl_warmup = kl_warmup
        self.futures = futures
        super().__init__(**game)
        generator: Any = self.trainees.raw["generator"]
        # An estimator that does not learn sees the same in each turn, and sees the true future as well as any label.
        self.seer = generator.fixed_estimator

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """Discriminators, then the generator; each meets a fresh forecast. Returns detached measurements by name."""
        return super().step(step, [(self._seen(batch), draws) for batch, draws in micros])

    @torch.no_grad()
    def _seen(self, batch: ClipBatch) -> ClipBatch:
        """The batch with flow as Q sees it, (B, S+K, 2, H, W) with S of 1 or 2, if Q needs no labels of its own."""
        if self.seer is None:
            return batch
        clip = to_float(batch.clip[:, max(0, self.context - 3) :])
        flow = self.seer(clip[:, 1:].flatten(0, 1), clip[:, :-1].flatten(0, 1))  # (B*(S+K), 2, H, W)
        return batch._replace(flow=flow.unflatten(0, (len(clip), -1)))

    def _side(self, name: str) -> dict[str, Any]:
        return {"view": frames_apart}

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
        seen = None if self.seer is None else batch.flow[:, :-horizon]
        with self.trainees.autocast():
            prediction = self.trainees.prepared["generator"](
                real[:, : self.context], horizon=horizon, draws=draws, flow=seen
            )
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
        return batch.flow[:, self.context - batch.clip.shape[1] :].float()

    def _discriminator_terms(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> Terms:
        draws = draws.fork(adversary.name)
        with torch.no_grad():
            prediction = self._forecast(batch, draws.fork("posterior"))
        real, fake = self._real_and_fake(adversary.name, batch, prediction)
        return adversary.discriminator_terms(real, fake, draws, step)

    def _generator_terms(self, batch: ClipBatch, draws: Draws) -> Terms:
        draws = draws.fork("generator")
        prediction = self._forecast(batch, draws.fork("posterior"))
        others = [self._forecast(batch, draws.fork("posterior", n)) for n in range(1, self.futures)]
        drawn = (prediction, *others)
        future = to_float(batch.clip)[:, self.context :]
        computed: dict[str, Callable[[], Tensor]] = {
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
            "observed_flow": lambda: self._observed_flow(batch, prediction),
            "kl": lambda: kl_standard_normal(prediction.mean, prediction.logvar),
            "gradient_difference": lambda: gradient_difference(prediction.frames, future),
        }
        terms = {name: term() for name, term in computed.items() if name in self.weights}
        for name, adversary in self.adversaries.items():
            real, fake = self._real_and_fake(name, batch, prediction)
            terms[f"adversarial_{name}"], _ = adversary.generator_terms(fake, real, draws.fork(name))
        return terms

    def _observed_flow(self, batch: ClipBatch, prediction: Prediction) -> Tensor:
        """The flow estimator on real frames: its only direct teacher."""
        last = self.context - batch.clip.shape[1] - 1
        label = batch.flow[:, last : last + 1].float()  # (B, 1, 2, H, W)
        return flow_l1(prediction.observed_flow[:, :1], label)
