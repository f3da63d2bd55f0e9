"""A discriminator of frames or clips that also asks whether they fit a caption."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, require_choice
from vidgan.nn.modes import without_autocast
from vidgan.sections import Section
from vidgan.seeding import Draws
from vidgan.tasks.adversarial import build_section_discriminator
from vidgan.tasks.text.config import TextObjective
from vidgan.tasks.text.encoders import build_text_encoder
from vidgan.types import Judgement

__all__ = ["MATCHES", "TextDiscriminator", "build_text_discriminator"]

MATCHES = ("projection", "concatenation")


class TextDiscriminator(nn.Module):
    """Adds to the answer of a discriminator how well its features fit a caption.

    It reads captions with an encoder of its own, so that the matching-aware loss trains it, and the generator cannot
    change what a caption means. The features are computed once, however many captions they are compared with.

    Args:
        network: a discriminator that was built with `num_features`.
        encoder: of captions, see `vidgan.nn.text`.
        match: "projection": the product of the features with a linear map of the caption's vector (Miyato and Koyama
            2018). "concatenation": a network of one hidden layer that reads both (as StackGAN's last layers do).

    Raises:
        ValueError: `match` is neither.
    """

    def __init__(self, network: nn.Module, encoder: nn.Module, *, match: str = "projection") -> None:
        super().__init__()
        require_choice("match", match, MATCHES)
        self.network = network
        self.encoder = encoder
        size = int(network.num_features)  # type: ignore[arg-type]
        self.wanted = nn.Linear(encoder.hidden, size)  # type: ignore[arg-type]
        self.joint = None
        if match == "concatenation":
            self.joint = nn.Sequential(nn.Linear(2 * size, 2 * size), nn.LeakyReLU(LEAK), nn.Linear(2 * size, 1))

    def forward(
        self, samples: Tensor, draws: Draws | None, right: Tensor, wrong: Tensor | None = None, **given: Tensor
    ) -> Judgement:
        """Score samples beside their captions.

        Args:
            samples: as the network reads them, N rows.
            draws: one stream per row.
            right: (B, L) word numbers, each for N / B consecutive rows.
            wrong: (B, K, L) of captions that are wrong for the samples; None for none.
            given: what else the network reads, such as the category.

        Returns:
            As the network's; `wrong` holds the answers beside the wrong captions, (N, K, ...).
        """
        answer: Judgement = self.network(samples, draws, **given)
        assert answer.features is not None, "a network built with num_features returns features"
        texts = right[:, None] if wrong is None else torch.cat([right[:, None], wrong], dim=1)  # (B, 1 + K, L)
        with without_autocast(samples.device.type):
            match = self._match(
                answer.features.float(), self.encoder(texts.flatten(0, 1)).unflatten(0, texts.shape[:2])
            )
        logits = answer.real[:, None] + match.reshape(*match.shape, *[1] * (answer.real.dim() - 1))  # (N, 1 + K, ...)
        return answer._replace(real=logits[:, 0], wrong=None if wrong is None else logits[:, 1:])

    def _match(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Features (N, F) and vectors of captions (B, M, hidden) -> how well they fit, (N, M)."""
        wanted = self.wanted(vectors).repeat_interleave(len(features) // len(vectors), dim=0)  # (N, M, F)
        features = features[:, None].expand_as(wanted)
        if self.joint is None:
            return (features * wanted).sum(dim=2) / features.shape[2] ** 0.5
        fit: Tensor = self.joint(F.leaky_relu(torch.cat([features, wanted], dim=2), LEAK))
        return fit[:, :, 0]


def build_text_discriminator(
    name: str,
    section: Section,
    kinds: Mapping[type[Section], Callable[..., nn.Module]],
    given: Mapping[str, Any],
    sample: tuple[int, ...],
    *,
    text: Section | None,
    objective: TextObjective | None,
    vocabulary: Sequence[str],
) -> nn.Module:
    """As `build_section_discriminator`; with a text encoder and its objective, a `TextDiscriminator`."""
    if text is None or objective is None:
        return build_section_discriminator(name, section, kinds, given, sample)
    given = {**given, "num_features": objective.features}
    network = build_section_discriminator(name, section, kinds, given, sample)
    return TextDiscriminator(network, build_text_encoder(text, vocabulary), match=objective.match)
