"""MoCoGAN's training step (Tulyakov et al., CVPR 2018, section 3.2).

  max over G, R_M and min over D_I, D_V of
      E[-log D_I(S_1(v))] + E[-log(1 - D_I(S_1(v~)))] + E[-log D_V(S_T(v))] + E[-log(1 - D_V(S_T(v~)))]
S_1 takes one random frame, S_T takes T consecutive frames; with categories, a class head on D_V adds a cross-entropy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vidgan.losses.latent import category_accuracy, category_cross_entropy
from vidgan.losses.reconstruction import l1
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.training.adversary import Adversary, Penalty, frames_apart, play, whole_clip
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Micro, Trainees
from vidgan.types import ClipBatch, Terms


class MoCoGANTraining:
    """One object per run; `step` reads as the paper's algorithm box.

    Args:
        trainees: "generator" and the discriminators ("frame", "video") that `weights` names.
        ema: average of the generator, used for all outputs.
        weights: the generator's terms: adversarial_frame, adversarial_video, category, first_frame.
        adversarial: objective name.
        penalties: regularisation of the discriminators, by name.
        augment: one draw per clip, applied to real and fake alike.
        frames_per_clip: how many random frames of each clip D_I sees.
        category_source: "labels" trains the class head on real clips (AC-GAN), "samples" on fakes (infoGAN).
        critic_steps: the generator moves on every k-th step.
        noise: step -> sigma of the discriminators' instance noise.
    """

    TERMS = ("adversarial_frame", "adversarial_video", "category", "first_frame")

    def __init__(
        self,
        *,
        trainees: Trainees,
        ema: ExponentialMovingAverage,
        weights: Mapping[str, float],
        adversarial: str,
        penalties: Mapping[str, Penalty] | None = None,
        augment: Callable[[Tensor, Draws], Tensor] | None = None,
        frames_per_clip: int = 1,
        category_source: str | None = None,
        critic_steps: int = 1,
        noise: Callable[[int], float] | None = None,
    ) -> None:
        self.trainees = trainees
        self.ema = ema
        self.weights = dict(weights)
        self.frames_per_clip = frames_per_clip
        self.category_source = category_source
        self.critic_steps = critic_steps
        self.noise = noise
        self.adversaries = {
            name: Adversary(
                trainees=trainees,
                name=name,
                adversarial=adversarial,
                penalty=(penalties or {}).get(name),
                view=frames_apart if name == "frame" else whole_clip,
                augment=augment,
                category=name == "video" and category_source is not None,
            )
            for name in trainees.raw
            if name != "generator"
        }

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """Discriminators, then the generator; each meets fresh fakes. Returns detached measurements by name."""
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
            weights=self.weights,
        )

    def _times(self, draws: Draws, frames: int) -> Tensor:
        """(B, S) different random frame numbers per clip: the paper's S_1 for S = 1."""
        return draws.uniform(frames).argsort(dim=1)[:, : self.frames_per_clip]

    def _fake(self, batch: ClipBatch, draws: Draws, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesised clips (B, T or S, C, H, W) and their categories (B,), through the prepared generator."""
        raw: Any = self.trainees.raw["generator"]
        prepared = self.trainees.prepared["generator"]
        device = batch.clip.device
        latents = raw.draw_latents(draws, batch.clip.shape[1])
        latents = latents._replace(**{k: v.to(device) for k, v in latents._asdict().items()})
        first_frame = to_float(batch.clip[:, 0]) if raw.image_to_video else None
        with self.trainees.autocast():
            clip = prepared(latents, first_frame=first_frame, times=times)
        return clip.float(), latents.category

    def _discriminator_terms(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> Terms:
        draws = draws.fork(adversary.name)
        real = to_float(batch.clip)  # (B, T, C, H, W)
        fake_times = None
        if adversary.view is frames_apart:
            real = take(real, self._times(draws.fork("real times"), real.shape[1]).to(real.device))
            fake_times = self._times(draws.fork("fake times"), batch.clip.shape[1]).to(real.device)
        with torch.no_grad():
            fake, sampled = self._fake(batch, draws.fork("latents"), times=fake_times)
        category = None
        if adversary.category and self.category_source is not None:
            labels = batch.category if self.category_source == "labels" else sampled
            category = (self.category_source, labels)
        return adversary.discriminator_terms(real, fake, draws, step, category)

    def _generator_terms(self, batch: ClipBatch, draws: Draws) -> Terms:
        draws = draws.fork("generator")
        real = to_float(batch.clip)
        fake, sampled = self._fake(batch, draws.fork("latents"))  # (B, T, C, H, W)
        terms: Terms = {}
        for name, adversary in self.adversaries.items():
            some_fake, some_real = fake, real
            if adversary.view is frames_apart:
                times = self._times(draws.fork("times"), fake.shape[1]).to(fake.device)
                some_fake, some_real = take(fake, times), take(real, times)
            terms[f"adversarial_{name}"], logits = adversary.generator_terms(some_fake, some_real, draws.fork(name))
            if name == "video" and "category" in self.weights:
                assert logits is not None, "a category term needs a discriminator with a category head"
                terms["category"] = category_cross_entropy(logits, sampled)
                terms["accuracy/generator/category"] = category_accuracy(logits, sampled)
        if "first_frame" in self.weights:
            terms["first_frame"] = l1(fake[:, 0], real[:, 0])
        return terms


def take(clip: Tensor, times: Tensor) -> Tensor:
    """The frames `times` (B, S) of each clip: (B, T, C, H, W) -> (B, S, C, H, W)."""
    index = times[:, :, None, None, None].expand(-1, -1, *clip.shape[2:])
    return clip.gather(1, index)
