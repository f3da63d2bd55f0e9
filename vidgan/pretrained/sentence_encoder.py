"""all-MiniLM-L6-v2: one vector per sentence, close for sentences of similar meaning.

A BERT of six layers (Devlin et al. 2019; distilled by Wang et al., "MiniLM", 2020; tuned on pairs of sentences by
Reimers and Gurevych, "Sentence-BERT", 2019) whose outputs are averaged over the pieces of the words. Module names
follow the tensors of the package. The vocabulary of word pieces is stored with the weights, as bytes.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.pretrained.cache import load_network

DIM: Final = 384
"""Length of the vector of a sentence."""

PIECES: Final = 30_522
VOCABULARY_BYTES: Final = 231_508
LONGEST: Final = 128
"""Pieces of a sentence that are read; further ones are ignored."""

_LAYERS, _HEADS, _INNER, _POSITIONS = 6, 12, 1536, 512
_EPSILON = 1e-12
_UNKNOWN, _FIRST, _LAST = "[UNK]", "[CLS]", "[SEP]"


class _Layer(nn.Module):
    """Self-attention and two dense layers, each with a residual connection and a norm behind it."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(dim, dim) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(dim, dim), "LayerNorm": nn.LayerNorm(dim, _EPSILON)}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, inner)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, dim), "LayerNorm": nn.LayerNorm(dim, _EPSILON)})

    def forward(self, x: Tensor, is_piece: Tensor) -> Tensor:
        """(N, L, dim), (N, L) bool -> (N, L, dim)."""
        own: Any = self.attention["self"]
        output: Any = self.attention["output"]
        query, key, value = (own[name](x).unflatten(2, (self.heads, -1)).transpose(1, 2) for name in own)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=is_piece[:, None, None])
        x = output["LayerNorm"](x + output["dense"](mixed.transpose(1, 2).flatten(2)))
        inner = F.gelu(self.intermediate["dense"](x))
        result: Tensor = self.output["LayerNorm"](x + self.output["dense"](inner))
        return result


class SentenceEncoder(nn.Module):
    """Word pieces -> the mean of the outputs of a BERT, of length 1.

    Args:
        dim: length of a vector.
        layers, heads, inner: of the transformer.
        pieces: size of the vocabulary.
        vocabulary_bytes: length of the file that lists the pieces, one per line.
    """

    vocabulary: Tensor

    def __init__(
        self,
        *,
        dim: int = DIM,
        layers: int = _LAYERS,
        heads: int = _HEADS,
        inner: int = _INNER,
        pieces: int = PIECES,
        vocabulary_bytes: int = VOCABULARY_BYTES,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(pieces, dim),
                "position_embeddings": nn.Embedding(_POSITIONS, dim),
                "token_type_embeddings": nn.Embedding(2, dim),
                "LayerNorm": nn.LayerNorm(dim, _EPSILON),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(dim, heads, inner) for _ in range(layers))})
        self.register_buffer("vocabulary", torch.zeros(vocabulary_bytes, dtype=torch.uint8))

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Piece -> number."""
        lines = bytes(self.vocabulary.tolist()).decode().removesuffix("\n").split("\n")
        return {piece: number for number, piece in enumerate(lines)}

    def forward(self, tokens: Tensor, is_piece: Tensor) -> Tensor:
        """(N, L) int64 and bool -> (N, dim), each of length 1."""
        tables = self.embeddings
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = tables["word_embeddings"](tokens) + tables["position_embeddings"](positions)
        x = tables["LayerNorm"](x + tables["token_type_embeddings"](torch.zeros_like(tokens)))
        layers: Any = self.encoder["layer"]
        for layer in layers:
            x = layer(x, is_piece)
        share = is_piece[:, :, None].to(x.dtype)
        return F.normalize((x * share).sum(dim=1) / share.sum(dim=1), dim=1)

    @torch.no_grad()
    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Sentences as words in lower case -> (N, dim), on the CPU."""
        rows = [self.pieces_of(words) for words in sentences]
        tokens = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.long)
        is_piece = torch.zeros(tokens.shape, dtype=torch.bool)
        for number, row in enumerate(rows):
            tokens[number, : len(row)] = torch.tensor(row)
            is_piece[number, : len(row)] = True
        vectors: Tensor = self(tokens, is_piece)
        return vectors

    def pieces_of(self, words: Sequence[str]) -> list[int]:
        """Numbers of the word pieces of a sentence, with the marks of its beginning and end.

        Accents are removed and hyphens are words. A word is split greedily into the longest pieces of the vocabulary; a
        piece that continues a word begins with ##.
        """
        plain = "".join(
            mark for mark in unicodedata.normalize("NFD", " ".join(words)) if not unicodedata.combining(mark)
        )
        parts = re.findall(r"\w+|[^\w\s]", plain)
        found = [number for part in parts for number in self._split(part)][: LONGEST - 2]
        return [self.numbers[_FIRST], *found, self.numbers[_LAST]]

    def _split(self, word: str) -> list[int]:
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.numbers), None)
            if end is None:
                return [self.numbers[_UNKNOWN]]
            pieces.append(self.numbers[prefix + word[start:end]])
            start = end
        return pieces


@functools.cache
def load_sentence_encoder() -> SentenceEncoder:
    """The fetched network, frozen, on the CPU; one per process.

    Raises:
        WeightsError: it was not fetched (`vidgan weights fetch minilm`), or the file was altered.
    """
    return load_network(SentenceEncoder(), "minilm")
