"""Find the codes of a given clip: optimisation of content and motion through a frozen MoCoGAN.

Several starts run for a while side by side; the best one is refined. Motion is fitted as the motion network's inputs,
which stay close to what it was trained on, can be edited and continued, or as a free path of motion codes, which fits
better and edits worse (as W against W+ for images, Abdal et al. 2019).

A plain pixel loss would freeze: most pixels are background, so sixteen equal frames already have a low loss. Pixels are
therefore weighted by their variance over time, and `vidgan.metrics.still_fits` compares the result with still clips.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.losses.reconstruction import gradient_difference
from vidgan.metrics.still_fits import Reconstruction, reconstruction_scores
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.inference import device_of, frozen
from vidgan.tasks.synthesis.codes import Codes, MotionKind, model_hash, render_codes
from vidgan.tasks.synthesis.inversion_encoder import InversionEncoder
from vidgan.types import ByteClip, Clip

__all__ = ["ClipTarget", "Inversion", "InversionSettings", "check_invertible", "inputs_for_path", "invert_clip"]

POOLS = (1, 4, 16)  # pixels; coarse scales pull an object towards its place where the fine one has no gradient
EDGES = 0.5  # weight of the gradient-difference loss
MAX_WEIGHT = 10.0  # of a pixel, relative to the mean
SCREENING = 0.3  # share of the steps that all starts run
PATH_STEPS, PATH_RATE, PATH_PRIOR = 150, 0.1, 0.01  # of the search for inputs that lead to a path
PERTURBATION = 0.3  # standard deviation of the further starts around the encoder's codes


@dataclass(frozen=True)
class InversionSettings:
    """How a clip is inverted.

    Attributes:
        motion: "inputs" of the motion network, or a free "path".
        starts: number of starts; without an encoder at least one for each category.
        steps: optimisation steps of the best start; all starts run `SCREENING` of them first.
        learning_rate: of Adam, for all codes; falls to a twentieth.
        prior: weight of (|z|^2 / d - 1)^2, which keeps codes at the length of drawn ones.
        smoothness: weight of the mean squared second difference of the path.
        seed: of the starts.
    """

    motion: MotionKind = "inputs"
    starts: int = 4
    steps: int = 300
    learning_rate: float = 0.1
    prior: float = 0.02
    smoothness: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Inversion:
    """The codes of a clip and how well they fit.

    Attributes:
        codes: of the best start.
        scores: of `reconstruction` beside still clips.
        reconstruction: (T, 3, H, W) uint8, what `render_codes` makes of the codes.
        start_psnr: PSNR of each start after screening, dB of the weighted error; their range is the spread.
    """

    codes: Codes
    scores: Reconstruction
    reconstruction: ByteClip
    start_psnr: tuple[float, ...]


def check_invertible(model: Any, run: object) -> None:
    """Raise ConfigError for a model whose content is no free code."""
    if model.needs_first_frame:
        raise ConfigError(
            f"{run}: this model continues a given frame (model.encoder), so a clip has no content code to find;"
            " accepted: a MoCoGAN that draws clips from noise"
        )
    if model.codes.motion_width or model.noise_places:
        key = "model.codes of the motion" if model.codes.motion_width else "model.frame.noise_levels"
        raise ConfigError(f"{run}: this model has {key}, which inversion does not search; accepted: one without")
    if model.reads_captions:
        raise ConfigError(
            f"{run}: this model reads captions (model.text), and codes of a clip hold no caption; accepted: a MoCoGAN"
            " without text"
        )


def invert_clip(
    model: Any,
    clip: ByteClip,
    settings: InversionSettings = InversionSettings(),
    *,
    encoder: InversionEncoder | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Inversion:
    """Find the codes of a clip. The model does not change.

    Args:
        model: a MoCoGAN that draws clips from noise.
        clip: (T, 3, H, W) uint8 of the model's frame size, T of 2 or more.
        encoder: gives the first start, trained with `train_encoder`.
        on_step: called after each optimisation step.

    Returns:
        The best fit; codes on the CPU.

    Raises:
        ConfigError: a model that continues a given frame.
        ValueError: a clip of another size.
    """
    check_invertible(model, "model")
    if clip.ndim != 4 or tuple(clip.shape[1:]) != (model.channels, *model.image_size) or len(clip) < 2:
        size = (model.channels, *model.image_size)
        raise ValueError(f"clip must be (T, C, H, W) with (C, H, W) = {size} and T of 2 or more, got {(*clip.shape,)}")
    with frozen(model):
        target = ClipTarget(to_float(clip.to(device_of(model)))[None])
        candidates = _starts(model, clip, settings, encoder)
        screening = max(1, round(SCREENING * settings.steps)) if len(candidates) > 1 else 0
        if screening:
            candidates.optimise(model, target, settings, screening, on_step)
        errors = candidates.errors(model, target)
        best = candidates.row(int(errors.argmin()))
        best.optimise(model, target, settings, settings.steps, on_step)
        codes = best.codes(model_hash(model), 0)
    reconstruction = render_codes(model, codes)
    return Inversion(
        codes=codes,
        scores=reconstruction_scores(reconstruction, clip),
        reconstruction=reconstruction,
        start_psnr=tuple((-10 * (errors / 4).log10()).tolist()),
    )


class ClipTarget:
    """The clip to fit, (1, T, C, H, W) in [-1, 1], and the weight of each pixel."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        variance = clip.var(dim=1, correction=0, keepdim=True).mean(dim=2, keepdim=True)  # (1, 1, 1, H, W)
        weight = (1 + variance / variance.mean().clamp(min=1e-8)).clamp(max=MAX_WEIGHT)
        self.weight = weight / weight.mean()

    def loss(self, clips: Clip) -> Tensor:
        """Of each row: weighted L1 at several scales and gradient difference, (B,)."""
        difference = self.weight * (clips - self.clip)
        frames = rearrange(difference, "b t c h w -> (b t) c h w")
        total = clips.new_zeros(len(clips))
        for pool in POOLS:
            pooled = F.avg_pool2d(frames, pool) if pool > 1 else frames
            total = total + rearrange(pooled.abs(), "(b t) c h w -> b (t c h w)", b=len(clips)).mean(dim=1)
        edges = [gradient_difference(row, self.clip[0]) for row in clips]
        return total + EDGES * torch.stack(edges)

    def error(self, clips: Clip) -> Tensor:
        """Weighted mean squared error of each row, (B,)."""
        return (self.weight * (clips - self.clip).square()).flatten(1).mean(dim=1)


class _Candidates:
    """Codes of several starts, as leaves of the optimisation."""

    def __init__(self, content: Tensor, motion: Tensor, category: Tensor, kind: MotionKind) -> None:
        self.content = content.detach().clone().requires_grad_()
        self.motion = motion.detach().clone().requires_grad_()
        self.category = category
        self.kind: MotionKind = kind

    def __len__(self) -> int:
        return len(self.content)

    def row(self, row: int) -> "_Candidates":
        rows = slice(row, row + 1)
        return _Candidates(self.content[rows], self.motion[rows], self.category[rows], self.kind)

    def render(self, model: Any) -> tuple[Clip, Tensor]:
        """Clips and paths."""
        path = model.path(self.motion, self.category) if self.kind == "inputs" else self.motion
        return model.draw(self.content, path, self.category), path

    @torch.no_grad()
    def errors(self, model: Any, target: ClipTarget) -> Tensor:
        """Weighted mean squared error of each row, (B,), on the CPU."""
        return target.error(self.render(model)[0]).cpu()

    def codes(self, model: str, row: int) -> Codes:
        content, motion = (part[row].detach().float().cpu().clone() for part in (self.content, self.motion))
        return Codes(content, motion, self.kind, int(self.category[row]), model)

    def optimise(
        self, model: Any, target: ClipTarget, settings: InversionSettings, steps: int, on_step: Callable[[], None]
    ) -> None:
        """Adam on all rows at once (they do not affect each other); each keeps the codes of its lowest error."""
        optimizer = torch.optim.Adam([self.content, self.motion], lr=settings.learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, settings.learning_rate / 20)
        lowest = torch.full((len(self),), float("inf"), device=self.content.device)
        kept = [self.content.detach().clone(), self.motion.detach().clone()]
        for step in range(steps + 1):
            clips, path = self.render(model)
            with torch.no_grad():
                error = target.error(clips)
                better = error < lowest
                lowest = torch.where(better, error, lowest)
                for keep, now in zip(kept, (self.content, self.motion), strict=True):
                    keep[better] = now[better]
            if step == steps:
                break
            loss = target.loss(clips) + settings.prior * _off_shell(self.content)
            if self.kind == "inputs":
                loss = loss + settings.prior * _off_shell(self.motion)
            if settings.smoothness:
                bend = path.diff(n=2, dim=1).square().flatten(1).mean(dim=1)
                loss = loss + settings.smoothness * bend
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            schedule.step()
            on_step()
        with torch.no_grad():
            self.content.copy_(kept[0])
            self.motion.copy_(kept[1])


def _off_shell(codes: Tensor) -> Tensor:
    """(|z|^2 / d - 1)^2 of each row, (B,): zero for the typical length of a drawn code."""
    return (codes.square().flatten(1).mean(dim=1) - 1).square()


@torch.no_grad()
def _starts(model: Any, clip: ByteClip, settings: InversionSettings, encoder: InversionEncoder | None) -> _Candidates:
    """Random codes, in the categories in turn, the first of mean content; or the encoder's codes and others around."""
    device = device_of(model)
    categories = max(1, model.num_categories)
    number = max(settings.starts, categories) if encoder is None else settings.starts
    draws = Draws(settings.seed, "inversion", rows=range(number), device=device)
    category = torch.arange(number, device=device) % categories
    drawn = model.draw_latents(draws, len(clip), category if model.num_categories else None)
    content, category = drawn.content, drawn.category
    if encoder is None:
        content[0].zero_()
        motion = drawn.motion if settings.motion == "inputs" else model.path(drawn.motion, category)
        return _Candidates(content, motion, category, settings.motion)
    encoded = encoder.encode(clip)
    category = (category + encoded.category) % categories  # its own first
    share = torch.full((number, 1), PERTURBATION, device=device)
    share[0] = 0
    content = encoded.content.to(device) + share * content
    motion = encoded.motion.to(device) + share[:, :, None] * model.path(drawn.motion, category)
    if settings.motion == "inputs":
        motion = inputs_for_path(model, motion, category, 0.1 * drawn.motion)
    return _Candidates(content, motion, category, settings.motion)


@torch.enable_grad()
def inputs_for_path(model: Any, path: Tensor, category: Tensor, start: Tensor) -> Tensor:
    """Inputs of the motion network that lead close to given paths; no frame is rendered, so this is fast.

    Args:
        path: (B, T, dim_motion).
        category: (B,) int64.
        start: (B, warm_up + T + 1, dim_motion), where the search begins.

    Returns:
        (B, warm_up + T + 1, dim_motion).
    """
    inputs, path = start.detach().clone().requires_grad_(), path.detach()
    scale = path.var().clamp(min=1e-6)
    optimizer = torch.optim.Adam([inputs], lr=PATH_RATE, betas=(0.9, 0.99))
    for _ in range(PATH_STEPS):
        error = (model.path(inputs, category) - path).square().flatten(1).mean(dim=1) / scale
        loss = error + PATH_PRIOR * inputs.square().flatten(1).mean(dim=1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return inputs.detach()
