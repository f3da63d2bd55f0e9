"""The encoders of captions that `model.text` can name."""

from collections.abc import Sequence

from torch import nn

from vidgan.nn.text import GRUTextConfig, GRUTextEncoder
from vidgan.sections import Section
from vidgan.tasks.synthesis.sentence_text import SentenceTextConfig, SentenceTextEncoder

__all__ = ["TEXT_ENCODERS", "build_text_encoder"]

# Config section -> network. A new kind is one file with both, and one line here.
TEXT_ENCODERS: dict[type[Section], type[nn.Module]] = {
    GRUTextConfig: GRUTextEncoder,
    SentenceTextConfig: SentenceTextEncoder,
}


def build_text_encoder(config: Section, vocabulary: Sequence[str]) -> nn.Module:
    """The text encoder of a section, for these words. Weights are drawn from torch's global generator."""
    return TEXT_ENCODERS[type(config)](vocabulary=vocabulary, **config.model_dump(exclude={"kind", "dim"}))
