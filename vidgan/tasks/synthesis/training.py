"""MoCoGAN's training step (Tulyakov et al., CVPR 2018, section 3.2).

  max over G, R_M and min over D_I, D_V of
      E[-log D_I(S_1(v))] + E[-log(1 - D_I(S_1(v~)))] + E[-log D_V(S_T(v))] + E[-log(1 - D_V(S_T(v~)))]
S_1 takes one random frame, S_T takes T consecutive frames; with categories, a class head on D_V adds a cross-entropy.
With captions, fakes are made from the captions of the batch, and the real clips with wrong captions count as fakes too.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vidgan.losses.latent import category_accuracy, category_cross_entropy
from vidgan.losses.masks import mask_binary, mask_coverage, mask_entropy
from vidgan.losses.penalties import path_lengths
from vidgan.losses.reconstruction import l1
from vidgan.nn.attention import attention_gammas
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.growing import Growing
from vidgan.tasks.synthesis.layers import Layers, shift_foreground
from vidgan.tasks.synthesis.mocogan import Mixing, Styled
from vidgan.tasks.text.training import Captioned, captions_of, code_terms
from vidgan.training.adaptive import RunningMean
from vidgan.training.adversary import AdversarialGame, Adversary, Categories
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import ClipBatch, Latents, Terms

__all__ = ["MoCoGANTraining"]


class Fakes(NamedTuple):
    """Synthesised clips and what they were made from."""

    clip: Tensor  # (B, T or S, C, H, W)
    latents: Latents
    mask: Tensor | None  # of a layered model
    code: tuple[Tensor, Tensor] | None  # mean and log-variance of the text codes
    styles: Tensor | None  # (B, D), where they were asked for


class MoCoGANTraining:
    """One object per run.

    Args:
        game: the discriminators are "frame" and "video".
        frames_per_clip: number of random frames of each clip that D_I scores.
        path_frames: generated clips are windows, at random positions, of clips of this length, so that frames after the
            trained length are trained too; None: they start at frame 0.
        coverage: lowest and highest mean mask of a layered clip that the term `mask_coverage` leaves free.
        largest_shift: of the foreground of layered clips, pixels; each clip draws its own in each direction.
        reversal: probability that a discriminator of clips sees a clip, real or generated, backwards.
        style_mixing: probability that the finer levels of a clip take the style of another content.
        path_length: mean length of the term `path_length`, if it is weighted.
        path_length_every: the term is taken on every n-th step with n times the weight.
        growing: progressive growing; None: all levels work from the first step.
    """

    def __init__(
        self,
        game: AdversarialGame,
        *,
        frames_per_clip: int = 1,
        path_frames: int | None = None,
        coverage: tuple[float, float] = (0.0, 1.0),
        largest_shift: int = 0,
        reversal: float = 0.0,
        style_mixing: float = 0.0,
        path_length: RunningMean | None = None,
        path_length_every: int = 1,
        growing: Growing | None = None,
    ) -> None:
        self.game = game
        self.trainees = game.trainees
        self.ema = game.ema
        self.frames_per_clip = frames_per_clip
        self.path_frames = path_frames
        self.coverage = coverage
        self.largest_shift = largest_shift
        self.reversal = reversal
        self.style_mixing = style_mixing
        self.path_length = path_length
        self.path_length_every = path_length_every
        self.growing = growing

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration: the turns in order, each with fresh fakes. Returns detached measurements by name."""
        grown = {} if self.growing is None else self.growing.begin(step)
        weights = dict(self.game.weights)
        takes_lengths = self.path_length is not None and (step + 1) % self.path_length_every == 0
        if takes_lengths:
            weights["path_length"] *= self.path_length_every
        else:
            weights.pop("path_length", None)
        losses = partial(self.generator_losses, takes_lengths=True) if takes_lengths else self.generator_losses
        measured = self.game.step(step, micros, losses, self.discriminator_losses, weights)
        if self.path_length is not None and takes_lengths:
            self.path_length.update(self.trainees.accelerator)
            measured["path_length/mean"] = self.path_length.mean.float().clone()
        measured |= grown
        self._share_tracked()
        for name, network in self.trainees.raw.items():
            gammas = attention_gammas(network)
            measured |= {f"attention/{name}/{layer}": gamma for layer, gamma in gammas.items()}
        return measured

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """D_I on random frames of real and fake clips, or D_V on the clips and their categories."""
        draws = draws.fork(adversary.name)
        real = self._real(batch)
        fake_times = None
        if not adversary.scores_clips:
            num_frames = real.shape[1]
            real = take_frames(real, self._random_times(draws.fork("real times"), num_frames).to(real.device))
            fake_times = self._random_times(draws.fork("fake times"), num_frames).to(real.device)
        with torch.no_grad():
            fake, latents, *_ = self._generate(batch, draws.fork("latents"), times=fake_times)
        if adversary.scores_clips:
            real, fake = (
                self._reversed(clip, draws.fork(f"reversal {name}")) for name, clip in (("real", real), ("fake", fake))
            )
        categories = None if adversary.category_source is None else Categories(batch.category, latents.category)
        generator: Any = self.trainees.raw["generator"]
        read_codes = partial(generator.codes.read, latents=latents) if adversary.codes else None
        return adversary.discriminator_losses(real, fake, draws, step, categories, read_codes, captions_of(batch))

    def generator_losses(self, batch: ClipBatch, draws: Draws, takes_lengths: bool = False) -> TurnResult:
        """The generator against all discriminators, with the category, code, first-frame and path-length terms."""
        generator: Any = self.trainees.raw["generator"]
        draws = draws.fork("generator")
        real = self._real(batch)
        drawn = self._generate(batch, draws.fork("latents"), with_styles=takes_lengths)
        fake, latents, mask, code, styles = drawn
        losses: Terms = {}
        metrics: Terms = {}
        for name, adversary in self.game.adversaries.items():
            fake_samples, real_samples = fake, real
            if adversary.scores_clips:
                fake_samples = self._reversed(fake, draws.fork(f"reversal fake {name}"))
                real_samples = self._reversed(real, draws.fork(f"reversal real {name}"))
            else:
                times = self._random_times(draws.fork("times"), fake.shape[1]).to(fake.device)
                fake_samples, real_samples = take_frames(fake, times), take_frames(real, times)
            categories = None if adversary.category_source is None else Categories(batch.category, latents.category)
            loss, answer = adversary.generator_loss(
                fake_samples, real_samples, draws.fork(name), categories, captions_of(batch)
            )
            losses[f"adversarial_{name}"] = loss
            if adversary.trains_category and "category" in self.game.weights:
                logits, _ = adversary.heads(answer)
                losses["category"] = category_cross_entropy(logits, latents.category)
                metrics["accuracy/generator/category"] = category_accuracy(logits, latents.category)
            if adversary.codes:
                losses["codes"], bounds = generator.codes.read(adversary.heads(answer)[1], latents)
                metrics |= {f"{key}/generator": bound for key, bound in bounds.items()}
        if "first_frame" in self.game.weights:
            losses["first_frame"] = l1(fake[:, 0], real[:, 0])
        if code is not None:
            of_codes, measured = code_terms(*code, self.game.weights)
            losses |= of_codes
            metrics |= measured
        if mask is not None:
            terms = {"mask_coverage": mask_coverage(mask, *self.coverage), "mask_binary": mask_binary(mask)}
            losses |= {name: loss for name, loss in terms.items() if name in self.game.weights}
            metrics |= {"mask/mean": mask.detach().mean(), "mask/entropy": mask_entropy(mask.detach())}
        if styles is not None and self.path_length is not None:
            noise = draws.fork("path length").normal(*fake.shape[1:]).to(fake.device)
            lengths = path_lengths(fake, styles, noise)
            losses["path_length"] = (lengths - self.path_length.mean.float()).square().mean()
            self.path_length.observe(lengths)
        losses |= {name: term(fake, real) for name, term in self.game.own_terms.items()}
        return TurnResult(losses, metrics)

    def _share_tracked(self) -> None:
        """Give all processes, and the moving average, the tracked means of the whole batch."""
        frame: Any = getattr(self.trainees.raw["generator"], "frame", None)
        if not hasattr(frame, "tracked"):
            return
        average: Any = self.ema.module
        for mean, averaged in zip(frame.tracked(), average.frame.tracked(), strict=True):
            mean.copy_(self.trainees.accelerator.reduce(mean.clone(), reduction="mean"))
            averaged.copy_(mean)

    def _real(self, batch: ClipBatch) -> Tensor:
        """The real clips (B, T, C, H, W), at the size and detail of the step."""
        clip = to_float(batch.clip)
        return clip if self.growing is None else self.growing.real(clip)

    def _reversed(self, clip: Tensor, draws: Draws) -> Tensor:
        """Each clip of (B, T, C, H, W) backwards with the probability `reversal`."""
        if not self.reversal:
            return clip
        backwards = draws.uniform().to(clip.device) < self.reversal
        return torch.where(backwards[:, None, None, None, None], clip.flip(1), clip)

    def _random_times(self, draws: Draws, num_frames: int) -> Tensor:
        """(B, S) different random frame numbers per clip: the paper's S_1 for S = 1."""
        return draws.uniform(num_frames).argsort(dim=1)[:, : self.frames_per_clip]

    def _generate(
        self, batch: ClipBatch, draws: Draws, times: Tensor | None = None, with_styles: bool = False
    ) -> Fakes:
        """Synthesised clips through the prepared generator, from the batch's captions if the model reads them.

        The foreground of a layered model is shifted at random first: what its mask leaves behind is then out of place.
        """
        generator: Any = self.trainees.raw["generator"]
        device = batch.clip.device
        num_frames = batch.clip.shape[1]
        latents = generator.draw_latents(draws, self.path_frames or num_frames)
        latents = latents._replace(**{name: part.to(device) for name, part in latents._asdict().items()})
        if self.path_frames is not None:
            first = draws.fork("window").integers(self.path_frames - num_frames + 1).to(device)[:, None]
            times = first + (torch.arange(num_frames, device=device) if times is None else times)  # (B, T) or (B, S)
        first_frame = to_float(batch.clip[:, 0]) if generator.needs_first_frame else None
        captions = captions_of(batch)
        asked = {  # passed only where they are used: a generator need not accept them
            "caption": None if captions is None else captions[:, 0],
            # The finer levels of a mixed clip depend on another style, so its path length would lack their part.
            "mixing": None if with_styles else self._mixing(draws),
            "with_styles": with_styles or None,
            "native_size": None if self.growing is None else True,
        }
        with self.trainees.autocast():
            made = self.trainees.prepared["generator"](
                latents,
                first_frame=first_frame,
                times=times,
                as_layers=generator.is_layered,
                **{name: value for name, value in asked.items() if value is not None},
            )
        code: tuple[Tensor, Tensor] | None = None
        if isinstance(made, Captioned):
            code = (made.mean, made.logvar)
            made = made.clips
        if isinstance(made, Styled):
            return Fakes(made.clips.float(), latents, None, code, made.styles)
        if not isinstance(made, Layers):
            return Fakes(made.float(), latents, None, code, None)
        layers = Layers(*(part.float() for part in made))
        if self.largest_shift:
            shift = draws.fork("shift").integers(2 * self.largest_shift + 1, 2).to(device) - self.largest_shift
            return Fakes(shift_foreground(layers, shift).clip(), latents, layers.mask, code, None)
        return Fakes(layers.clip(), latents, layers.mask, code, None)

    def _mixing(self, draws: Draws) -> Mixing | None:
        """A second content, and the level from which each clip takes it: uniform from 1 on, or none."""
        if not self.style_mixing:
            return None
        generator: Any = self.trainees.raw["generator"]
        device, levels = self.trainees.accelerator.device, generator.frame.num_levels
        streams = draws.fork("mixing")
        content = generator.draw_latents(streams.fork("content"), 1).content.to(device)
        mixes = streams.uniform().to(device) < self.style_mixing
        cut = 1 + streams.integers(levels - 1).to(device)
        return Mixing(content, torch.where(mixes, cut, levels))


def take_frames(clip: Tensor, times: Tensor) -> Tensor:
    """The frames `times` (B, S) of each clip: (B, T, C, H, W) -> (B, S, C, H, W)."""
    index = times[:, :, None, None, None].expand(-1, -1, *clip.shape[2:])
    return clip.gather(1, index)
