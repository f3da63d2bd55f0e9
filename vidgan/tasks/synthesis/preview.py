"""Grids of synthesised clips that show what a model has learned."""

import torch

from vidgan.tasks.base import ClipModel
from vidgan.types import ByteClip


def exchange_grid(model: ClipModel, *, count: int = 4, frames: int = 16, seed: int = 0) -> ByteClip:
    """Combine `count` content codes with `count` motion paths, each path with its category.

    Returns:
        (count * count, T, 3, H, W) uint8, row by row: a row shares one content, a column one motion.
    """
    latents = model.latents(count, frames, seed=seed)
    contents = torch.arange(count).repeat_interleave(count)
    motions = torch.arange(count).repeat(count)
    return model.render(
        latents._replace(
            content=latents.content[contents],
            motion=latents.motion[motions],
            category=latents.category[motions],
            text=latents.text[contents],
        )
    )
