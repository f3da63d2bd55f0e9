"""New clips from the space-time patches of one clip, without training.

GPNN (Granot et al., "Drop the GAN", CVPR 2022) and its form for video (Haim et al., "Diverse generation from a single
video made possible", ECCV 2022): from coarse to fine, every patch of a guess is replaced by the nearest patch of the
clip at that level, and overlapping patches vote. Noise on the coarsest guess makes the result new; without noise and at
the clip's own size, the result is the clip.

Here an exhaustive search is made where it is cheap, and a local search from the coarser level's field elsewhere, so
that time and memory grow in proportion to the number of pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.cores import adapted_threads
from vidgan.pixels import to_byte, to_float
from vidgan.sections import Section, option
from vidgan.seeding import derive_seed, generator
from vidgan.tasks.single_clip.patch_search import (
    Grid,
    PatchShape,
    describe,
    local_search,
    main_components,
    nearest_patches,
    scale_field,
    vote,
)
from vidgan.tasks.single_clip.scaling import ClipSize, level_sizes, resize_clip, scaled_sizes
from vidgan.types import ByteClip

__all__ = ["SMALLEST_CLIP", "PatchSettings", "PatchSynthesis"]

SMALLEST_CLIP = ClipSize(4, 16, 16)


class PatchSettings(Section):
    """How patches are chosen and compared."""

    frames: int = option(3, "Length of a patch.", unit="frames", ge=1, le=9)
    side: int = option(7, "Height and width of a patch.", unit="pixels", ge=3, le=31)
    factor: float = option(0.75, "Side of a level over that of the next finer one.", gt=0.3, lt=1)
    time_factor: float = option(0.85, "Frames of a level over those of the next finer one.", gt=0.3, le=1)
    shortest: int = option(16, "Short side of the coarsest level.", unit="pixels", ge=8)
    noise: float = option(4.0, "Standard deviation of the noise on the coarsest level; pixels are in [-1, 1].", ge=0)
    completeness: float | None = option(
        0.02, "GPNN's alpha: smaller values use more of the clip; null compares distances alone.", gt=0
    )
    passes: int = option(3, "Rounds of search and vote on each level.", ge=1, le=50)
    components: int = option(32, "Numbers that a patch is compared by.", ge=4, le=1024)
    budget: float = option(
        3e9, "An exhaustive search multiplies at most this many numbers; larger ones are local.", ge=0, le=1e15
    )


class PatchSynthesis:
    """Makes clips from the patches of one clip.

    Args:
        clip: (T, 3, H, W) uint8, at least 4 frames of 16x16.
        settings: of the search.

    Raises:
        ValueError: the clip is too small.
    """

    def __init__(self, clip: ByteClip, settings: PatchSettings = PatchSettings()) -> None:
        self.size = ClipSize(clip.shape[0], clip.shape[-2], clip.shape[-1])
        if any(side < least for side, least in zip(self.size, SMALLEST_CLIP, strict=True)):
            raise ValueError(
                f"{self.size.frames} frames of {self.size.height}x{self.size.width} (HxW) are too few pixels; at least"
                f" {SMALLEST_CLIP.frames} frames of {SMALLEST_CLIP.height}x{SMALLEST_CLIP.width} are needed"
            )
        self.settings = settings
        self.patch = PatchShape(settings.frames, settings.side, settings.side)
        self.sizes = level_sizes(
            self.size,
            factor=settings.factor,
            time_factor=settings.time_factor,
            shortest=max(settings.shortest, settings.side + 1),
            fewest=settings.frames + 1,
        )
        whole = to_float(clip.cpu())[None]
        self.levels = [_rounded(resize_clip(whole, size)) for size in self.sizes]
        self._keys: dict[tuple[int, bool], tuple[Tensor, Grid]] = {}

    @torch.no_grad()
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
        """One new clip.

        Args:
            size: of the result; default: that of the guess, or of the clip.
            guess: (T', 3, H', W') uint8 that the result resembles coarsely; default: the clip, stretched to the size.
            start: number of the level, coarsest first, at which the guess comes in.
            noise: standard deviation on that level; default: that of the settings.
            loop: the first frame follows the last as any other does.
            known: the first frames of the result are those of the guess, exactly; only the rest is made.
            seed: of the noise.

        Returns:
            (T', 3, H', W') uint8.

        Raises:
            ValueError: the size is smaller than a patch on the coarsest level.
        """
        if guess is None:
            size = size or self.size
            whole = self.levels[-1]
        else:
            size = size or ClipSize(guess.shape[0], guess.shape[-2], guess.shape[-1])
            whole = to_float(guess.cpu())[None]
        sizes = scaled_sizes(self.sizes, size)
        least = ClipSize(*self.patch)
        if any(side < smallest for side, smallest in zip(sizes[start], least, strict=True)):
            raise ValueError(
                f"a clip of {size.frames} frames of {size.height}x{size.width} (HxW) is {tuple(sizes[start])} on the"
                f" coarsest level, which is smaller than a patch ({tuple(least)}); choose a larger size"
            )
        # Resized level by level, as the clip's own levels are: the guess that is the clip then equals them exactly.
        guesses = (
            self.levels if guess is None and size == self.size else [_rounded(resize_clip(whole, s)) for s in sizes]
        )
        strength = self.settings.noise if noise is None else noise
        draws = generator("single clip", "noise", seed)
        query = guesses[start]
        if strength:
            query = query + strength * torch.randn(query.shape, generator=draws)
        field: Tensor | None = None
        coarse = (0, 0, 0)
        with adapted_threads():
            for level in range(start, len(sizes)):
                if level > start:
                    query = _rounded(resize_clip(query, sizes[level], loop=loop))
                for turn in range(self.settings.passes):
                    query = _with_known(query, guesses[level], known, size.frames)
                    components, keys = self._described(level, blurred=turn == 0 and level > start)
                    asked = describe(_volume(query), components, loop=loop)
                    if field is not None and turn == 0:
                        field = scale_field(field, asked.shape, coarse, keys.shape)
                    field = self._search(asked, keys, field, (seed, level, turn))
                    coarse = keys.shape
                    voted = vote(_volume(self.levels[level]), field, self.patch, loop=loop)
                    query = _rounded(voted.transpose(0, 1)[None])
            query = _with_known(query, guesses[-1], known, size.frames)
        return to_byte(query[0])

    def _described(self, level: int, *, blurred: bool) -> tuple[Tensor, Grid]:
        """The components of a level's patches and the patches by them, kept for the next clip.

        Args:
            blurred: of the level as it looks when the next coarser one is enlarged, as a query does at first.
        """
        if (level, blurred) not in self._keys:
            source = resize_clip(self.levels[level - 1], self.sizes[level]) if blurred else self.levels[level]
            volume = _volume(_rounded(source))
            components = main_components(volume, self.patch, self.settings.components)
            self._keys[level, blurred] = (components, describe(volume, components))
        return self._keys[level, blurred]

    def _search(self, asked: Grid, keys: Grid, field: Tensor | None, draws: Sequence[int]) -> Tensor:
        cost = len(asked.features) * len(keys.features) * keys.features.shape[1]
        if cost <= self.settings.budget or field is None:
            return nearest_patches(asked, keys, completeness=self.settings.completeness)[0]
        return local_search(asked, keys, field, rounds=2, draw_keys=("single clip", derive_seed(*draws)))[0]


def _volume(clip: Tensor) -> Tensor:
    """(1, T, C, H, W) -> (C, T, H, W)."""
    return clip[0].transpose(0, 1)


def _rounded(clip: Tensor) -> Tensor:
    """The clip on the grey levels of its file, so that equal clips stay equal bit for bit."""
    return to_float(to_byte(clip))


def _with_known(clip: Tensor, guess: Tensor, known: int, frames: int) -> Tensor:
    """The first `known` of `frames` frames replaced by those of the guess, at any level."""
    count = clip.shape[1] * known // frames
    return torch.cat([guess[:, :count], clip[:, count:]], dim=1) if count else clip
