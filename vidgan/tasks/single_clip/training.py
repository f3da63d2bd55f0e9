"""The training of a pyramid: scale by scale, the coarsest first, while the coarser ones stay as they are.

The scale follows from the number of the step alone, and all that a scale starts from is in the weights and buffers of
the checkpoint. So a run resumes bit for bit, within a scale and between two.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vidgan.errors import DataError
from vidgan.losses.reconstruction import l2
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.single_clip.pyramid import PyramidCritic, PyramidGAN
from vidgan.tasks.single_clip.scaling import resize_clip
from vidgan.training.adversary import AdversarialGame, Adversary
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import ByteClip, Clip, ClipBatch, Terms

__all__ = ["PyramidTraining", "clip_digest"]


class PyramidTraining:
    """One object per run.

    Args:
        game: the discriminator, if any, is "critic".
        scale_steps: steps of each scale; the last one is trained to the end of the run.
    """

    def __init__(self, game: AdversarialGame, *, scale_steps: int) -> None:
        self.game = game
        self.trainees = game.trainees
        self.ema = game.ema
        self.scale_steps = scale_steps
        self.scale = 0
        self._starts: dict[int, Clip] = {}  # scale -> what its reconstruction starts from

    @property
    def generator(self) -> PyramidGAN:
        """The bare network."""
        network: Any = self.trainees.raw["generator"]
        return network

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration at the step's scale. Returns measurements by name.

        Raises:
            DataError: the data hold another clip than the run began with, or several.
        """
        self.scale = min(step // self.scale_steps, len(self.generator.sizes) - 1)
        clip = micros[0][0].clip[:1]
        if step == 0:
            self._set_buffer("digest", clip_digest(clip))
        if any(int(self.generator.digest) != clip_digest(row[None]) for batch, _ in micros for row in batch.clip):
            raise DataError(
                "the data hold several clips, or one that is longer than data.frames; a pyramid is trained on one clip:"
                " prepare a single video, and set data.frames to its length"
            )
        if step == self.scale * self.scale_steps:
            self._begin_scale(to_float(clip))
        critic: Any = self.trainees.raw.get("critic")
        if critic is not None:
            critic.scale = self.scale
        measured = self.game.step(step, micros, self.generator_losses, self.discriminator_losses, self.game.weights)
        return measured | {"scale": torch.tensor(float(self.scale))}

    def generator_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The critic's answer to a fresh clip, and the error of the reconstruction."""
        real = self._real(batch)
        prepared = self.trainees.prepared["generator"]
        losses: Terms = {}
        fixed = self.generator.reconstruction_noise(self.scale + 1)[-1]
        again = prepared(self._reconstruction_start(), fixed, self.scale)
        # The critic's penalty bounds the norm of its gradient over the whole clip, at any size. This scales alike.
        losses["reconstruction"] = l2(again, real[:1]) * real[0].numel() ** 0.5
        if "critic" in self.game.adversaries:
            fake = self._fake(draws.fork("generator's turn"))
            losses["adversarial_critic"], _ = self.game.adversaries["critic"].generator_loss(fake, real, draws)
        losses |= {name: term(again, real[:1]) for name, term in self.game.own_terms.items()}
        return TurnResult(losses, {"rmse": l2(again, real[:1]).detach().sqrt()})

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The critic on the clip at this scale and a fresh one."""
        with torch.no_grad():
            fake = self._fake(draws.fork("critic's turn"))
        return adversary.discriminator_losses(self._real(batch), fake, draws, step)

    def _fake(self, draws: Draws) -> Clip:
        """Fresh clips of the present scale, one per row of the batch; gradients reach this scale alone.

        The strength of the noise is random, so that the critic also scores variations of the reconstruction.
        """
        generator = self.generator
        noise = generator.draw_noise(draws.fork("generator"), generator.sizes[: self.scale + 1])
        noise = generator.varied(noise, draws.fork("strength").uniform(1)[:, 0].to(noise[0]))
        coarser = generator.grow(noise[:-1], generator.sizes) if self.scale else None
        fake: Clip = self.trainees.prepared["generator"](
            generator.guess(self.scale, coarser, generator.sizes[self.scale]), noise[-1], self.scale
        )
        return fake

    def _real(self, batch: ClipBatch) -> Clip:
        return resize_clip(to_float(batch.clip), self.generator.sizes[self.scale])

    def _reconstruction_start(self) -> Clip:
        """What the reconstruction of the present scale starts from: fixed, since the coarser scales are."""
        if self.scale not in self._starts:
            generator = self.generator
            noise = generator.reconstruction_noise(self.scale)
            coarser = generator.grow(noise, generator.sizes) if self.scale else None
            self._starts = {self.scale: generator.guess(self.scale, coarser, generator.sizes[self.scale])}
        return self._starts[self.scale]

    @torch.no_grad()
    def _begin_scale(self, clip: Clip) -> None:
        """Fix the scale before at its average, start from its weights, and measure how much noise this one gets."""
        scale, generator = self.scale, self.generator
        average: Any = self.ema.module
        self._starts = {}
        self._set_buffer("begun", scale + 1)
        if not scale:
            return
        generator.scales[scale - 1].load_state_dict(average.scales[scale - 1].state_dict())
        if scale > 1:
            generator.scales[scale].load_state_dict(generator.scales[scale - 1].state_dict())
        else:  # the coarsest scale draws all of a clip, this one corrects it: start from no correction
            first: Any = generator.scales[scale]
            first.begin_at_zero()
        average.scales[scale].load_state_dict(generator.scales[scale].state_dict())
        critic: Any = self.trainees.raw.get("critic")
        if isinstance(critic, PyramidCritic):
            critic.scales[scale].load_state_dict(critic.scales[scale - 1].state_dict())
        error = l2(self._reconstruction_start(), resize_clip(clip, generator.sizes[scale])).sqrt()
        generator.amplitudes[scale] = generator.noise * error
        average.amplitudes.copy_(generator.amplitudes)

    def _set_buffer(self, name: str, value: int) -> None:
        average: Any = self.ema.module
        for module in (self.generator, average):
            getattr(module, name).fill_(value)


def clip_digest(clip: ByteClip | Tensor) -> int:
    """A 63-bit number that differs between clips."""
    digest = hashlib.blake2b(clip.cpu().contiguous().numpy().tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
