"""A discriminator's side of the adversarial game, and the generator's loss through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.losses.adversarial import AdversarialLoss, accuracy, matching_aware_discriminator, saturation
from vidgan.losses.latent import category_accuracy, category_cross_entropy
from vidgan.losses.penalties import clip_weights, drift, gradient_penalty, r1
from vidgan.seeding import Draws
from vidgan.training.adaptive import AdaptiveProbability
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Micro, Trainees, TurnResult
from vidgan.training.turns import Turn, due_turns
from vidgan.types import ClipBatch, Judgement, Logits, Terms

__all__ = ["AdversarialGame", "Adversary", "Augmentation", "Categories", "Penalty"]

CategorySource = Literal["labels", "samples", "both", "projection"]


class Augmentation(Protocol):
    """What is done to the samples before a discriminator scores them, as `vidgan.nn.augmentation.DiffAugment`."""

    def __call__(self, x: Tensor, draws: Draws, probability: Tensor | None = None) -> Tensor:
        """Clips (B, S, C, H, W), each transformation with this probability per clip; None: always."""
        ...


class Categories(NamedTuple):
    """What the clips of a batch show or should show."""

    real: Tensor  # (B,) int64 labels of the real clips, UNLABELLED where there is none
    fake: Tensor  # (B,) int64 categories that were asked of the generated clips


class Penalty(NamedTuple):
    """Regularisation of a discriminator; lazy for `every` > 1: each `every`-th step with `every` times the weight."""

    kind: Literal["r1", "r2", "r1_r2", "gradient_penalty", "weight_clip"]
    weight: float = 0.0
    every: int = 1
    limit: float = 0.0

    def is_due(self, step: int) -> bool:
        """Whether a gradient is taken in this step (the last of each `every` steps, so that logged steps show it)."""
        return self.kind != "weight_clip" and (step + 1) % self.every == 0

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of its losses."""
        return {"r1_r2": ("r1", "r2"), "weight_clip": ()}.get(self.kind, (self.kind,))


class Adversary:
    """One discriminator's side of the game.

    Args:
        trainees: holds the networks.
        name: of the discriminator.
        loss: the adversarial loss.
        penalty: its regularisation, if any.
        scores_clips: True for a discriminator of clips (B, T, C, H, W), False for one of single frames or flows.
        augment: transformation of the samples with one draw per clip, if any.
        adaptive: how often it is applied (ADA); None: always.
        category_source: its category head learns from "labels" of real clips, from "samples" or from "both";
            "projection": it is given the category; None: it knows of none.
        drift: weight of the mean squared logit of real samples, which keeps logits near 0 (Karras et al. 2018).
        codes: weight of the information codes that are read from the generated samples.
        code_outputs: how many of the last category logits predict them.
        wrong_share: weight of real samples with wrong captions among the negatives, for one that reads captions.
    """

    def __init__(
        self,
        *,
        trainees: Trainees,
        name: str,
        loss: AdversarialLoss,
        penalty: Penalty | None = None,
        scores_clips: bool = False,
        augment: Augmentation | None = None,
        adaptive: AdaptiveProbability | None = None,
        category_source: CategorySource | None = None,
        drift: float = 0.0,
        codes: float = 0.0,
        code_outputs: int = 0,
        wrong_share: float = 0.5,
    ) -> None:
        self.trainees = trainees
        self.name = name
        self.loss = loss
        self.penalty = penalty
        self.scores_clips = scores_clips
        self.augment = augment
        self.adaptive = adaptive
        self.category_source = category_source
        self.drift = drift
        self.codes = codes
        self.code_outputs = code_outputs
        self.wrong_share = wrong_share

    @property
    def trains_category(self) -> bool:
        """Whether its category head is trained."""
        return self.category_source not in (None, "projection")

    def weights(self, step: int) -> dict[str, float]:
        """Weights of the losses that `discriminator_losses` returns in this step."""
        weights = {"adversarial": 1.0}
        if self.trains_category:
            weights["category"] = 1.0
        if self.drift:
            weights["drift"] = self.drift
        if self.codes:
            weights["codes"] = self.codes
        if self.penalty is not None and self.penalty.is_due(step):
            weights |= dict.fromkeys(self.penalty.terms, self.penalty.weight * self.penalty.every)
        return weights

    def after_update(self) -> None:
        """Clip the weights to [-limit, limit] if that is the penalty (the WGAN's critic); adapt the augmentation."""
        if self.penalty is not None and self.penalty.kind == "weight_clip":
            clip_weights(self.trainees.raw[self.name], self.penalty.limit)
        if self.adaptive is not None:
            self.adaptive.update(self.trainees.accelerator)

    def _samples(self, clip: Tensor) -> Tensor:
        """What the discriminator scores: the clips (B, S, C, H, W), or their frames (B*S, C, H, W)."""
        return clip if self.scores_clips else rearrange(clip, "b s c h w -> (b s) c h w")

    def _score(
        self, network: nn.Module, samples: Tensor, draws: Draws, category: Tensor | None = None, *captions: Tensor
    ) -> Judgement:
        """Answers on samples, one row per clip or per frame; captions have one row per clip."""
        given = {"category": category} if self.category_source == "projection" else {}
        answer: Judgement | Tensor = network(samples, draws.expand(len(samples) // len(draws)), *captions, **given)
        return Judgement(answer, None) if isinstance(answer, Tensor) else answer

    def _augmented(self, clip: Tensor, draws: Draws) -> Tensor:
        if self.augment is None:
            return clip
        return self.augment(clip, draws, None if self.adaptive is None else self.adaptive.probability)

    def discriminator_losses(
        self,
        real: Tensor,
        fake: Tensor,
        draws: Draws,
        step: int,
        categories: Categories | None = None,
        read_codes: Callable[[Tensor], tuple[Tensor, Terms]] | None = None,
        captions: Tensor | None = None,
        fake_captions: Tensor | None = None,
    ) -> TurnResult:
        """Losses and metrics of the discriminator's turn.

        Args:
            real: (B, S, C, H, W), without gradient.
            fake: (B, m*S, C, H, W), without gradient: m kinds of fakes one after another.
            draws: for augmentation and instance noise.
            step: decides whether a lazy penalty is due.
            categories: of the clips; needed with a `category_source`.
            read_codes: outputs on the fakes -> the loss "codes", and metrics (InfoGAN).
            captions: (B, 1 + K, L) right and wrong ones, for a discriminator that reads them.
            fake_captions: (B, L) of the fakes; None: the right ones.
        """
        right, both = ((), ()) if captions is None else ((captions[:, 0],), (captions[:, 0], captions[:, 1:]))
        told = right if fake_captions is None else (fake_captions,)
        network = self.trainees.prepared[self.name]
        real = self._augmented(real, draws.fork("augment real"))
        fake = self._augmented(fake, draws.fork("augment fake"))
        penalty = self.penalty if self.penalty is not None and self.penalty.is_due(step) else None
        terms = () if penalty is None else penalty.terms
        of_real, of_fake = (None, None) if categories is None else categories
        # A double backward in bf16 loses the small differences that a gradient penalty consists of.
        with self.trainees.autocast(enabled=penalty is None):
            samples = self._samples(real).detach().requires_grad_("r1" in terms or "gradient_penalty" in terms)
            fakes = self._samples(fake).detach().requires_grad_("r2" in terms)
            on_real = self._score(network, samples, draws.fork("noise real"), of_real, *both)
            on_fake = self._score(network, fakes, draws.fork("noise fake"), of_fake, *told)
        real_logits = self._paired(on_real.real, real.shape[1], fake.shape[1])
        losses = {"adversarial": self.loss.discriminator(real_logits, on_fake.real)}
        if "r1" in terms:
            losses["r1"] = r1(on_real.real, samples)
        if "r2" in terms:
            losses["r2"] = r1(on_fake.real, fakes)
        if "gradient_penalty" in terms:
            first_kind = self._samples(fake[:, : real.shape[1]])
            mix = draws.fork("mix").expand(len(samples) // len(draws)).uniform().to(samples.device)
            losses["gradient_penalty"] = gradient_penalty(
                lambda mixed: self._score(network, mixed, draws.fork("noise mix"), of_real, *right).real,
                samples,
                first_kind,
                mix,
            )
        if self.drift:
            losses["drift"] = drift(on_real.real)
        metrics = self._metrics(on_real.real, on_fake.real)
        if on_real.wrong is not None:
            losses["adversarial"] = matching_aware_discriminator(
                self.loss, real_logits, on_fake.real, on_real.wrong, self.wrong_share
            )
            metrics[f"accuracy/{self.name}/caption"] = (on_real.real[:, None] > on_real.wrong).detach().float().mean()
        if self.adaptive is not None:
            metrics |= {f"{key}/{self.name}": value for key, value in self.adaptive.observe(on_real.real).items()}
        if self.trains_category:
            assert categories is not None, "a category term needs the categories of the clips"
            answers = (("labels", on_real, categories.real), ("samples", on_fake, categories.fake))
            chosen = [(on, labels) for name, on, labels in answers if self.category_source in (name, "both")]
            for number, (on, labels) in enumerate(chosen):
                logits, _ = self.heads(on)
                loss = category_cross_entropy(logits, labels)
                losses["category"] = losses["category"] + loss if number else loss
                with torch.no_grad():
                    correct = category_accuracy(logits, labels)
                name = f"accuracy/{self.name}/category"
                metrics[f"{name}_of_fakes" if number else name] = correct
        if read_codes is not None:
            losses["codes"], bounds = read_codes(self.heads(on_fake)[1])
            metrics |= {f"{key}/{self.name}": bound for key, bound in bounds.items()}
        return TurnResult(losses, metrics)

    def heads(self, answer: Judgement) -> tuple[Tensor, Tensor]:
        """Class logits (B, N) and the outputs that predict information codes (B, code_outputs)."""
        assert answer.category is not None, "categories and codes need a discriminator with a category head"
        num_classes = answer.category.shape[1] - self.code_outputs
        return answer.category[:, :num_classes], answer.category[:, num_classes:]

    @torch.no_grad()
    def _metrics(self, real: Logits, fake: Logits) -> dict[str, Tensor]:
        right_real, right_fake = accuracy(real, fake, self.loss.threshold)
        return {
            f"accuracy/{self.name}/real": right_real,
            f"accuracy/{self.name}/fake": right_fake,
            f"accuracy/{self.name}/saturated": saturation(real, fake, self.loss.threshold, self.loss.margin),
        }

    def generator_loss(
        self,
        fake: Tensor,
        real: Tensor,
        draws: Draws,
        categories: Categories | None = None,
        captions: Tensor | None = None,
        fake_captions: Tensor | None = None,
    ) -> tuple[Tensor, Judgement]:
        """The generator's adversarial loss through this (frozen) discriminator, and its answers on the fakes.

        The network is called unwrapped: it is a fixed function here, and nothing of it needs synchronising. Arguments
        as in `discriminator_losses`.
        """
        right = () if captions is None else (captions[:, 0],)
        told = right if fake_captions is None else (fake_captions,)
        network = self.trainees.raw[self.name]
        of_real, of_fake = (None, None) if categories is None else categories
        with self.trainees.autocast():
            samples = self._samples(self._augmented(fake, draws.fork("augment fake")))
            on_fake = self._score(network, samples, draws.fork("noise fake"), of_fake, *told)
            real_logits = None
            if self.loss.needs_real:
                real_samples = self._samples(self._augmented(real, draws.fork("augment real")))
                on_real = self._score(network, real_samples, draws.fork("noise real"), of_real, *right)
                real_logits = self._paired(on_real.real, real.shape[1], fake.shape[1])
        return self.loss.generator(on_fake.real, real_logits), on_fake

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
