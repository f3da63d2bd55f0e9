"""The adversarial game of both models: the discriminators' side, and the order of turns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vidgan.losses.adversarial import ADVERSARIAL, accuracy, saturation
from vidgan.losses.latent import category_accuracy, category_cross_entropy
from vidgan.losses.penalties import clip_weights, gradient_penalty, r1
from vidgan.seeding import Draws
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Micro, Trainees
from vidgan.types import ClipBatch, Judgement, Logits, Terms


class Penalty(NamedTuple):
    """Regularisation of the discriminators. Lazy for `every` > 1: each `every`-th step, weighted `every` times."""

    kind: str  # "r1", "gradient_penalty" or "weight_clip"
    weight: float = 0.0
    every: int = 1
    limit: float = 0.0

    def due(self, step: int) -> bool:
        """Whether a gradient is taken at this step.

        The last of each `every` steps, as everything that is due now and then: lazy terms then meet logged steps.
        """
        return self.kind != "weight_clip" and (step + 1) % self.every == 0


def frames_apart(clip: Tensor) -> Tensor:
    """(B, S, C, H, W) -> (B*S, C, H, W), for discriminators of single frames or flows."""
    return clip.flatten(0, 1)


def whole_clip(clip: Tensor) -> Tensor:
    """(B, T, C, H, W) as it is, for discriminators of clips."""
    return clip


class Adversary:
    """One discriminator's side of the game.

    Args:
        trainees: holds the networks.
        name: which discriminator.
        adversarial: name of the objective in ADVERSARIAL.
        penalty: its regularisation, if any.
        view: `frames_apart` or `whole_clip`.
        augment: transformation of (B, S, C, H, W) with one draw per clip (DiffAugment), if any.
        category: whether its category head is trained.
    """

    def __init__(
        self,
        *,
        trainees: Trainees,
        name: str,
        adversarial: str,
        penalty: Penalty | None,
        view: Callable[[Tensor], Tensor],
        augment: Callable[[Tensor, Draws], Tensor] | None = None,
        category: bool = False,
    ) -> None:
        self.trainees = trainees
        self.name = name
        self.loss = ADVERSARIAL[adversarial]
        self.penalty = penalty
        self.view = view
        self.augment = augment
        self.category = category

    def weights(self, step: int) -> dict[str, float]:
        """Weights of the terms that `discriminator_terms` returns at this step."""
        weights = {"adversarial": 1.0}
        if self.category:
            weights["category"] = 1.0
        if self.penalty is not None and self.penalty.due(step):
            weights[self.penalty.kind] = self.penalty.weight * self.penalty.every
        return weights

    def set_noise(self, sigma: float) -> None:
        """Standard deviation of the instance noise in front of the discriminator's convolutions."""
        network: Any = self.trainees.raw[self.name]
        network.set_noise(sigma)

    def after_step(self) -> None:
        """What the WGAN's critic needs after each of its optimizer steps: weights clipped to [-limit, limit]."""
        if self.penalty is not None and self.penalty.kind == "weight_clip":
            clip_weights(self.trainees.raw[self.name], self.penalty.limit)

    def _judge(self, network: nn.Module, seen: Tensor, draws: Draws) -> Judgement:
        """`seen` has been through `view`: one row a clip, or one a frame."""
        return network(seen, draws.expand(len(seen) // len(draws)))

    def _augmented(self, clip: Tensor, draws: Draws) -> Tensor:
        return clip if self.augment is None else self.augment(clip, draws)

    def discriminator_terms(
        self,
        real: Tensor,
        fake: Tensor,
        draws: Draws,
        step: int,
        category: tuple[str, Tensor] | None = None,
    ) -> Terms:
        """Terms of the discriminator's turn.

        Args:
            real: (B, S, C, H, W), without gradient.
            fake: (B, m*S, C, H, W), without gradient: m kinds of fakes after each other.
            draws: for augmentation and instance noise.
            step: decides whether a lazy penalty is due.
            category: ("labels", (B,)) trains the category head on real clips, ("samples", (B,)) on fakes (infoGAN).
        """
        network = self.trainees.prepared[self.name]
        real = self._augmented(real, draws.fork("augment real"))
        fake = self._augmented(fake, draws.fork("augment fake"))
        penalised = self.penalty is not None and self.penalty.due(step)
        # A double backward in bf16 loses the small differences that a gradient penalty is made of.
        with self.trainees.autocast(enabled=not penalised):
            seen = self.view(real).detach().requires_grad_(penalised)
            on_real = self._judge(network, seen, draws.fork("noise real"))
            on_fake = self._judge(network, self.view(fake), draws.fork("noise fake"))
        real_logits = self._paired(on_real.real, real.shape[1], fake.shape[1])
        terms = {"adversarial": self.loss.discriminator(real_logits, on_fake.real)}
        if penalised and self.penalty is not None:
            if self.penalty.kind == "r1":
                terms["r1"] = r1(on_real.real, seen)
            else:
                first_kind = self.view(fake[:, : real.shape[1]])
                mix = draws.fork("mix").expand(len(seen) // len(draws)).uniform().to(seen.device)
                terms["gradient_penalty"] = gradient_penalty(
                    lambda mixed: self._judge(network, mixed, draws.fork("noise mix")).real, seen, first_kind, mix
                )
        class_logits = None
        if category is not None:
            source, labels = category
            class_logits = (on_real if source == "labels" else on_fake).category
            assert class_logits is not None, "a category term needs a discriminator with a category head"
            terms["category"] = category_cross_entropy(class_logits, labels)
        with torch.no_grad():
            right_real, right_fake = accuracy(on_real.real, on_fake.real, self.loss.threshold)
            terms[f"accuracy/{self.name}/real"] = right_real
            terms[f"accuracy/{self.name}/fake"] = right_fake
            terms[f"accuracy/{self.name}/saturated"] = saturation(
                on_real.real, on_fake.real, self.loss.threshold, self.loss.margin
            )
            if class_logits is not None:
                terms[f"accuracy/{self.name}/category"] = category_accuracy(class_logits, labels)
        return terms

    def generator_terms(self, fake: Tensor, real: Tensor, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """The generator's adversarial loss through this (frozen) discriminator, and its category logits on the fakes.

        The network is called unwrapped: it is a fixed function here, and nothing of it needs synchronising.
        """
        network = self.trainees.raw[self.name]
        with self.trainees.autocast():
            seen = self.view(self._augmented(fake, draws.fork("augment fake")))
            on_fake = self._judge(network, seen, draws.fork("noise fake"))
            real_logits = None
            if self.loss.needs_real:
                shown = self.view(self._augmented(real, draws.fork("augment real")))
                on_real = self._judge(network, shown, draws.fork("noise real"))
                real_logits = self._paired(on_real.real, real.shape[1], fake.shape[1])
        return self.loss.generator(on_fake.real, real_logits), on_fake.category

    def _paired(self, real: Logits, real_frames: int, fake_frames: int) -> Logits:
        """Repeat the real logits so that each of the m kinds of fakes meets them: (B*S, ...) -> (B*m*S, ...)."""
        kinds = fake_frames // real_frames
        if kinds == 1 or self.view is whole_clip:
            return real
        split = real.unflatten(0, (-1, real_frames))  # (B, S, ...)
        return torch.cat([split] * kinds, dim=1).flatten(0, 1)


class Game(ABC):
    """What both training algorithms are: a generator, its adversaries, and the order of their turns.

    Args:
        trainees: "generator" and the discriminators.
        ema: average of the generator, used for all outputs.
        weights: the generator's terms.
        adversarial: objective name.
        penalties: regularisation of the discriminators, by name.
        critic_steps: the generator moves on every k-th step.
        noise: step -> sigma of the discriminators' instance noise.
    """

    def __init__(
        self,
        *,
        trainees: Trainees,
        ema: ExponentialMovingAverage,
        weights: Mapping[str, float],
        adversarial: str,
        penalties: Mapping[str, Penalty] | None = None,
        critic_steps: int = 1,
        noise: Callable[[int], float] | None = None,
    ) -> None:
        self.trainees = trainees
        self.ema = ema
        self.weights = dict(weights)
        self.critic_steps = critic_steps
        self.noise = noise
        self.adversaries = {
            name: Adversary(
                trainees=trainees,
                name=name,
                adversarial=adversarial,
                penalty=(penalties or {}).get(name),
                **self._side(name),
            )
            for name in trainees.raw
            if name != "generator"
        }

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration: each discriminator's turn, then, on every `critic_steps`-th step, the generator's.

        Each turn meets fresh fakes. Returns detached measurements by name.
        """
        measured: Terms = {}
        for name, adversary in self.adversaries.items():
            if self.noise is not None:
                adversary.set_noise(self.noise(step))
            terms = partial(self._discriminator_terms, adversary, step)
            with self.trainees.around(name):
                measured |= self.trainees.turn(name, terms, micros, adversary.weights(step), step)
            adversary.after_step()
        if (step + 1) % self.critic_steps == 0:
            weights = self._weights_at(step)
            with self.trainees.around("generator"):
                measured |= self.trainees.turn("generator", self._generator_terms, micros, weights, step)
            self.ema.update(self.trainees.raw["generator"])
        return measured

    def _weights_at(self, step: int) -> dict[str, float]:
        """The generator's terms at a step."""
        return self.weights

    @abstractmethod
    def _side(self, name: str) -> dict[str, Any]:
        """What a discriminator's `Adversary` looks at: view, augmentation, category."""

    @abstractmethod
    def _discriminator_terms(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> Terms:
        """Terms of a discriminator's turn."""

    @abstractmethod
    def _generator_terms(self, batch: ClipBatch, draws: Draws) -> Terms:
        """Terms of the generator's turn."""
