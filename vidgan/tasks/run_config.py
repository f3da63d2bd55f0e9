"""The sections of a run's config that every task shares."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from vidgan.data.augmentation import AUGMENTATIONS
from vidgan.sections import LIMIT, LIMITS, Section, nearest, option
from vidgan.training.guards import FATAL

__all__ = [
    "DataConfig",
    "EveryConfig",
    "GuardsConfig",
    "OptimizerConfig",
    "RunConfig",
    "TrainConfig",
    "Weight",
]

Weight = Annotated[float, Field(gt=0, le=LIMIT)]
Side = Annotated[int, Field(ge=1, le=LIMITS["pixels"])]
Beta = Annotated[float, Field(ge=0, lt=1)]
Service = Literal["tensorboard", "trackio", "wandb"]
MAX_WORKERS = 256
MAX_SEED = 2**63 - 1


def as_names(chosen: Any) -> tuple[str, ...]:
    """A list of names, given as one name or several.

    Raises:
        ValueError: it is neither.
    """
    names = (chosen,) if isinstance(chosen, str) else () if chosen is None else chosen
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("a name or a list of names is expected")
    return tuple(names)


def names_in(accepted: tuple[str, ...], chosen: Any) -> Any:
    """A list of distinct names out of `accepted`.

    Raises:
        ValueError: an unknown or repeated name.
    """
    names = as_names(chosen)
    for name in names:
        if name not in accepted:
            raise ValueError(f"unknown name {name!r}{nearest(str(name), accepted)}")
    if len(set(names)) < len(names):
        raise ValueError(f"a name is repeated: {', '.join(map(str, names))}")
    return names


class DataConfig(Section):
    """What a training clip is."""

    root: str = option("", "Folder written by `vidgan prepare`.")
    frames: int = option(16, "Length of a training clip.", unit="frames", ge=2)
    stride: int = option(1, "Every how many frames of the prepared clip one is taken.", unit="frames", ge=1)
    fps: float | None = option(
        None, "Take the frames nearest in time at this rate, instead of a stride.", unit="1/s", gt=0
    )
    flip: bool = option(False, "Mirror half of the training clips.")
    window: tuple[Side, Side] | None = option(
        None, "(height, width) of the crop of each frame; null takes all of it.", unit="pixels"
    )
    augment: tuple[str, ...] = option(
        (), f"Random camera and light, one draw per clip; any of {', '.join(AUGMENTATIONS)}."
    )
    workers: int = option(0, "Loader processes.", ge=0, le=MAX_WORKERS)
    allow_few: bool = option(False, "Train even if fewer clips than a batch are long enough.")

    @field_validator("augment", mode="before")
    @classmethod
    def _augmentations(cls, chosen: Any) -> Any:
        return names_in(AUGMENTATIONS, chosen)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.fps is not None and self.stride != 1:
            yield f"stride={self.stride} has no effect with fps={self.fps:g}; remove one"


class OptimizerConfig(Section):
    """One optimizer of torch.optim."""

    name: Literal["adam", "adamw", "rmsprop", "sgd", "object"] = option(
        "adam", "Algorithm; `object` stands for one that was passed from Python."
    )
    lr: float = option(2e-4, "Learning rate.", gt=0)
    betas: tuple[Beta, Beta] | None = option(None, "Adam and AdamW only; null stands for (0.5, 0.999).")
    weight_decay: float = option(0.0, "As in torch.optim.", ge=0)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.betas is not None and self.name not in ("adam", "adamw"):
            yield f"betas has no effect on {self.name}; remove it or use adam or adamw"


class TrainConfig(Section):
    """How long, how much at once, on what hardware."""

    steps: int = option(description="Training steps.", unit="steps", ge=1)
    batch_size: int = option(description="Clips per step over all processes and micro-batches.", unit="clips", ge=1)
    start: str | None = option(
        None,
        "Weights that the generator starts from: a run, a model folder, or a name that `vidgan models` lists. A second"
        " stage that reads captions takes the reader of captions of its first stage.",
    )
    micro_batches: int = option(1, "Gradients are accumulated over this many parts of the batch.", ge=1)
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "`auto` is the faster one: measured on a CPU, bf16 on a GPU that multiplies it natively."
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", "`auto` is a GPU where torch sees one.")
    tf32: bool = option(False, "CUDA only: float32 products keep 10 bits of mantissa.")
    channels_last: bool = option(False, "Channels-last memory format for convolution weights.")
    compile: bool = option(False, "torch.compile the networks that it supports.")
    clip_grad_norm: float | None = option(None, "Limit of each network's gradient norm; null for none.", gt=0)
    ema_decay: float = option(0.999, "Decay of the generator's moving average per step.", gt=0, lt=1)
    lr_schedule: Literal["constant", "linear", "cosine"] = option("constant", "Shape of the learning rates.")
    warmup: int = option(0, "Steps of linear warm-up.", unit="steps", ge=0)
    decay_start: float | None = option(
        None, "Share of the steps before a linear or cosine decay begins; null for 0.", ge=0, lt=1
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _no_fp16(cls, precision: Any) -> Any:
        if precision == "fp16":
            raise ValueError("fp16 needs loss scaling, which several networks and penalties break; use bf16 or fp32")
        return precision

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.decay_start is not None and self.lr_schedule == "constant":
            yield "decay_start has no effect with lr_schedule=constant; remove it, or choose linear"
        if self.tf32 and self.device == "cpu":
            yield "tf32 has no effect on device=cpu; remove it"
        if self.warmup >= self.steps:
            yield f"warmup={self.warmup} must be below steps={self.steps}"
        if self.batch_size % self.micro_batches:
            yield f"batch_size={self.batch_size} cannot be divided into micro_batches={self.micro_batches}"


class EveryConfig(Section):
    """How often something is done."""

    log: int = option(10, "Measurements are written to the journal.", unit="steps", ge=1)
    preview: int = option(500, "Preview images are rendered.", unit="steps", ge=1)
    checkpoint: int = option(500, "The training state is saved.", unit="steps", ge=1)
    evaluate: int | None = option(None, "The moving average is scored; null for never.", unit="steps", ge=1)
    keep: int = option(2, "Number of checkpoints that are kept.", ge=2)


class GuardsConfig(Section):
    """What is done when training goes wrong. Warnings are always written to the journal."""

    stop: tuple[str, ...] = option((), f"Warnings that end the run after it was saved: true, or any of {FATAL}.")
    on_nonfinite: Literal["stop", "rollback"] = option(
        "stop", "On NaN or infinity: end the run, or go back to the last checkpoint and skip the batch."
    )
    rollbacks: int | None = option(None, "Rollbacks to one and the same checkpoint; null for 3.", ge=1)

    @field_validator("stop", mode="before")
    @classmethod
    def _known_warnings(cls, stop: Any) -> Any:
        if isinstance(stop, bool):
            return FATAL if stop else ()
        return names_in(FATAL, stop)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.rollbacks is not None and self.on_nonfinite == "stop":
            yield "rollbacks has no effect without on_nonfinite=rollback"


class RunConfig(Section):
    """One training run. Each task narrows `data`, `model`, `discriminators` and `objective` to sections of its own."""

    task: str = option(description="Name of the task.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of the run's folder: letters, digits, dots, dashes and underscores.",
    )
    out: str = option("runs", "Folder of the runs.")
    seed: int = option(0, "Keys every random draw; equal seeds give equal runs.", ge=0, le=MAX_SEED)
    data: DataConfig
    model: Section
    discriminators: Section = Section()
    objective: Section
    optimizers: dict[str, OptimizerConfig] = option({}, "One per network: `generator` and each discriminator.")
    train: TrainConfig
    every: EveryConfig = EveryConfig()
    guards: GuardsConfig = GuardsConfig()
    track: tuple[Service, ...] = option(
        (), "Services that also get measurements and previews: tensorboard, trackio, wandb."
    )

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return Path(self.out) / self.name

    @field_validator("track", mode="before")
    @classmethod
    def _one_or_many(cls, track: Any) -> Any:
        names = as_names(track)
        if len(set(names)) < len(names):
            raise ValueError(f"a service is repeated: {', '.join(map(str, names))}")
        return names

    def network_names(self) -> tuple[str, ...]:
        """`generator` and the discriminators that are built."""
        present = [name for name in type(self.discriminators).model_fields if getattr(self.discriminators, name)]
        return ("generator", *present)

    def updates_per_step(self, network: str) -> float:
        """How often a network is updated per step, on average."""
        return 1.0

    def lazy_period(self) -> int:
        """Steps after which everything that is computed only now and then has been computed once."""
        return 1

    def with_every_turn(self) -> Self:
        """The config with each network updated once in every step, for counting what an update costs."""
        return self

    def problems(self) -> Iterator[str]:
        """Broken rules between sections that hold for every task."""
        networks = self.network_names()
        for name in self.optimizers:
            if name not in networks:
                yield f"optimizers.{name}: there is no such network{nearest(name, networks)}"
        for name in networks:
            if name not in self.optimizers:
                yield f"optimizers.{name} is not set: each network needs an optimizer"
        if self.train.compile:
            sections = {"model": self.model}
            sections |= {f"discriminators.{name}": getattr(self.discriminators, name) for name in networks[1:]}
            for key, section in sections.items():
                if getattr(section, "checkpoint_activations", False):
                    yield f"{key}.checkpoint_activations and train.compile exclude each other"
