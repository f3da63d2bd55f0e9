"""Captions read by a published sentence encoder, which stays as it is."""

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK
from vidgan.nn.modes import without_autocast
from vidgan.pretrained.sentence_encoder import DIM, load_sentence_encoder
from vidgan.sections import Section, option
from vidgan.tokens import WordTokeniser

__all__ = ["SentenceTextConfig", "SentenceTextEncoder"]

_KEPT: Final = 65_536  # captions whose vectors are kept


class SentenceTextConfig(Section):
    """The caption as one vector of a published sentence encoder (`vidgan weights fetch minilm`)."""

    kind: Literal["sentence"] = option(
        "sentence", "all-MiniLM-L6-v2, frozen, and two trained layers. It takes words that no training caption has."
    )
    hidden: int = option(64, "Length of the caption's vector.", ge=1)
    dim: int = option(24, "Length of the code that the generator reads, drawn around the caption's mean code.", ge=1)


class SentenceTextEncoder(nn.Module):
    """Word numbers -> the vector of the sentence -> one vector per caption.

    The sentence encoder is no part of the weights of a run: it is read from the cache of `vidgan weights` with the
    first caption. The vector of each caption is computed once.

    Args:
        vocabulary: words of the training captions; the tokeniser adds those that it meets later.
        hidden: length of the caption's vector.

    Attributes:
        tokeniser: of the word numbers.
    """

    def __init__(self, *, vocabulary: Sequence[str], hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.tokeniser = WordTokeniser(vocabulary, adds_words=True)
        self.layers = nn.Sequential(nn.Linear(DIM, 2 * hidden), nn.LeakyReLU(LEAK), nn.Linear(2 * hidden, hidden))
        self._vectors: dict[str, Tensor] = {}

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L) int64, each row with at least one word -> (N, hidden) float32.

        Raises:
            WeightsError: the sentence encoder was not fetched.
        """
        texts = self.tokeniser.decode(tokens)
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if len(self._vectors) + len(missing) > _KEPT:
            self._vectors.clear()
            missing = list(dict.fromkeys(texts))
        if missing:
            vectors = load_sentence_encoder().encode([text.split() for text in missing])
            self._vectors |= dict(zip(missing, vectors, strict=True))
        sentences = torch.stack([self._vectors[text] for text in texts]).to(tokens.device)
        with without_autocast(tokens.device.type):
            maps: Tensor = self.layers(sentences * DIM**0.5)  # unit vectors have small components
        return maps
