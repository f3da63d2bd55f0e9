"""Clips of two prepared data sets that have nothing to do with each other: the domains of an unpaired translation."""

import logging
from pathlib import Path
from typing import Any, Final

import torch

from vidgan.data.dataset import ClipDataset
from vidgan.errors import DataError
from vidgan.seeding import derive_seed
from vidgan.types import ClipBatch

__all__ = ["UnpairedDataset"]

logger = logging.getLogger(__name__)

FEW: Final = 10  # times fewer items, from which on one domain is likely to be memorised


class UnpairedDataset(ClipDataset):
    """The clips of one domain; each item has a random clip of the other one behind it, as frames of six channels.

    An epoch is one of the first domain. Which clip of the other domain stands beside an item is drawn anew in every
    epoch. Evaluation windows are of the first domain alone.

    Args:
        root: of the first domain.
        other: folder of the other domain, written by `vidgan prepare`.
        options: of `ClipDataset`, for both.

    Raises:
        DataError: as `ClipDataset`, for either; frames of different sizes.
    """

    def __init__(self, root: Path | str, *, other: Path | str, **options: Any) -> None:
        super().__init__(root, **options)
        self.other = ClipDataset(other, **options)
        if self.other.size != self.size:
            sizes = ["x".join(map(str, size)) for size in (self.size, self.other.size)]
            raise DataError(
                f"{other}: frames of {sizes[1]} pixels, those of {root} have {sizes[0]}; accepted: one size. Prepare"
                " both with the same --size"
            )
        fewer, more = sorted((len(self), len(self.other)))
        if fewer * FEW <= more:
            small = root if len(self) == fewer else other
            logger.warning(
                "%s has %d training items, the other domain %d: its discriminator may memorise them", small, fewer, more
            )

    def __getitem__(self, key: tuple[int, int]) -> ClipBatch:
        """One item, a ClipBatch without batch axis: clip (T, 6, H, W), the first domain in front."""
        item = super().__getitem__(key)
        epoch, number = key
        drawn = derive_seed(self.seed, "other", epoch, number) % len(self.other)
        theirs = self.other[epoch * len(self) + number, drawn]  # starts, crops and flips of its own
        return item._replace(clip=torch.cat([item.clip, theirs.clip], dim=1))

    def check_unchanged(self) -> None:
        """See `ClipDataset`; of both domains."""
        super().check_unchanged()
        self.other.check_unchanged()
