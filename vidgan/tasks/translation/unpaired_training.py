"""The training step of unpaired translation: G from domain A to B, F from B to A.

  min over G, F of  sum over both directions of
      adversarial(G(a))                                frames and clips of B          CycleGAN (Zhu et al., ICCV 2017)
    + cycle          |F(Q(G(a))) - a|                  Q corrupts, so that nothing can be hidden
    + identity       |G(b) - b|
    + predictor      |P_A(a_0, a_1) - a_2|             Recycle-GAN (Bansal et al., ECCV 2018)
    + recycle        |F(Q(P_B(G(a_0), G(a_1)))) - a_2|
    + equivariance   |G(warp(a, f)) - warp(G(a), f)|   f drawn at random (Wang et al., AAAI 2022)
    + motion_cycle   |flow(G(a)) - flow(a)|            Mocycle-GAN (Chen et al., MM 2019)
    + feature_means  distance of batch means of D's features       DiscoGAN (Kim et al., ICML 2017)
A term without a weight is not computed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidgan.losses.flow import flow_l1
from vidgan.losses.matching import feature_matching, masked_l1
from vidgan.losses.reconstruction import l1, l2
from vidgan.nn.layer_features import layer_features
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.translation.conditions import RGB, observed_flow, quick_flow
from vidgan.tasks.translation.corruption import corrupt
from vidgan.tasks.translation.fake_pool import FakePool
from vidgan.tasks.translation.synthetic_flow import inside_frame, synthetic_flow
from vidgan.tasks.translation.training import warp_clip
from vidgan.training.adversary import AdversarialGame, Adversary
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import Clip, ClipBatch, Terms

__all__ = ["UnpairedTraining"]

OTHER = {"a": "b", "b": "a"}


class UnpairedTraining:
    """One object per run.

    Args:
        game: the discriminators are "frame_a", "frame_b", "video_a" and "video_b", or some of them; own terms are
            functions of (translation to B, clip of B).
        corruption: names of `CORRUPTIONS` that a translation meets before its return.
        pools: discriminator -> old fakes.
    """

    def __init__(
        self, game: AdversarialGame, *, corruption: tuple[str, ...] = (), pools: dict[str, FakePool] | None = None
    ) -> None:
        self.game = game
        self.trainees = game.trainees
        self.ema = game.ema
        self.corruption = corruption
        self.pools = pools or {}

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration: the turns in order, each with fresh fakes. Returns detached measurements by name."""
        return self.game.step(step, micros, self.generator_losses, self.discriminator_losses, self.game.weights)

    def discriminator_losses(self, adversary: Adversary, step: int, batch: ClipBatch, draws: Draws) -> TurnResult:
        """A discriminator of one domain on its clips and on translations to it, some of them old."""
        domain = adversary.name[-1]
        clips = _domains(batch)
        draws = draws.fork(adversary.name)
        with torch.no_grad():
            fake = self._translate(clips[OTHER[domain]], to=domain)
        pool = self.pools.get(adversary.name)
        if pool is not None:
            frames = rearrange(fake, "b t c h w -> (b t) c h w")
            frames = pool(frames, draws.fork("pool").expand(fake.shape[1]))
            fake = rearrange(frames, "(b t) c h w -> b t c h w", b=len(fake))
        return adversary.discriminator_losses(clips[domain], fake, draws, step)

    def generator_losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        """Both generators, and the predictors, on all terms with a weight."""
        draws = draws.fork("generator")
        clips = _domains(batch)
        translated = {OTHER[domain]: self._translate(clip, to=OTHER[domain]) for domain, clip in clips.items()}
        terms: dict[str, Callable[[str], Tensor]] = {
            "cycle": lambda domain: l1(self._returned(translated, domain, draws), clips[domain]),
            "cycle_l2": lambda domain: l2(self._returned(translated, domain, draws), clips[domain]),
            "identity": lambda domain: l1(self._translate(clips[domain], to=domain), clips[domain]),
            "predictor": lambda domain: l1(self._predict(clips[domain], domain), clips[domain][:, 2:]),
            "recycle": lambda domain: self._recycle(translated, clips[domain], domain, draws),
            "equivariance": lambda domain: self._equivariance(translated, clips[domain], domain, draws),
            "motion_cycle": lambda domain: flow_l1(quick_flow(translated[OTHER[domain]]), observed_flow(clips[domain])),
            "feature_means": lambda domain: self._feature_means(translated, clips, domain, draws),
        }
        losses = {name: term("a") + term("b") for name, term in terms.items() if name in self.game.weights}
        for name, adversary in self.game.adversaries.items():
            domain = name[-1]
            losses[f"adversarial_{name}"], _ = adversary.generator_loss(
                translated[domain], clips[domain], draws.fork(name)
            )
        losses |= {name: term(translated["b"], clips["b"]) for name, term in self.game.own_terms.items()}
        return TurnResult(losses, {})

    def _translate(self, clip: Clip, *, to: str) -> Clip:
        """Through the prepared generator, float32."""
        with self.trainees.autocast():
            result: Clip = self.trainees.prepared["generator"](clip, to)
        return result.float()

    def _predict(self, clip: Clip, domain: str) -> Clip:
        with self.trainees.autocast():
            result: Clip = self.trainees.prepared["generator"](clip, domain, predict=True)
        return result.float()

    def _returned(self, translated: dict[str, Clip], domain: str, draws: Draws) -> Clip:
        """Clips of a domain, there and back."""
        there = corrupt(translated[OTHER[domain]], self.corruption, draws.fork("corruption", domain))
        return self._translate(there, to=domain)

    def _recycle(self, translated: dict[str, Clip], clip: Clip, domain: str, draws: Draws) -> Tensor:
        """The next frame, predicted in the other domain and brought back."""
        predicted = self._predict(translated[OTHER[domain]], OTHER[domain])
        predicted = corrupt(predicted, self.corruption, draws.fork("corruption of the prediction", domain))
        return l1(self._translate(predicted, to=domain), clip[:, 2:])

    def _equivariance(self, translated: dict[str, Clip], clip: Clip, domain: str, draws: Draws) -> Tensor:
        """A moved frame is translated like the frame, then moved: one flow for all frames of a clip."""
        flow = synthetic_flow(draws.fork("flow", domain), (clip.shape[-2], clip.shape[-1]), clip.device)
        flows = flow[:, None].expand(-1, clip.shape[1], -1, -1, -1)  # (B, T, 2, H, W)
        moved_first = self._translate(warp_clip(clip, flows), to=OTHER[domain])
        moved_last = warp_clip(translated[OTHER[domain]], flows)
        return masked_l1(moved_first, moved_last, inside_frame(flows))

    def _feature_means(self, translated: dict[str, Clip], clips: dict[str, Clip], domain: str, draws: Draws) -> Tensor:
        """Distance of the mean features, over the batch, of translations to a domain and its own frames."""
        name = f"frame_{domain}"
        if name not in self.game.adversaries:
            return translated[domain].sum() * 0
        features = []
        for clip in (translated[domain], clips[domain]):
            frames = rearrange(clip, "b t c h w -> (b t) c h w")
            rows = draws.fork("features", name).expand(clip.shape[1])
            with self.trainees.autocast():
                layers = layer_features(self.trainees.raw[name], frames, rows)
            features.append([layer.float().mean(dim=0) for layer in layers])
        return feature_matching(*features)


def _domains(batch: ClipBatch) -> dict[str, Any]:
    """Clips of both domains in [-1, 1], which stand behind each other in the batch's channels."""
    clip = to_float(batch.clip)
    return {"a": clip[:, :, :RGB], "b": clip[:, :, RGB:]}
