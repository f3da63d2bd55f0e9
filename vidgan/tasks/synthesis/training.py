"""MoCoGAN's training step (Tulyakov et al., CVPR 2018, section 3.2).

  max over G, R_M and min over D_I, D_V of
      E[-log D_I(S_1(v))] + E[-log(1 - D_I(S_1(v~)))] + E[-log D_V(S_T(v))] + E[-log(1 - D_V(S_T(v~)))]
S_1 takes one random frame, S_T takes T consecutive frames; with categories, a class head on D_V adds a cross-entropy.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vidgan.losses.latent import category_accuracy, category_cross_entropy
from vidgan.losses.reconstruction import l1
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.training.adversary import Adversary, Game, frames_apart, whole_clip
from vidgan.types import ClipBatch, Terms


class MoCoGANTraining(Game):
    """One object per run; `step` reads as the paper's algorithm box.

    Args:
        augment: one draw per clip, applied to real and fake alike.
        frames_per_clip: how many random frames of each clip D_I sees.
        path_frames: generated clips are windows, at random places, of clips of so many frames, so that what comes after
            the trained length is trained too; None: from the first frame on.
        category_source: "labels" trains the class head on real clips (AC-GAN), "samples" on fakes (infoGAN).
        game: what `Game` takes; the discriminators are "frame" and "video", the generator's terms those of TERMS.
    """

    TERMS = ("adversarial_frame", "adversarial_video", "category", "first_frame")

    def __init__(
        self,
        *,
        augment: Callable[[Tensor, Draws], Tensor] | None = None,
        frames_per_clip: int = 1,
        path_frames: int | None = None,
        category_source: str | None = None,
        **game: Any,
    ) -> None:
        self.augment = augment
        self.frames_per_clip = frames_per_clip
        self.path_frames = path_frames
        self.category_source = category_source
        super().__init__(**game)

    def _side(self, name: str) -> dict[str, Any]:
        if name == "frame":
            return {"view": frames_apart, "augment": self.augment}
        return {"view": whole_clip, "augment": self.augment, "category": self.category_source is not None}

    def _times(self, draws: Draws, frames: int) -> Tensor:
        """(B, S) different random frame numbers per clip: the paper's S_1 for S = 1."""
        return draws.uniform(frames).argsort(dim=1)[:, : self.frames_per_clip]

    def _fake(self, batch: ClipBatch, draws: Draws, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesised clips (B, T or S, C, H, W) and their categories (B,), through the prepared generator."""
        raw: Any = self.trainees.raw["generator"]
        prepared = self.trainees.prepared["generator"]
        device = batch.clip.device
        frames = batch.clip.shape[1]
        latents = raw.draw_latents(draws, self.path_frames or frames)
        latents = latents._replace(**{k: v.to(device) for k, v in latents._asdict().items()})
        if self.path_frames is not None:
            first = draws.fork("window").integers(self.path_frames - frames + 1).to(device)[:, None]
            times = first + (torch.arange(frames, device=device) if times is None else times)  # (B, T) or (B, S)
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
