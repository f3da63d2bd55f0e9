"""A discriminator's side of the adversarial game, and the generator's loss through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.losses.adversarial import AdversarialLoss, accuracy, saturation
from vidgan.losses.latent import category_accuracy, category_cross_entropy
from vidgan.losses.penalties import clip_weights, gradient_penalty, r1
from vidgan.seeding import Draws
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Micro, Trainees, TurnResult
from vidgan.training.turns import Turn, due_turns
from vidgan.types import ClipBatch, Judgement, Logits, Terms

__all__ = ["AdversarialGame", "Adversary", "Penalty"]


class Penalty(NamedTuple):
    """Regularisation of a discriminator; lazy for `every` > 1: each `every`-th step with `every` times the weight."""

    kind: Literal["r1", "gradient_penalty", "weight_clip"]
    weight: float = 0.0
    every: int = 1
    limit: float = 0.0

    def is_due(self, step: int) -> bool:
        """Whether a gradient is taken in this step (the last of each `every` steps, so that logged steps show it)."""
        return self.kind != "weight_clip" and (step + 1) % self.every == 0


class Adversary:
    """One discriminator's side of the game.

    Args:
        trainees: holds the networks.
        name: of the discriminator.
        loss: the adversarial loss.
        penalty: its regularisation, if any.
        scores_clips: True for a discriminator of clips (B, T, C, H, W), False for one of single frames or flows.
        augment: transformation of (B, S, C, H, W) with one draw per clip (DiffAugment), if any.
        trains_category: whether its category head is trained.
    """

    def __init__(
        self,
        *,
        trainees: Trainees,
        name: str,
        loss: AdversarialLoss,
        penalty: Penalty | None = None,
        scores_clips: bool = False,
        augment: Callable[[Tensor, Draws], Tensor] | None = None,
        trains_category: bool = False,
    ) -> None:
        self.trainees = trainees
        self.name = name
        self.loss = loss
        self.penalty = penalty
        self.scores_clips = scores_clips
        self.augment = augment
        self.trains_category = trains_category

    def weights(self, step: int) -> dict[str, float]:
        """Weights of the losses that `discriminator_losses` returns in this step."""
        weights = {"adversarial": 1.0}
        if self.trains_category:
            weights["category"] = 1.0
        if self.penalty is not None and self.penalty.is_due(step):
            weights[self.penalty.kind] = self.penalty.weight * self.penalty.every
        return weights

    def after_update(self) -> None:
        """Clip the weights to [-limit, limit] after each update, if that is the penalty (the WGAN's critic)."""
        if self.penalty is not None and self.penalty.kind == "weight_clip":
            clip_weights(self.trainees.raw[self.name], self.penalty.limit)

    def _samples(self, clip: Tensor) -> Tensor:
        """What the discriminator scores: the clips (B, S, C, H, W), or their frames (B*S, C, H, W)."""
        return clip if self.scores_clips else rearrange(clip, "b s c h w -> (b s) c h w")

    def _score(self, network: nn.Module, samples: Tensor, draws: Draws) -> Judgement:
        """Answers on samples, one row per clip or per frame."""
        answer: Judgement | Tensor = network(samples, draws.expand(len(samples) // len(draws)))
        return Judgement(answer, None) if isinstance(answer, Tensor) else answer

    def _augmented(self, clip: Tensor, draws: Draws) -> Tensor:
        return clip if self.augment is None else self.augment(clip, draws)

    def discriminator_losses(
        self,
        real: Tensor,
        fake: Tensor,
        draws: Draws,
        step: int,
        category: tuple[Literal["labels", "samples"], Tensor] | None = None,
    ) -> TurnResult:
        """Losses and metrics of the discriminator's turn.

        Args:
            real: (B, S, C, H, W), without gradient.
            fake: (B, m*S, C, H, W), without gradient: m kinds of fakes one after another.
            draws: for augmentation and instance noise.
            step: decides whether a lazy penalty is due.
            category: ("labels", (B,)) trains the category head on real clips, ("samples", (B,)) on fakes (InfoGAN).
        """
        network = self.trainees.prepared[self.name]
        real = self._augmented(real, draws.fork("augment real"))
        fake = self._augmented(fake, draws.fork("augment fake"))
        penalty = self.penalty if self.penalty is not None and self.penalty.is_due(step) else None
        # A double backward in bf16 loses the small differences that a gradient penalty consists of.
        with self.trainees.autocast(enabled=penalty is None):
            samples = self._samples(real).detach().requires_grad_(penalty is not None)
            on_real = self._score(network, samples, draws.fork("noise real"))
            on_fake = self._score(network, self._samples(fake), draws.fork("noise fake"))
        real_logits = self._paired(on_real.real, real.shape[1], fake.shape[1])
        losses = {"adversarial": self.loss.discriminator(real_logits, on_fake.real)}
        if penalty is not None and penalty.kind == "r1":
            losses["r1"] = r1(on_real.real, samples)
        elif penalty is not None:
            first_kind = self._samples(fake[:, : real.shape[1]])
            mix = draws.fork("mix").expand(len(samples) // len(draws)).uniform().to(samples.device)
            losses["gradient_penalty"] = gradient_penalty(
                lambda mixed: self._score(network, mixed, draws.fork("noise mix")).real, samples, first_kind, mix
            )
        metrics = self._metrics(on_real.real, on_fake.real)
        if category is not None:
            source, labels = category
            class_logits = (on_real if source == "labels" else on_fake).category
            assert class_logits is not None, "a category term needs a discriminator with a category head"
            losses["category"] = category_cross_entropy(class_logits, labels)
            with torch.no_grad():
                metrics[f"accuracy/{self.name}/category"] = category_accuracy(class_logits, labels)
        return TurnResult(losses, metrics)

    @torch.no_grad()
    def _metrics(self, real: Logits, fake: Logits) -> dict[str, Tensor]:
        right_real, right_fake = accuracy(real, fake, self.loss.threshold)
        return {
            f"accuracy/{self.name}/real": right_real,
            f"accuracy/{self.name}/fake": right_fake,
            f"accuracy/{self.name}/saturated": saturation(real, fake, self.loss.threshold, self.loss.margin),
        }

    def generator_loss(self, fake: Tensor, real: Tensor, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """The generator's adversarial loss through this (frozen) discriminator, and its category logits on the fakes.

        The network is called unwrapped: it is a fixed function here, and nothing of it needs synchronising.
        """
        network = self.trainees.raw[self.name]
        with self.trainees.autocast():
            samples = self._samples(self._augmented(fake, draws.fork("augment fake")))
            on_fake = self._score(network, samples, draws.fork("noise fake"))
            real_logits = None
            if self.loss.needs_real:
                real_samples = self._samples(self._augmented(real, draws.fork("augment real")))
                on_real = self._score(network, real_samples, draws.fork("noise real"))
                real_logits = self._paired(on_real.real, real.shape[1], fake.shape[1])
        return self.loss.generator(on_fake.real, real_logits), on_fake.category

    def _paired(self, real: Logits, real_frames: int, fake_frames: int) -> Logits:
        """Repeat the real logits so that each of m kinds of fakes is paired with them: (B*S, ...) -> (B*m*S, ...)."""
        kinds = fake_frames // real_frames
        if kinds == 1 or self.scores_clips:
            return real
        split = rearrange(real, "(b s) ... -> b s ...", s=real_frames)
        return rearrange(torch.cat([split] * kinds, dim=1), "b s ... -> (b s) ...")


@dataclass(frozen=True)
class AdversarialGame:
    """What training algorithms with discriminators share.

    Attributes:
        trainees: "generator" and the discriminators.
        ema: average of the generator, used for all outputs.
        adversaries: the discriminators' sides, by name.
        turns: the sequence of a step.
        steps_per_epoch: for turns that alternate by epochs.
        weights: of the generator's terms.
        own_terms: name -> function (fake, real) -> scalar, further terms of the generator.
    """

    trainees: Trainees
    ema: ExponentialMovingAverage
    adversaries: Mapping[str, Adversary]
    turns: Sequence[Turn]
    steps_per_epoch: int
    weights: Mapping[str, float]
    own_terms: Mapping[str, Callable[..., Tensor]]

    def step(
        self,
        step: int,
        micros: Sequence[Micro],
        generator_losses: Callable[[ClipBatch, Draws], TurnResult],
        discriminator_losses: Callable[[Adversary, int, ClipBatch, Draws], TurnResult],
        weights: Mapping[str, float],
    ) -> Terms:
        """One iteration: the turns in order; a repeated turn has draws of its own.

        Args:
            step: number of the iteration.
            micros: micro-batches and their draws.
            generator_losses: of a micro-batch.
            discriminator_losses: of one discriminator's side in this step.
            weights: of the generator's terms in this step.

        Returns:
            Detached measurements by name.
        """
        measured: Terms = {}
        for network, repeat in due_turns(self.turns, step, self.steps_per_epoch):
            fresh = [(batch, draws.fork("repeat", repeat)) for batch, draws in micros] if repeat else micros
            if network == "generator":
                measured |= self.trainees.update(network, generator_losses, fresh, weights, step)
                self.ema.update(self.trainees.raw[network])
            else:
                adversary = self.adversaries[network]
                losses = partial(discriminator_losses, adversary, step)
                measured |= self.trainees.update(network, losses, fresh, adversary.weights(step), step)
                adversary.after_update()
        return measured
