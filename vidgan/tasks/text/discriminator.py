"""A discriminator of frames or clips that also asks whether they fit a caption."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, require_choice
from vidgan.nn.modes import without_autocast
from vidgan.seeding import Draws
from vidgan.tasks.adversarial import build_section_discriminator
from vidgan.tasks.adversarial_config import FRAME_DISCRIMINATORS, VIDEO_DISCRIMINATORS
from vidgan.tasks.base import DataFacts
from vidgan.tasks.text.encoders import build_text_encoder
from vidgan.types import Judgement

__all__ = ["MATCHES", "TextDiscriminator", "build_text_discriminator"]

MATCHES = ("projection", "concatenation")
RGB = 3


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


def build_text_discriminator(name: str, config: Any, data: DataFacts, **options: Any) -> nn.Module:
    """D_I or D_V of colour clips, which reads captions if the model does.

    Args:
        name: "frame" or "video".
        config: of a run whose sections `model` and `objective` have `text`.
        data: facts of the training data.
        options: further arguments of the network.

    Raises:
        ConfigError, ValueError: as `build_section_discriminator`.
    """
    kinds, sample = {
        "frame": (FRAME_DISCRIMINATORS, (2, RGB, *data.image_size)),
        "video": (VIDEO_DISCRIMINATORS, (2, config.data.frames, RGB, *data.image_size)),
    }[name]
    given = {"image_size": data.image_size, "channels": RGB, **options}
    text, objective = config.model.text, config.objective.text
    reads_captions = text is not None and objective is not None
    if reads_captions:
        given["num_features"] = objective.features
    network = build_section_discriminator(name, getattr(config.discriminators, name), kinds, given, sample)
    if not reads_captions:
        return network
    return TextDiscriminator(network, build_text_encoder(text, data.vocabulary), match=objective.match)
