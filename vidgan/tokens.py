"""Words of captions as numbers, without torch. The vocabulary is saved with the model that reads it."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from vidgan.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PADDING", "WordTokeniser", "split_words"]

PADDING: Final = 0
"""Number behind the last word of a text; words are numbered from 1."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_MOST_NAMED = 3  # near words that a message names


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation: `Up, slowly!` -> `["up", "slowly"]`."""
    return _WORD.findall(text.lower())


class WordTokeniser:
    """Texts <-> rows of word numbers.

    Args:
        words: the vocabulary; word i has the number i + 1.
        adds_words: give a word that a text has and the vocabulary has not the next number, instead of an error.

    Raises:
        ValueError: a word occurs twice or is not a single word in lower case.
    """

    def __init__(self, words: Sequence[str], *, adds_words: bool = False) -> None:
        self.words = tuple(words)
        self.adds_words = adds_words
        if len(set(self.words)) < len(self.words):
            raise ValueError("a word of the vocabulary occurs twice")
        for word in self.words:
            if split_words(word) != [word]:
                raise ValueError(f"{word!r} in the vocabulary is not a single word in lower case")
        self._numbers = {word: number for number, word in enumerate(self.words, start=PADDING + 1)}

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> "WordTokeniser":
        """The tokeniser whose vocabulary is the words of these texts, in alphabetical order."""
        return cls(sorted({word for text in texts for word in split_words(text)}))

    def encode(self, texts: Sequence[str], length: int | None = None) -> "Tensor":
        """As `numbers`, as a tensor."""
        import torch

        return torch.from_numpy(self.numbers(texts, length))

    def numbers(self, texts: Sequence[str], length: int | None = None) -> np.ndarray:
        """Texts -> (N, L) int64, padded with `PADDING`.

        Args:
            texts: each of at least one word.
            length: L; default: number of words of the longest text.

        Raises:
            ConfigError: a text has no word, more than L, or unknown ones; the message names the nearest known words.
        """
        rows = [split_words(text) for text in texts]
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise ConfigError(f"text {text!r} has no words")
            if unknown := list(dict.fromkeys(word for word in row if word not in self._numbers)):
                if not self.adds_words:
                    described = "; ".join(self._describe(word) for word in unknown)
                    raise ConfigError(f"text {text!r}: {described}")
                self._numbers |= {word: number for number, word in enumerate(unknown, start=len(self.words) + 1)}
                self.words += tuple(unknown)
            if length is not None and len(row) > length:
                raise ConfigError(f"text {text!r} has {len(row)} words; accepted: at most {length}")
        longest = length or max((len(row) for row in rows), default=0)
        tokens = np.full((len(rows), longest), PADDING, np.int64)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = [self._numbers[word] for word in row]
        return tokens

    def decode(self, tokens: "Tensor") -> list[str]:
        """(N, L) int64 -> the words of each row, separated by spaces."""
        return [" ".join(self.words[number - 1] for number in row if number != PADDING) for row in tokens.tolist()]

    def _describe(self, word: str) -> str:
        near = difflib.get_close_matches(word, self.words, n=_MOST_NAMED, cutoff=0.5)
        if near:
            return f"unknown word {word!r}; the nearest known ones are {', '.join(near)}"
        return f"unknown word {word!r} (known: {', '.join(self.words)})"
