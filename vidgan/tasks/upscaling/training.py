"""The training step of an upscaler.

First stage: the terms against the true frames alone. Second stage (SRGAN, Ledig et al. 2017; TecoGAN, Chu et al.
2020): the discriminators score frames and clips as well, and a recurrent model also runs forth and back over each
clip, so that both outputs of a frame agree (ping-pong) and details do not build up over time.

With captions (StackGAN's second stage, Zhang et al. 2017), each clip is enlarged and scored beside its caption: true
clips and partners beside their own. True clips with wrong captions count as fakes too.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.losses.reconstruction import l1, ping_pong
from vidgan.nn.blur import gaussian_blur
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.text.training import Captioned, captions_of, code_terms
from vidgan.tasks.upscaling.config import CorruptionConfig
from vidgan.tasks.upscaling.partners import Partners
from vidgan.tasks.upscaling.scaling import scale_down
from vidgan.tokens import PADDING
from vidgan.training.adversary import AdversarialGame, Adversary
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import Clip, ClipBatch, Terms

__all__ = ["UpscalingTraining", "corrupt"]


class UpscalingTraining:
    """One object per run.

    Args:
        game: the discriminators are "frame" and "video"; own terms are functions of (output, target).
        scale: of the model.
        frames_per_clip: number of random frames of each clip that D_I scores.
        pixel_steps: steps of the first stage.
        corruption: damage of the input.
        partners: clips of the low resolution that half of the scored fakes are made from.
    """

    def __init__(
        self,
        game: AdversarialGame,
        *,
        scale: int,
        frames_per_clip: int = 1,
        pixel_steps: int = 0,
        corruption: CorruptionConfig | None = None,
        partners: Partners | None = None,
    ) -> None:
        self.game = game
        self.trainees = game.trainees
        self.ema = game.ema
        self.scale = scale
        self.frames_per_clip = frames_per_clip
        self.pixel_steps = pixel_steps
        self.pixel_weights = {
            name: weight
            for name, weight in game.weights.items()
            if name != "ping_pong" and not name.startswith("adversarial_")
        }
        self.corruption = corruption
        self.partners = partners

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration: all turns, or in the first stage the generator's alone. Returns measurements by name."""
        if step >= self.pixel_steps:
            return self.game.step(step, micros, self.generator_losses, self.discriminator_losses, self.game.weights)
        measured = self.trainees.update("generator", self.pixel_losses, micros, self.pixel_weights, step)
        self.ema.update(self.trainees.raw["generator"])
        return measured

    def pixel_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The terms of the generator without discriminators."""
        turn, _ = self._pixel_terms(batch, draws.fork("generator"), forth_and_back=False)
        return turn

    def generator_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The terms of the first stage, and the generator against all discriminators."""
        draws = draws.fork("generator")
        real, captions = to_float(batch.clip), captions_of(batch)  # (B, T, 3, H, W), (B, 1 + K, L)
        turn, output = self._pixel_terms(batch, draws, forth_and_back="ping_pong" in self.game.weights)
        fake, own = output, _right(captions)
        if self.partners is not None:
            given, own = self._with_partners(self._input(real, draws), own, draws.fork("partners"))
            fake, _ = self._enlarge(given, own, draws)
        for name, adversary in self.game.adversaries.items():
            fake_samples, real_samples = self._samples(adversary, fake, real, draws.fork("times"))
            turn.losses[f"adversarial_{name}"], _ = adversary.generator_loss(
                fake_samples, real_samples, draws.fork(name), captions=captions, fake_captions=own
            )
        return turn

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """D_I on random frames of true and enlarged clips, or D_V on the clips."""
        draws = draws.fork(adversary.name)
        real, captions = to_float(batch.clip), captions_of(batch)
        given, own = self._with_partners(self._input(real, draws), _right(captions), draws.fork("partners"))
        with torch.no_grad():
            fake, _ = self._enlarge(given, own, draws)
        fake_samples, real_samples = self._samples(adversary, fake, real, draws.fork("times"))
        return adversary.discriminator_losses(
            real_samples, fake_samples, draws, step, captions=captions, fake_captions=own
        )

    def _pixel_terms(self, batch: ClipBatch, draws: Draws, *, forth_and_back: bool) -> tuple[TurnResult, Clip]:
        """The weighted terms against the true frames and of the codes, and the output (B, T, 3, H, W)."""
        weights = self.game.weights
        real, right = to_float(batch.clip), _right(captions_of(batch))
        given = self._input(real, draws)
        length = real.shape[1]
        both = None
        if forth_and_back:
            whole = torch.cat([given, given[:, :-1].flip(1)], dim=1)  # (B, 2T-1, 3, h, w)
            both, codes = self._enlarge(whole, right, draws)
            output = both[:, :length]
        else:
            output, codes = self._enlarge(given, right, draws)
        losses: Terms = {}
        metrics: Terms = {}
        if codes is not None:
            losses, metrics = code_terms(*codes, weights)
        if "l1" in weights:
            losses["l1"] = l1(output, real)
        if both is not None:
            losses["ping_pong"] = ping_pong(both)
        if "consistency" in weights:
            losses["consistency"] = l1(self._reduce(output), self._reduce(real))
        losses |= {name: term(output, real) for name, term in self.game.own_terms.items()}
        return TurnResult(losses, metrics), output

    def _input(self, real: Clip, draws: Draws) -> Clip:
        """What the model reads of true clips: reduced, rounded to grey levels, damaged."""
        small = to_float(to_byte(self._reduce(real)))
        return small if self.corruption is None else corrupt(small, self.corruption, draws.fork("corruption"))

    def _reduce(self, clip: Clip) -> Clip:
        frames = scale_down(rearrange(clip, "b t c h w -> (b t) c h w"), self.scale)
        return rearrange(frames, "(b t) c h w -> b t c h w", b=len(clip))

    def _enlarge(self, given: Clip, captions: Tensor | None, draws: Draws) -> tuple[Clip, tuple[Tensor, Tensor] | None]:
        """Enlarged clips, by codes drawn from captions (B, L) if there are any, with mean and log-variance of these."""
        told: dict[str, Tensor] = {}
        if captions is not None:
            generator: Any = self.trainees.raw["generator"]
            noise = draws.fork("text").normal(generator.text.dim)
            told = {"caption": captions, "noise": noise.to(given.device)}
        with self.trainees.autocast():
            made = self.trainees.prepared["generator"](given, **told)
        if isinstance(made, Captioned):
            return made.clips.float(), (made.mean, made.logvar)
        return made.float(), None

    def _with_partners(self, given: Clip, captions: Tensor | None, draws: Draws) -> tuple[Clip, Tensor | None]:
        """Inputs of the model with every second row of the global batch, and its caption (B, L), those of a partner."""
        if self.partners is None:
            return given, captions
        device = given.device
        chosen = torch.tensor([row % 2 == 1 for row in draws.rows], device=device)  # (B,)
        clips, own = (None if part is None else part.to(device) for part in self.partners.draw(draws))
        assert clips is not None
        if captions is not None and own is not None:
            length = max(captions.shape[1], own.shape[1])
            own, captions = (F.pad(part, (0, length - part.shape[1]), value=PADDING) for part in (own, captions))
            captions = torch.where(chosen[:, None], own, captions)
        return torch.where(chosen[:, None, None, None, None], to_float(clips), given), captions

    def _samples(self, adversary: Adversary, fake: Clip, real: Clip, draws: Draws) -> tuple[Clip, Clip]:
        """What a discriminator scores: the clips, or the same random frames of both."""
        if adversary.scores_clips:
            return fake, real
        times = draws.uniform(real.shape[1]).argsort(dim=1)[:, : self.frames_per_clip].to(real.device)
        index = times[:, :, None, None, None].expand(-1, -1, *real.shape[2:])
        return fake.gather(1, index), real.gather(1, index)


def _right(captions: Tensor | None) -> Tensor | None:
    """The right ones (B, L) of right and wrong captions (B, 1 + K, L)."""
    return None if captions is None else captions[:, 0]


def corrupt(clip: Clip, config: CorruptionConfig, draws: Draws) -> Clip:
    """Mix clips with their blur and add noise; one strength of each per clip, a share of the clips stays as it is.

    Args:
        clip: (B, T, 3, h, w) in [-1, 1].
        config: strengths.
        draws: one stream per clip.

    Returns:
        The same shape, in [-1, 1].
    """
    shape = (-1, 1, 1, 1, 1)
    chosen, blur, noise = (unit.view(shape) for unit in draws.uniform(3).to(clip.device).unbind(1))
    chosen = (chosen < config.probability).to(clip.dtype)
    if config.blur:
        clip = torch.lerp(clip, gaussian_blur(clip, config.blur), chosen * blur)
    if config.noise:
        clip = clip + chosen * noise * config.noise * draws.fork("noise").normal(*clip.shape[1:]).to(clip)
    return clip.clamp(-1, 1)
