"""Settings of an evaluation: one frozen type for each kind, checked when it is made.

An evaluation has the settings of its kind and no others. `settings_for_model` and `settings_for_folders` choose the
kind and refuse options that its type does not have. They are the only places that decide which options can be combined.
"""

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import ForecastProtocol, GenerationProtocol, find_protocol
from vidgan.pretrained.cache import require_fetched
from vidgan.pretrained.catalogue import BY_NAME
from vidgan.tasks.base import ClipMapper, ClipModel, ForecastModel

ALL = "all"  # both splits
ANOMALY = "anomaly"  # the protocol that scores frames against labels
SPLITS = ("test", ALL)
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of every kind of evaluation.

    Attributes:
        seed: of random draws and of the bootstrap.
        device: "auto", "cpu" or "cuda".
    """

    scored: ClassVar[str]  # names what is evaluated, for error messages

    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError(f"--device {self.device}: accepted are {', '.join(DEVICES)}")

    def torch_device(self) -> torch.device:
        """The device to run on: of several processes on a machine with GPUs, each has its own.

        Raises:
            ConfigError: --device cuda, and torch sees no GPU.
        """
        available = torch.cuda.is_available()
        if self.device == "cuda" and not available:
            raise ConfigError("--device cuda: torch sees no GPU; accepted are auto and cpu")
        if self.device == "cpu" or not available:
            return torch.device("cpu")
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))  # of a launcher
        return torch.device("cuda", local_rank % torch.cuda.device_count())

    def _exclude(self, reason: str, *names: str) -> None:
        """Raise ConfigError if one of these settings differs from its default."""
        defaults = _defaults(type(self))
        if unused := [name for name in names if getattr(self, name) != defaults[name]]:
            raise ConfigError(f"{_listed(unused)} has no effect {reason}")


@dataclass(frozen=True, kw_only=True)
class ForecastSettings(Settings):
    """How a forecasting model is scored.

    Attributes:
        split: "test", or "all" clips of data that the model was not trained on.
        protocol: a preset; None: non-overlapping windows of the split.
        allow_deviation: score data that were not prepared as the protocol requires. The name of the result says so.
        context, horizon: frames given and forecast; default: as trained. A protocol fixes both.
        growing: forecast frame t from all true frames before it, instead of all frames from the first `context`. A
            protocol fixes it.
        metrics: names that replace the default metrics, or those of the protocol.
        samples: forecasts drawn per window; default: the protocol's number, or 1.
        best_by: the metric that selects the best sample; None: each metric selects its own.
        weights: name of a network -> file of its weights.
    """

    scored: ClassVar[str] = "a model that forecasts"

    split: str = "test"
    protocol: ForecastProtocol | None = None
    allow_deviation: bool = False
    context: int | None = None
    horizon: int | None = None
    growing: bool = False
    metrics: tuple[str, ...] = ()
    samples: int | None = None
    best_by: str | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_split(self.split)
        _check_protocol(self, ForecastProtocol)
        if self.protocol is not None and (self.context or self.horizon or self.growing):
            raise ConfigError(
                f"--context, --horizon and --growing are fixed by --protocol {self.protocol.name}; omit them"
            )
        if self.num_samples == 1:
            self._exclude("on a single forecast; give --samples", "best_by")
        elif self.growing or (self.protocol is not None and self.protocol.growing):
            cause = "--growing" if self.protocol is None else f"--protocol {self.protocol.name}"
            raise ConfigError(f"--samples has no effect on {cause}, which forecasts frame by frame")

    @property
    def num_samples(self) -> int:
        """Forecasts drawn per window."""
        return self.samples or (1 if self.protocol is None else self.protocol.samples)


@dataclass(frozen=True, kw_only=True)
class ClipSettings(Settings):
    """How a model that generates clips is scored, at the clip length that it was trained on.

    Attributes:
        protocol: a preset; None: the measures of this project.
        allow_deviation: as in `ForecastSettings`.
        clips: clips compared on each side; default: the protocol's number, or 256.
        seeds: number of evaluation seeds: seed, seed + 1, ...
        mcs: also measure whether clips show the requested category (trains a classifier), and how diverse each is.
        truncation: also score clips whose styles are pulled toward their mean, psi from 0 to 1.
        flow_histograms: also compare how clips move (computes optical flow of every clip).
        weights: name of a network -> file of its weights.
    """

    scored: ClassVar[str] = "a model that generates clips"

    protocol: GenerationProtocol | None = None
    allow_deviation: bool = False
    clips: int | None = None
    seeds: int = 1
    mcs: bool = False
    truncation: tuple[float, ...] = ()
    flow_histograms: bool = False
    weights: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_protocol(self, GenerationProtocol)
        if self.protocol is not None:
            self._exclude(f"on --protocol {self.protocol.name}", "mcs", "truncation", "flow_histograms")
        if wrong := [psi for psi in self.truncation if not 0 <= psi <= 1]:  # a NaN too
            raise ConfigError(f"--truncation {wrong[0]}: accepted are numbers from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class LongClipSettings(Settings):
    """How clips longer than the training clips are scored.

    Attributes:
        frames: length of a generated clip.
        clips: number of generated clips; default 64.
        weights: name of a network -> file of its weights; those that compare two frames of a clip.
    """

    scored: ClassVar[str] = "clips longer than trained"

    frames: int
    clips: int | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MappingSettings(Settings):
    """How a model that maps clips to clips is scored.

    Attributes:
        split: as in `ForecastSettings`.
        frames: length of a window; default: as trained.
        metrics: names that replace the default frame metrics.
        weights: name of a network -> file of its weights.
    """

    scored: ClassVar[str] = "a model that maps clips to clips"

    split: str = "test"
    frames: int | None = None
    metrics: tuple[str, ...] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_split(self.split)
        if self.frames is not None and self.frames < 2:
            raise ConfigError(f"--frames {self.frames}: accepted are windows of 2 frames or more")


@dataclass(frozen=True, kw_only=True)
class AnomalySettings(Settings):
    """How a forecasting model is scored as a detector of anomalous frames.

    Attributes:
        labels: folder with the labels of single frames (`vidgan.data.frame_labels`).
        context: frames given; default: as trained.
    """

    scored: ClassVar[str] = f"--protocol {ANOMALY}"

    labels: Path
    context: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels is None:
            raise ConfigError(f"--protocol {ANOMALY} needs --labels, the folder with the labels of single frames")


@dataclass(frozen=True, kw_only=True)
class FolderSettings(Settings):
    """How folders of videos are read.

    Attributes:
        strip_frame: (H, W) of one frame of a strip image; None: square frames.
        frames: first frame scored and end (exclusive; None: to the last frame); None: all frames.
        weights: name of a network -> file of its weights.
    """

    strip_frame: tuple[int, int] | None = None
    frames: tuple[int, int | None] | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PairSettings(FolderSettings):
    """How predicted videos are scored against true videos of the same name.

    Attributes:
        metrics: names that replace the default metrics.
    """

    scored: ClassVar[str] = "pairs of videos"

    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SetSettings(FolderSettings):
    """How two sets of clips are compared; attributes as in `ClipSettings`."""

    scored: ClassVar[str] = "two sets of clips"

    protocol: GenerationProtocol | None = None
    allow_deviation: bool = False
    clips: int | None = None
    seeds: int = 1
    flow_histograms: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_protocol(self, GenerationProtocol)
        if self.protocol is not None:
            self._exclude(f"on --protocol {self.protocol.name} with two folders", "seeds", "flow_histograms")


ModelSettings = ForecastSettings | ClipSettings | LongClipSettings | MappingSettings | AnomalySettings
S = TypeVar("S", bound=Settings)


def settings_for_model(model: ForecastModel | ClipModel | ClipMapper, options: Mapping[str, Any]) -> ModelSettings:
    """The settings of the evaluation that fits the model.

    Args:
        options: option name -> value; the name of a protocol is looked up. Options at their default are ignored.

    Raises:
        ConfigError, ValueError: an option that does not apply to this model, or an invalid value.
    """
    if options.get("protocol") == ANOMALY:
        if not isinstance(model, ForecastModel):
            raise ConfigError(f"--protocol {ANOMALY} is for models that forecast")
        return _parse(AnomalySettings, {**options, "protocol": None})
    if isinstance(model, ForecastModel):
        settings = _parse(ForecastSettings, options)
        if settings.num_samples > 1 and not model.can_sample:
            raise ConfigError(f"--samples {settings.num_samples}: this model gives one forecast only")
        return settings
    if isinstance(model, ClipMapper):
        return _parse(MappingSettings, options)
    if options.get("frames") is not None:
        return _parse(LongClipSettings, options)
    clip_settings = _parse(ClipSettings, options)
    if model.needs_first_frame:
        clip_settings._exclude("on an image-to-video model", "protocol", "allow_deviation", "mcs", "truncation")
    if clip_settings.truncation and not hasattr(getattr(model, "frame", None), "styles"):
        raise ConfigError("--truncation is for a model with frame.kind=modulated")
    if clip_settings.mcs and model.num_categories == 0:
        raise ConfigError("--mcs has no effect on a model without categories")
    return clip_settings


def settings_for_folders(options: Mapping[str, Any], *, unpaired: bool) -> PairSettings | SetSettings:
    """The settings of a comparison of two folders; arguments and errors as in `settings_for_model`."""
    return _parse(SetSettings, options) if unpaired else _parse(PairSettings, options)


def parse_weights(entries: list[str]) -> dict[str, Path]:
    """`NAME=PATH` entries, or `NAME` of fetched weights -> name -> path.

    Raises:
        ConfigError: an entry of another form, or a repeated name. WeightsError: the weights were not fetched.
    """
    weights: dict[str, Path] = {}
    for entry in entries:
        name, equals, path = entry.partition("=")
        if not name or (equals and not path) or (not equals and name not in BY_NAME):
            raise ConfigError(
                f"--weights {entry}: accepted are NAME=PATH, such as i3d=i3d_torchscript.pt, and the names of fetched"
                f" weights, {', '.join(BY_NAME)}"
            )
        if name in weights:
            raise ConfigError(f"--weights {name} is repeated")
        weights[name] = Path(path) if equals else require_fetched(name)
    return weights


def parse_frames(text: str) -> tuple[int, int | None]:
    """`2:10` -> (2, 10), `2:` -> (2, None), `:10` -> (0, 10).

    Raises:
        ConfigError: text of another form, or an empty range.
    """
    first, colon, last = text.partition(":")
    if not colon or not all(part.isdigit() or not part for part in (first, last)):
        raise ConfigError(f"--frames {text}: accepted is FIRST:END, such as 2:10 (END excluded) or 2:")
    start, stop = int(first or 0), int(last) if last else None
    if stop is not None and stop <= start:
        raise ConfigError(f"--frames {text}: the range is empty")
    return start, stop


def _parse(kind: type[S], options: Mapping[str, Any]) -> S:
    accepted = _defaults(kind)
    unused = [name for name, value in options.items() if name not in accepted and value != _DEFAULTS[name]]
    if unused:
        raise ConfigError(f"{_listed(unused)} has no effect on {kind.scored}; accepted are {_listed(sorted(accepted))}")
    values = {name: value for name, value in options.items() if name in accepted}
    if values.get("protocol") is not None:
        values["protocol"] = find_protocol(values["protocol"])
    return kind(**values)


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ConfigError(f"--split {split}: accepted are {', '.join(SPLITS)}")


def _check_protocol(settings: Any, kind: type[ForecastProtocol] | type[GenerationProtocol]) -> None:
    if settings.protocol is None:
        settings._exclude("without --protocol", "allow_deviation")
    elif not isinstance(settings.protocol, kind):
        fits = "models that forecast" if isinstance(settings.protocol, ForecastProtocol) else "sets of clips"
        raise ConfigError(f"--protocol {settings.protocol.name} is for {fits}, not for {settings.scored}")


def _defaults(kind: type[Settings]) -> dict[str, Any]:
    """Name -> default value of every setting of a kind; None where a value is required."""
    defaults: dict[str, Any] = {}
    for entry in fields(kind):
        if entry.default_factory is not MISSING:
            defaults[entry.name] = entry.default_factory()
        else:
            defaults[entry.name] = None if entry.default is MISSING else entry.default
    return defaults


def _listed(names: list[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


_KINDS = (
    ForecastSettings, ClipSettings, LongClipSettings, MappingSettings, AnomalySettings, PairSettings, SetSettings,
)  # fmt: skip
_DEFAULTS = {name: value for kind in _KINDS for name, value in _defaults(kind).items()}
