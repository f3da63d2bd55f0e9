"""What can be made of one clip, whatever method makes it.

A method is a `ClipMaker`; an operation decides what it starts from, at which level, and what is kept.
"""

from typing import Protocol

import torch
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.pixels import to_byte, to_float
from vidgan.tasks.single_clip.scaling import ClipSize
from vidgan.types import ByteClip

__all__ = ["ClipMaker", "extend", "harmonise", "variations"]

MARGIN, FEATHER = 3, 1.5  # pixels by which a mask is widened, and sigma of its soft edge


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


def harmonise(maker: ClipMaker, composite: ByteClip, mask: Tensor, *, start: int | None = None) -> ByteClip:
    """A pasted object in the manner of the clip, (T, 3, H, W) uint8.

    The composite comes in at a middle level, so that its coarse shape stays and its detail is redrawn, as in SinGAN.
    Outside the widened mask the composite stays as it is.

    Args:
        composite: (T, 3, H, W) uint8, the clip with the object pasted in.
        mask: (T, H, W) or (1, H, W) in [0, 1], 1 on the object.
        start: level, coarsest first; default: the middle one.

    Raises:
        ValueError: the mask does not fit the composite, or the source has one level only.
    """
    if mask.shape[-2:] != composite.shape[-2:] or len(mask) not in (1, len(composite)):
        raise ValueError(f"the mask is {tuple(mask.shape)}, the composite {tuple(composite.shape)}: sizes must agree")
    if len(maker.sizes) < 2:
        raise ValueError(f"the source has a single level of {tuple(maker.sizes[0])}; choose a larger --side")
    middle = len(maker.sizes) // 2
    drawn = maker.synthesise(guess=composite, start=middle if start is None else start, noise=0.0)
    widened = torch.nn.functional.max_pool2d(mask[:, None].float(), 2 * MARGIN + 1, stride=1, padding=MARGIN)
    share = gaussian_blur(widened, FEATHER).clamp(0, 1)
    return to_byte(torch.lerp(to_float(composite), to_float(drawn), share.expand(len(composite), 3, -1, -1)))
