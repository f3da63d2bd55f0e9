"""Encoders of captions: rows of word numbers -> one vector per caption."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vidgan.nn.modes import without_autocast
from vidgan.sections import Section, option
from vidgan.tokens import PADDING

__all__ = ["GRUTextConfig", "GRUTextEncoder", "TextCode", "drawn_code"]

FIRST_LOGVAR = -3.0  # initial log-variance of the code: at 0, the noise would drown the caption


class GRUTextConfig(Section):
    """The caption, read word by word in both directions."""

    kind: Literal["gru"] = option("gru", "A bidirectional GRU whose states are averaged over the words.")
    embedding: int = option(32, "Length of a word's vector.", ge=1)
    hidden: int = option(64, "Length of the caption's vector, half of it per direction; even.", ge=2)
    dim: int = option(24, "Length of the code that the generator reads, drawn around the caption's mean code.", ge=1)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.hidden % 2:
            yield f"hidden={self.hidden} must be even: one half per direction"


class GRUTextEncoder(nn.Module):
    """Word numbers -> one vector per caption, by a bidirectional GRU and the mean of its states over the words.

    Any text encoder has this protocol: `forward(tokens) -> vectors` with tokens (N, L) int64 and vectors (N, hidden),
    which must not depend on padding.

    Args:
        vocabulary: words of the training captions, numbered from 1.
        embedding: length of a word's vector.
        hidden: length of the caption's vector.
    """

    def __init__(self, *, vocabulary: Sequence[str], embedding: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.words = nn.Embedding(len(vocabulary) + 1, embedding, padding_idx=PADDING)
        self.gru = nn.GRU(embedding, hidden // 2, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L) int64, each row with at least one word -> (N, hidden) float32."""
        with without_autocast(tokens.device.type):  # captions are short: nothing to save
            is_word = tokens != PADDING  # (N, L)
            lengths = is_word.sum(dim=1)
            packed = nn.utils.rnn.pack_padded_sequence(
                self.words(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            states, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)  # (N, L', hidden)
            mean: Tensor = states.sum(dim=1) / lengths[:, None]
            return mean


class TextCode(nn.Module):
    """Conditioning augmentation (Zhang et al., StackGAN, ICCV 2017, section 3.2): a normal distribution per caption.

    Mean and log-variance are linear in the encoder's vector, without an activation: a ReLU, as in some published code,
    allows neither negative means nor standard deviations below 1.

    Args:
        encoder: of the caption, with the attribute `hidden`.
        dim: length of the code.
    """

    def __init__(self, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim = dim
        self.statistics = nn.Linear(encoder.hidden, 2 * dim)  # type: ignore[arg-type]
        with torch.no_grad():
            self.statistics.weight[:dim] *= 4  # the states of a new GRU are small
            self.statistics.bias[dim:] = FIRST_LOGVAR

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) int64 -> mean and log-variance of the code, (N, dim) float32 each."""
        with without_autocast(tokens.device.type):
            mean, logvar = self.statistics(self.encoder(tokens)).chunk(2, dim=1)
        return mean, logvar


def drawn_code(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """A draw of the distributions of `TextCode` with standard normal noise, all (N, dim)."""
    return mean + (0.5 * logvar).exp() * noise
