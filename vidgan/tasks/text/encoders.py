"""The encoders of captions that `model.text` can name."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from vidgan.nn.text import GRUTextConfig, GRUTextEncoder
from vidgan.sections import Section
from vidgan.tasks.text.sentence import SentenceTextConfig, SentenceTextEncoder
from vidgan.tokens import WordTokeniser

__all__ = ["TEXT_ENCODERS", "build_text_encoder", "tokeniser_of"]

# Config section -> network. A new kind is one file with both, and one line here.
TEXT_ENCODERS: dict[type[Section], type[nn.Module]] = {
    GRUTextConfig: GRUTextEncoder,
    SentenceTextConfig: SentenceTextEncoder,
}


def build_text_encoder(config: Section, vocabulary: Sequence[str]) -> nn.Module:
    """The text encoder of a section, for these words. Weights are drawn from torch's global generator."""
    return TEXT_ENCODERS[type(config)](vocabulary=vocabulary, **config.model_dump(exclude={"kind", "dim"}))


def tokeniser_of(encoder: nn.Module | None, vocabulary: Sequence[str]) -> WordTokeniser:
    """The tokeniser that an encoder has of its own, or the one of these words."""
    own: Any = getattr(encoder, "tokeniser", None)
    return own or WordTokeniser(vocabulary)
