"""What can be made of one clip, whatever method makes it.

A method is a `ClipMaker`; an operation decides what it starts from, at which level, and what is kept.
"""

from typing import Protocol

import torch

from vidgan.tasks.single_clip.scaling import ClipSize
from vidgan.types import ByteClip

__all__ = ["ClipMaker", "extend", "variations"]


class ClipMaker(Protocol):
    """A method that makes clips from coarse to fine, like `vidgan.tasks.single_clip.patches.PatchSynthesis`.

    Attributes:
        size: of the source clip.
        sizes: of its levels, coarsest first.
    """

    size: ClipSize
    sizes: tuple[ClipSize, ...]

    def synthesise(
        self,
        size: ClipSize | None = None,
        *,
        guess: ByteClip | None = None,
        start: int = 0,
        noise: float | None = None,
        loop: bool = False,
        known: int = 0,
        seed: int = 0,
    ) -> ByteClip:
        """One clip (T', 3, H', W') uint8; see `PatchSynthesis.synthesise`."""
        ...


def variations(
    maker: ClipMaker,
    clips: int,
    *,
    size: ClipSize | None = None,
    loop: bool = False,
    noise: float | None = None,
    seed: int = 0,
) -> ByteClip:
    """Different clips of one size, (clips, T', 3, H', W') uint8; clip i has the seed `seed` + i."""
    return torch.stack([maker.synthesise(size, loop=loop, noise=noise, seed=seed + number) for number in range(clips)])


def extend(
    maker: ClipMaker, source: ByteClip, frames: int, clips: int, *, noise: float | None = None, seed: int = 0
) -> ByteClip:
    """The source and `frames` further frames, (clips, T + frames, 3, H, W) uint8.

    The first guess is the clip played back and forth; the search then finds forward motion for it.
    """
    there_and_back = torch.cat([source.flip(0)[1:], source[1:]])
    repeats = -(-frames // len(there_and_back))
    guess = torch.cat([source, there_and_back.repeat(repeats, 1, 1, 1)[:frames]])
    made = [
        maker.synthesise(guess=guess, known=len(source), noise=noise, seed=seed + number) for number in range(clips)
    ]
    return torch.stack(made)
