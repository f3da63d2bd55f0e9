"""Clips of the low resolution that half of the scored fakes are made from (stage II), with their captions."""

from pathlib import Path

import torch
from torch import Tensor

from vidgan.data.dataset import ClipDataset
from vidgan.errors import ConfigError, DataError
from vidgan.seeding import Draws, derive_seed
from vidgan.tokens import WordTokeniser
from vidgan.types import ByteClip

__all__ = ["Partners"]


class Partners:
    """Random clips of a prepared data set.

    Args:
        root: folder of the data.
        size: (h, w) that the model reads.
        frames, stride, seed: as in `ClipDataset`.
        tokeniser: of the model's captions; None for a model that reads none.

    Raises:
        ConfigError: frames of another size, or a caption with a word that the model's data do not have.
        DataError: no such data, or clips without captions for a model that reads them.
    """

    def __init__(
        self,
        root: Path,
        *,
        size: tuple[int, int],
        frames: int,
        stride: int,
        seed: int,
        tokeniser: WordTokeniser | None = None,
    ) -> None:
        self.clips = ClipDataset(root, frames=frames, stride=stride, seed=seed)
        self.tokeniser = tokeniser
        if self.clips.size != size:
            height, width = self.clips.size
            raise ConfigError(
                f"data.partners={root}: frames of {height}x{width} (HxW); the model reads {size[0]}x{size[1]}"
            )
        if tokeniser is None:
            return
        for entry in self.clips.entries:
            name = f"data.partners={root}: {entry.source}"
            if not entry.captions:
                raise DataError(
                    f"{name} has no caption, which model.text reads; `vidgan generate` with a model of captions writes"
                    " them beside its clips"
                )
            try:
                tokeniser.numbers(entry.captions)
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}; accepted: words of the captions of data.root") from None

    def draw(self, draws: Draws) -> tuple[ByteClip, Tensor | None]:
        """A clip for each row (B, T, 3, h, w), and one of its captions as word numbers (B, L)."""
        items = draws.fork("items").integers(len(self.clips)).tolist()
        seeds = [derive_seed(*draws.keys, row) % 2**31 for row in draws.rows]  # another start of the clip each time
        clips = torch.stack([self.clips[key].clip for key in zip(seeds, items, strict=True)])
        if self.tokeniser is None:
            return clips, None
        captions = [self.clips.clip_of(item).captions for item in items]
        texts = [some[seed % len(some)] for some, seed in zip(captions, seeds, strict=True)]
        return clips, self.tokeniser.encode(texts)
