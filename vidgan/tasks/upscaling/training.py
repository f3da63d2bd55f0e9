"""The training step of an upscaler.

First stage: the terms against the true frames alone. Second stage (SRGAN, Ledig et al. 2017; TecoGAN, Chu et al.
2020): the discriminators score frames and clips as well, and a recurrent model also runs forth and back over each
clip, so that both outputs of a frame agree (ping-pong) and details do not build up over time.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from vidgan.data.dataset import ClipDataset
from vidgan.losses.reconstruction import l1, ping_pong
from vidgan.nn.blur import gaussian_blur
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws, derive_seed
from vidgan.tasks.upscaling.config import CorruptionConfig
from vidgan.tasks.upscaling.scaling import scale_down
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
        partners: ClipDataset | None = None,
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
        losses, _ = self._pixel_terms(to_float(batch.clip), draws.fork("generator"), forth_and_back=False)
        return TurnResult(losses, {})

    def generator_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """The terms of the first stage, and the generator against all discriminators."""
        draws = draws.fork("generator")
        real = to_float(batch.clip)  # (B, T, 3, H, W)
        losses, output = self._pixel_terms(real, draws, forth_and_back="ping_pong" in self.game.weights)
        fake = self._with_partners(output, draws.fork("partners"))
        for name, adversary in self.game.adversaries.items():
            fake_samples, real_samples = self._samples(adversary, fake, real, draws.fork("times"))
            losses[f"adversarial_{name}"], _ = adversary.generator_loss(fake_samples, real_samples, draws.fork(name))
        return TurnResult(losses, {})

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """D_I on random frames of true and enlarged clips, or D_V on the clips."""
        draws = draws.fork(adversary.name)
        real = to_float(batch.clip)
        with torch.no_grad():
            fake = self._with_partners(self._enlarge(self._input(real, draws)), draws.fork("partners"))
        fake_samples, real_samples = self._samples(adversary, fake, real, draws.fork("times"))
        return adversary.discriminator_losses(real_samples, fake_samples, draws, step)

    def _pixel_terms(self, real: Clip, draws: Draws, *, forth_and_back: bool) -> tuple[Terms, Clip]:
        """The weighted terms against the true frames, and the output (B, T, 3, H, W)."""
        weights = self.game.weights
        given = self._input(real, draws)
        length = real.shape[1]
        both = None
        if forth_and_back:
            both = self._enlarge(torch.cat([given, given[:, :-1].flip(1)], dim=1))  # (B, 2T-1, 3, H, W)
            output = both[:, :length]
        else:
            output = self._enlarge(given)
        losses: Terms = {}
        if "l1" in weights:
            losses["l1"] = l1(output, real)
        if both is not None:
            losses["ping_pong"] = ping_pong(both)
        if "consistency" in weights:
            losses["consistency"] = l1(self._reduce(output), self._reduce(real))
        return losses | {name: term(output, real) for name, term in self.game.own_terms.items()}, output

    def _input(self, real: Clip, draws: Draws) -> Clip:
        """What the model reads of true clips: reduced, rounded to grey levels, damaged."""
        small = to_float(to_byte(self._reduce(real)))
        return small if self.corruption is None else corrupt(small, self.corruption, draws.fork("corruption"))

    def _reduce(self, clip: Clip) -> Clip:
        frames = scale_down(rearrange(clip, "b t c h w -> (b t) c h w"), self.scale)
        return rearrange(frames, "(b t) c h w -> b t c h w", b=len(clip))

    def _enlarge(self, given: Clip) -> Clip:
        with self.trainees.autocast():
            large: Tensor = self.trainees.prepared["generator"](given)
        return large.float()

    def _with_partners(self, fake: Clip, draws: Draws) -> Clip:
        """Every second row of the global batch replaced by an enlarged partner."""
        if self.partners is None:
            return fake
        chosen = torch.tensor([row % 2 == 1 for row in draws.rows])  # (B,)
        items = draws.fork("items").integers(len(self.partners)).tolist()
        epochs = [derive_seed(*draws.keys, row) % 2**31 for row in draws.rows]  # another start of the clip each time
        clips = torch.stack([self.partners[key].clip for key in zip(epochs, items, strict=True)])
        large = self._enlarge(to_float(clips.to(fake.device)))
        return torch.where(chosen.to(fake.device)[:, None, None, None, None], large, fake)

    def _samples(self, adversary: Adversary, fake: Clip, real: Clip, draws: Draws) -> tuple[Clip, Clip]:
        """What a discriminator scores: the clips, or the same random frames of both."""
        if adversary.scores_clips:
            return fake, real
        times = draws.uniform(real.shape[1]).argsort(dim=1)[:, : self.frames_per_clip].to(real.device)
        index = times[:, :, None, None, None].expand(-1, -1, *real.shape[2:])
        return fake.gather(1, index), real.gather(1, index)


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
