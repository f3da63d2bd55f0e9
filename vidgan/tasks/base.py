"""What a task is: everything that differs between one capability that trains a model and another."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from torch import Tensor, nn

from vidgan.hub import Pretrained
from vidgan.metrics.temporal import ClipMetric
from vidgan.tasks.run_config import RunConfig
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.run_state import Algorithm
from vidgan.training.trainees import Trainees
from vidgan.types import ByteClip, Forecast, Latents

__all__ = [
    "ClipFunction",
    "ClipMapper",
    "ClipModel",
    "ClipPair",
    "DataFacts",
    "EvaluationKind",
    "ForecastModel",
    "Preview",
    "Task",
    "TrainingParts",
]

EvaluationKind = Literal["forecast", "clips", "mapping"]
ClipFunction: TypeAlias = Callable[[ByteClip], ByteClip]


@runtime_checkable
class ForecastModel(Protocol):
    """A model that continues clips: what previews, evaluation and `vidgan predict` ask of it.

    Attributes:
        image_size: (H, W) that it was trained for.
        forecast_name: row of its forecast in score tables.
        part_names: keys of `Forecast.parts`, further rows.
        can_sample: whether different seeds give different forecasts.
        facts: JSON facts saved with the weights (run, step, frames, context, ...).
    """

    image_size: tuple[int, int]
    forecast_name: ClassVar[str]
    part_names: ClassVar[tuple[str, ...]]
    facts: dict[str, Any]

    @property
    def can_sample(self) -> bool: ...

    def forecast(
        self, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
    ) -> Forecast:
        """(B, T, C, H, W) uint8 context -> `horizon` frames, all parts on the CPU.

        Args:
            seed: draws one of several possible futures; None gives the best single guess.
            rows: numbers that key each clip's draws; default: its place in the batch.
        """
        ...

    def predict(
        self,
        context: ByteClip,
        horizon: int = 10,
        *,
        samples: int = 1,
        seed: int | None = None,
        rows: Sequence[int] | None = None,
    ) -> ByteClip:
        """(B, K, C, H, W) uint8, or (N, B, K, C, H, W) for `samples` > 1."""
        ...


@runtime_checkable
class ClipModel(Protocol):
    """A model that synthesises clips: what previews, evaluation and `vidgan generate` ask of it.

    Attributes:
        image_size: (H, W) of its frames.
        num_categories: 0 for a model without categories.
        needs_first_frame: whether every clip continues a given frame (image-to-video).
        facts: JSON facts saved with the weights.
    """

    image_size: tuple[int, int]
    num_categories: int
    facts: dict[str, Any]

    @property
    def needs_first_frame(self) -> bool: ...

    def latents(self, clips: int, frames: int, *, seed: int = 0, category: int | str | None = None) -> Latents:
        """Latents of `clips` clips; clip i depends on (seed, i) alone."""
        ...

    def render(self, latents: Latents, *, first_frame: Tensor | None = None, batch_size: int = 16) -> ByteClip:
        """(B, T, C, H, W) uint8 on the CPU."""
        ...

    def sample(
        self,
        clips: int,
        *,
        frames: int | None = None,
        seed: int = 0,
        category: int | str | None = None,
        first_frame: Tensor | None = None,
        batch_size: int = 16,
    ) -> ByteClip:
        """(clips, frames, C, H, W) uint8 on the CPU."""
        ...


class ClipPair(NamedTuple):
    """What a model that maps clips to clips reads, and what it should make of it."""

    input: ByteClip  # (B, T, C, h, w)
    target: ByteClip | None  # (B, T, 3, H, W); None if no true output is known (unpaired data)


@runtime_checkable
class ClipMapper(Protocol):
    """A model that maps clips to clips, frame for frame: what previews, evaluation and commands ask of it.

    Frames may have any size. The output has `scale` times the height and width of the input. `map_clips`,
    `map_frames` and `baselines` of a model with `reads_captions` take captions too, as the argument `text`.

    Attributes:
        image_size: (H, W) of the output frames that it was trained for.
        scale: side of an output frame over that of an input frame.
        border: pixels on each side of an output frame that frame metrics leave out.
        mapping_name: row of its output in score tables.
        facts: JSON facts saved with the weights.
    """

    image_size: tuple[int, int]
    scale: int
    border: int
    mapping_name: ClassVar[str]
    facts: dict[str, Any]

    def pair(self, clips: ByteClip, *, seed: int = 0, rows: Sequence[int] | None = None) -> ClipPair:
        """Input and target from prepared clips (B, T, 3, H, W).

        Args:
            seed, rows: key the draws of inputs that are made at random; rows default to the places in the batch.

        Raises:
            ValueError: the clips have a size that the model cannot be given.
        """
        ...

    def map_clips(self, clips: ByteClip) -> ByteClip:
        """(B, T, C, h, w) uint8 -> (B, T, 3, H, W) uint8 on the CPU; each clip starts without a past."""
        ...

    def map_frames(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """One stream (C, h, w) uint8 -> one output (3, H, W) uint8 per frame, in constant memory.

        Equal to `map_clips` of the whole stream, up to rounding.
        """
        ...

    def baselines(self) -> Mapping[str, ClipFunction]:
        """Row name -> function like `map_clips`, the reference of paired differences first."""
        ...

    def own_metrics(self) -> Mapping[str, ClipMetric]:
        """Further metrics of its task by name."""
        ...


@dataclass(frozen=True)
class DataFacts:
    """What networks need to know of the prepared data."""

    image_size: tuple[int, int]  # (H, W) of a training frame
    num_categories: int  # 0 for data without categories
    vocabulary: tuple[str, ...] = ()  # words of the captions; () if the task reads none


@dataclass(frozen=True)
class TrainingParts:
    """What the engine gives to a training algorithm."""

    trainees: Trainees
    ema: ExponentialMovingAverage
    steps_per_epoch: int


@dataclass(frozen=True)
class Preview:
    """What a preview writes: an image file, clips for tracking services, and measurements for the journal."""

    image: bytes
    suffix: str  # of the image file: ".png" or ".webp"
    clips: Mapping[str, ByteClip] = field(default_factory=dict)  # name -> (T, 3, H', W') uint8
    metrics: Mapping[str, float] = field(default_factory=dict)


Config = TypeVar("Config", bound=RunConfig)


class Task(ABC, Generic[Config]):
    """A capability that trains a model. One object per task stands in `vidgan.tasks.TASKS`.

    Attributes:
        name: value of the key `task` in a config.
        config: the typed config.
        model: the public class of the generator, with `from_pretrained`.
        evaluation: what `vidgan evaluate` does with a trained model: "forecast" for a `ForecastModel`, "clips" for a
            `ClipModel`, "mapping" for a `ClipMapper`.
        default_config: shipped config that `vidgan.train(NAME, data=...)` starts from.
        preview_clips: number of real clips that `preview` is given.
        previews_held_out: whether these are of the test split (cut without overlap), or of the training split.
        one_process: why a run cannot be divided over several processes; None where it can.
    """

    name: ClassVar[str]
    config: type[Config]
    model: ClassVar[type[Pretrained]]
    evaluation: ClassVar[EvaluationKind]
    default_config: ClassVar[str]
    preview_clips: ClassVar[int]
    previews_held_out: ClassVar[bool]
    one_process: ClassVar[str | None] = None

    @abstractmethod
    def build_generator(self, config: Config, data: DataFacts) -> nn.Module:
        """The network whose moving average is the model. Draws weights from torch's global generator."""

    def build_discriminator(self, name: str, config: Config, data: DataFacts) -> nn.Module:
        """A discriminator by its name in the config."""
        raise LookupError(f"task {self.name} has no discriminator {name!r}")

    @abstractmethod
    def build_training(self, config: Config, parts: TrainingParts) -> Algorithm:
        """The training algorithm over prepared networks."""

    @abstractmethod
    def preview(self, model: Any, clips: ByteClip, config: Config, captions: Sequence[str] = ()) -> Preview:
        """Render what the model does now; the same inputs each time, so that previews can be compared.

        Args:
            model: the generator with its average weights.
            clips: real clips (N, T, 3, H, W), T = `data.frames`.
            config: of the run.
            captions: of the clips, where `previews_held_out`; "" for a clip without.
        """

    def needs_label_flow(self, config: Config) -> bool:
        """Whether training needs the optical flow that `vidgan prepare --flow` stores."""
        return False

    def reads_conditions(self, config: Config) -> bool:
        """Whether clips are read with the conditions that `vidgan prepare --conditions` stores, as six channels."""
        return False

    def other_data(self, config: Config) -> str | None:
        """Folder of a second data set, of which a random clip comes with each clip; None for one data set."""
        return None

    def uses_categories(self, config: Config) -> bool:
        """Whether the networks are conditioned on the data's categories."""
        return False

    def wrong_captions(self, config: Config) -> int | None:
        """How many wrong captions come with each clip and its caption, which the networks read; None without text."""
        return None

    def frozen(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Network -> names of its parts that are not trained."""
        return {}

    def context(self, config: Config) -> int | None:
        """Frames that are given, for a task that continues clips."""
        return None

    def compilable_parts(self, name: str, network: Any, config: Config) -> list[nn.Module]:
        """The parts of a network that torch.compile can take; none by default."""
        return []
