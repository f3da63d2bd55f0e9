"""What an exported file says of itself; needs no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from vidgan.errors import PretrainedError
from vidgan.files import parse_json
from vidgan.model_facts import ModelFacts

__all__ = ["PROPERTY", "ExportedModel"]

PROPERTY: Final = "vidgan"  # key of the metadata of an ONNX file
_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """The content of the metadata.

    Attributes:
        kind: "clips" for a generator, "forecast" for a forecaster.
        model: class of the exported model.
        architecture: the config section that it was built from, and the frame size.
        facts: what is known of its training, with the licence of the weights and, where recorded, of the footage.
        image_size: (H, W) of a frame.
        frames: default length of a generated clip.
        context: default number of frames that a forecaster is given.
        warm_up: rows of `motion` beside the initial state that come before frame 0.
        categories: number of categories of a generator; 0 without.
        noise: numbers of noise behind the content code of a generator.
        codes: name -> kind, size and place ("content" or "motion") of the information codes of a generator, in the
            order in which they stand behind the content code and behind each row of the motion noise.
        vocabulary: of the captions that a generator reads; word i has the number i + 1, and 0 pads. () without.
        precision: of the weights: "float32", "float16" or "int8".
        parity: how the file differs from the model: `clips` compared, `levels`, the largest difference of a pixel, and
            `share` of the pixels that differ.
        value_range: of the frames in the file, uint8 RGB.
        vidgan: version that wrote the file.
    """

    kind: Literal["clips", "forecast"]
    model: str
    architecture: Mapping[str, Any]
    facts: Mapping[str, Any]
    image_size: tuple[int, int]
    frames: int
    context: int | None
    warm_up: int
    categories: int
    precision: Literal["float32", "float16", "int8"]
    parity: Mapping[str, float] | None
    noise: int = 0
    codes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    value_range: tuple[int, int] = (0, 255)
    vidgan: str

    @property
    def training(self) -> ModelFacts:
        """The facts, checked."""
        return ModelFacts.from_json(self.facts)

    def to_json(self) -> dict[str, Any]:
        """The metadata as JSON."""
        return {"format": _FORMAT} | asdict(self)

    @classmethod
    def from_text(cls, text: str, origin: object) -> "ExportedModel":
        """Read the metadata of a file.

        Args:
            text: JSON.
            origin: the file, for messages.

        Raises:
            PretrainedError: damaged, or of a newer version of vidgan.
        """
        content = parse_json(text, origin)
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise PretrainedError(f"{origin}: its metadata {PROPERTY} have another format than {_FORMAT}; export again")
        try:
            tuples = {key: tuple(content[key]) for key in ("image_size", "value_range", "vocabulary")}
            exported = cls(**content | tuples)
            exported.training  # noqa: B018 - raises if damaged
        except (PretrainedError, TypeError, KeyError) as error:
            raise PretrainedError(f"{origin}: its metadata {PROPERTY} are damaged ({error})") from None
        return exported
