"""What training steps of models that read captions share."""

from collections.abc import Collection
from typing import Any, NamedTuple

from torch import Tensor

from vidgan.losses.latent import kl_standard_normal
from vidgan.types import ClipBatch, Terms

__all__ = ["Captioned", "captions_of", "code_terms"]


class Captioned(NamedTuple):
    """What a generator makes from captions, with the distributions of their text codes."""

    clips: Any  # as the generator returns them without captions
    mean: Tensor  # (B, dim_text)
    logvar: Tensor  # (B, dim_text)


def captions_of(batch: ClipBatch) -> Tensor | None:
    """Right and wrong captions (B, 1 + K, L); None for a model without text."""
    return batch.caption if batch.caption.shape[2] else None


def code_terms(mean: Tensor, logvar: Tensor, terms: Collection[str]) -> tuple[Terms, Terms]:
    """The loss `text_kl`, if it is among the terms, and metrics of codes (B, dim_text)."""
    kl = kl_standard_normal(mean, logvar)
    metrics: Terms = {"text/kl": kl.detach(), "text/deviation": (0.5 * logvar.detach()).exp().mean()}
    return ({"text_kl": kl} if "text_kl" in terms else {}), metrics
