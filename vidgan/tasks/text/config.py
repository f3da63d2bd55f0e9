"""How captions enter a training, and the rules between the sections that they concern."""

from collections.abc import Iterator, Mapping
from typing import Literal

from vidgan.sections import OwnPart, Section, option

__all__ = ["TextObjective", "text_problems"]


class TextObjective(Section):
    """How discriminators compare clips with captions (matching-aware, Reed et al. 2016)."""

    match: Literal["projection", "concatenation"] = option(
        "projection", "Compare by the product of both vectors, or by a network that reads them side by side."
    )
    features: int = option(64, "Length of the vectors of a clip and of its caption that are compared.", ge=1)
    wrong: float = option(0.5, "Share of real clips with wrong captions among the negatives.", ge=0, lt=1)
    negatives: int = option(1, "Wrong captions that each real clip is compared with.", unit="captions", ge=1)


def text_problems(
    *,
    encoder: Section | None,
    text: TextObjective | None,
    weights: Mapping[str, float],
    discriminators: Mapping[str, Section | None],
    flip: bool,
) -> Iterator[str]:
    """Broken rules of captions.

    Args:
        encoder: `model.text`.
        text: `objective.text`.
        weights: `objective.weights`.
        discriminators: by name in the config.
        flip: `data.flip`.
    """
    if (encoder is None) != (text is None):
        yield "model.text and objective.text go together: set both or neither"
    for name, section in discriminators.items() if text is not None else ():
        if section is not None and not isinstance(section, OwnPart) and not hasattr(section, "makes_features"):
            kind = f"discriminators.{name}.kind={getattr(section, 'kind', None)}"
            yield f"objective.text: {kind} cannot compare samples with captions; accepted: strided"
    if text is not None and not any(discriminators.values()):
        yield "objective.text needs a discriminator: nothing else compares clips with captions"
    if "text_kl" in weights and encoder is None:
        yield "objective.weights.text_kl needs model.text"
    if encoder is not None and flip:
        yield "data.flip=true with model.text: captions that say left or right are wrong for mirrored clips"
