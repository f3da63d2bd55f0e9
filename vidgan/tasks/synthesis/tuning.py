"""Pivotal tuning: adapt the frame generator to clips whose codes are fixed (Roich et al. 2022).

What codes cannot express, the weights learn. A locality term holds the clips of other codes in place, so that edits
keep working. The result is another model; the given one does not change.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidgan.losses.reconstruction import l2
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.inference import device_of, frozen
from vidgan.tasks.synthesis.codes import Codes, path_of
from vidgan.tasks.synthesis.inversion import ClipTarget
from vidgan.types import ByteClip

__all__ = ["TuningSettings", "tune_generator"]

LOCAL_FRAMES = 4  # of each random clip of the locality term


@dataclass(frozen=True)
class TuningSettings:
    """How a generator is tuned.

    Attributes:
        steps: optimisation steps for each clip, in turn.
        learning_rate: of Adam.
        locality: weight of the squared change of clips of random codes.
        local_clips: number of random clips in each step.
        seed: of the random codes.
    """

    steps: int = 100
    learning_rate: float = 1e-3
    locality: float = 10.0
    local_clips: int = 3
    seed: int = 0


def tune_generator(
    model: Any,
    codes: Sequence[Codes],
    clips: Sequence[ByteClip],
    settings: TuningSettings = TuningSettings(),
    *,
    on_step: Callable[[], None] = lambda: None,
) -> Any:
    """A copy of `model` whose frame generator draws the clips from their codes.

    The motion network stays as it is.

    Args:
        model: a MoCoGAN.
        codes: of each clip.
        clips: (T, C, H, W) uint8 each.
        on_step: called after each step.
    """
    tuned = copy.deepcopy(model)
    device = device_of(model)
    paths = [path_of(model, one).to(device) for one in codes]
    targets = [ClipTarget(to_float(clip.to(device))[None]) for clip in clips]
    with frozen(tuned), frozen(model):
        tuned.frame.requires_grad_(True)
        optimizer = torch.optim.Adam(tuned.frame.parameters(), lr=settings.learning_rate)
        for step in range(settings.steps * len(codes)):
            which = step % len(codes)
            one = codes[which]
            category = torch.tensor([one.category], device=device)
            fitted = tuned.draw(one.content[None].to(device), paths[which][None], category)
            loss = targets[which].loss(fitted).mean() + settings.locality * _change(tuned, model, step, settings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            on_step()
    return tuned


def _change(tuned: Any, model: Any, step: int, settings: TuningSettings) -> Tensor:
    """Mean squared difference between the clips that both models draw from the same random codes."""
    draws = Draws(settings.seed, "locality", step, rows=range(settings.local_clips), device=device_of(model))
    latents = model.draw_latents(draws, LOCAL_FRAMES)
    with torch.no_grad():
        path = model.path(latents.motion, latents.category)
        before = model.draw(latents.content, path, latents.category)
    return l2(tuned.draw(latents.content, path, latents.category), before)
