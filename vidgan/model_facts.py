"""What is known of the training of a model: the content of `vidgan.json`. Needs no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vidgan.errors import PretrainedError
from vidgan.sections import LIMITS

__all__ = ["FACTS", "ModelFacts", "is_count", "shown"]

FACTS = "vidgan.json"


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """How the weights of a model were trained: the content of `vidgan.json`.

    Attributes:
        run: name of the training run.
        step: training step of the weights.
        frames: frames of a training clip.
        stride: every `stride`-th stored frame was used. Ignored where `sampled_fps` is set.
        sampled_fps: frames per second at which training clips were sampled; None: by `stride`.
        fps, every, fit, resample: how `vidgan prepare` read the videos.
        frame_rate: frames per second of the training clips as the model saw them; None without a clock.
        batch_size: clips of a training batch.
        seed: of the training.
        fingerprint: of the training data.
        split: hash of the division into training and test clips.
        vidgan: version that trained the model.
        categories: names of the categories; None for a model without.
        captions: examples of the captions; None for a model that reads none.
        context: frames that a forecaster was given; None for a model that does not forecast.
        name: of published weights.
        trained_on: the only kind of video in the training data.
        licence: of the weights.
        other: further entries, kept as they are.
    """

    run: str | None = None
    step: int | None = None
    frames: int = 16
    stride: int = 1
    sampled_fps: float | None = None
    fps: float | None = None
    every: int = 1
    fit: Literal["crop", "squash", "cover"] = "crop"
    resample: Literal["area", "bilinear", "bicubic", "lanczos", "nearest"] = "area"
    frame_rate: float | None = None
    batch_size: int | None = None
    seed: int = 0
    fingerprint: str | None = None
    split: str | None = None
    vidgan: str | None = None
    categories: tuple[str, ...] | None = None
    captions: tuple[str, ...] | None = None
    context: int | None = None
    name: str | None = None
    trained_on: str | None = None
    licence: str | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ModelFacts":
        """Read the content of `vidgan.json`, or the `facts` of a model. Missing entries take their defaults.

        Raises:
            PretrainedError: an entry is of the wrong type; the message names it.
        """
        values = {key: value for key, value in content.items() if key != "class"}
        data = values.pop("data", None)
        if data is not None:
            if not isinstance(data, Mapping):
                raise PretrainedError(
                    f"{FACTS}: data is {shown(data)}, a mapping is expected; the model folder is damaged"
                )
            values |= {"fingerprint": data.get("fingerprint"), "split": data.get("split")}
        known = cls.__dataclass_fields__.keys() - {"other"}
        for key in known & values.keys():
            if not _is_valid(key, values[key]):
                raise PretrainedError(f"{FACTS}: {key} is {shown(values[key])}; the model folder is damaged")
        for key in ("categories", "captions"):
            if values.get(key) is not None:
                values[key] = tuple(values[key])
        other = {key: value for key, value in values.items() if key not in known}
        return cls(**{key: value for key, value in values.items() if key in known}, other=other)

    def to_json(self) -> dict[str, Any]:
        """The content of `vidgan.json` without the class. Optional entries without a value are left out."""
        data = {"fingerprint": self.fingerprint, "split": self.split}
        content: dict[str, Any] = {}
        for key in _ORDER:
            value = (data if any(data.values()) else None) if key == "data" else getattr(self, key)
            if value is not None or key in _ALWAYS:
                content[key] = list(value) if isinstance(value, tuple) else value
        return content | dict(self.other)


_ORDER = (
    "run", "step", "frames", "stride", "sampled_fps", "fps", "every", "fit", "resample", "frame_rate", "batch_size",
    "seed", "data", "vidgan", "categories", "captions", "context", "name", "trained_on", "licence",
)  # fmt: skip
_ALWAYS = {"frames", "stride", "sampled_fps", "fps", "every", "fit", "resample", "seed"}


def is_count(low: int, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_rate(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= LIMITS["1/s"]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_REQUIRED = {"frames", "stride", "every", "fit", "resample", "seed"}  # not null
_RULES: dict[str, Callable[[Any], bool]] = {  # of all entries that are not text
    **dict.fromkeys(("frames", "stride", "every", "context"), is_count(1, LIMITS["frames"])),
    **dict.fromkeys(("step", "batch_size"), is_count(0, LIMITS["steps"])),
    **dict.fromkeys(("fps", "sampled_fps", "frame_rate"), _is_rate),
    "seed": is_count(0, 2**63 - 1),
    "fit": lambda value: value in ("crop", "squash", "cover"),
    "resample": lambda value: value in ("area", "bilinear", "bicubic", "lanczos", "nearest"),
    **dict.fromkeys(
        ("categories", "captions"), lambda value: isinstance(value, list | tuple) and all(map(_is_text, value))
    ),
}


def _is_valid(key: str, value: object) -> bool:
    return key not in _REQUIRED if value is None else _RULES.get(key, _is_text)(value)


def shown(value: Any) -> str:
    """A value from a file, for a message: printable and short."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
