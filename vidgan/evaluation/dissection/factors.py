"""Does a unit follow the content code or the motion path? An exact two-way split over contents x motions."""

from dataclasses import replace
from typing import Any, Final

import torch
from einops import rearrange

from vidgan.evaluation.dissection.observing import Subject
from vidgan.metrics.units import Split, TwoWaySplit
from vidgan.tasks.synthesis.units import recording
from vidgan.types import Latents

__all__ = ["split_factors"]

FRAMES: Final = 8  # of each motion path, evenly spaced


def split_factors(subject: Subject, contents: int, motions: int) -> tuple[dict[str, Split], dict[str, Split]]:
    """Split each unit's activity over all pairs of a content code and a motion code.

    Every frame is rendered from one content code and one motion code alone, so the frames of all paths are the levels
    of the factor motion; time is part of it. The category belongs to the code that it enters beside.

    Args:
        contents, motions: numbers of content codes and of motion paths.

    Returns:
        layer -> split of the maps, where each place is a variable of its own; and of the maps' means over space.
    """
    motion = subject.draw(motions, "motions").latents
    content = subject.draw(contents, "contents")
    times = torch.linspace(0, subject.frames - 1, min(FRAMES, subject.frames)).round().long()
    places: dict[str, TwoWaySplit] = {}
    means: dict[str, TwoWaySplit] = {}
    for row in range(contents):
        one = content.rows([row] * motions)
        with recording(subject.model) as maps:
            subject.render(replace(one, latents=_with_motion(subject.model, one.latents, motion)), batch_size=motions)
        for layer, output in maps.items():
            if output.dim() != 4:
                continue
            activity = rearrange(output, "(m t) c h w -> m t c h w", m=motions)[:, times].flatten(0, 1)
            places.setdefault(layer, TwoWaySplit()).add(activity)
            means.setdefault(layer, TwoWaySplit()).add(activity.double().mean(dim=(2, 3)))
    by_place, by_mean = ({layer: split.split() for layer, split in table.items()} for table in (places, means))
    return by_place, by_mean


def _with_motion(model: Any, content: Latents, motion: Latents) -> Latents:
    """The content of one with the motion of the other, and the category of the code that it enters beside."""
    category = motion.category if model.category_input == "motion" else content.category
    return content._replace(motion=motion.motion, category=category)
