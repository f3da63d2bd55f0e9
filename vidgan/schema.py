"""The sections of a run's config, as pydantic models: types, ranges and pairs of settings that exclude each other.

Sections that configure a network (`model`, `discriminators.*`) hold keyword arguments of its constructor and are
checked against its signature in `vidgan.checks`, so that defaults exist once.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(gt=0)]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is close, and the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (accepted: {', '.join(names) or 'none'})"


class Section(BaseModel):
    """Immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """What a training clip is. `root` is a folder that `vidgan prepare` wrote."""

    root: str
    frames: Annotated[int, Field(ge=2)] = 16
    stride: Positive = 1
    fps: Annotated[float, Field(gt=0)] | None = None  # frames nearest in time at this rate, in place of a stride
    flip: bool = False
    window: tuple[Positive, Positive] | None = None  # (height, width) shown of each frame; null shows all of it
    augment: tuple[str, ...] = ()  # random camera and light, see `vidgan.data.augmentation`
    workers: NonNegative = 0
    context: Positive | None = None  # forecasting only: frames given; the rest of the clip is to be forecast

    @field_validator("root", mode="before")
    @classmethod
    def _given(cls, root: Any) -> Any:
        if not root:
            raise ValueError("not set; give the folder that `vidgan prepare` wrote (data.root=DATA)")
        return root

    @model_validator(mode="after")
    def _no_idle_option(self) -> "DataConfig":
        if self.fps is not None and self.stride != 1:
            raise ValueError(f"data.stride={self.stride} has no effect beside data.fps={self.fps:g}; remove one")
        return self


class OptimizerConfig(Section):
    """One optimizer; names as in torch.optim."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 2e-4
    betas: tuple[float, float] | None = None  # Adam and AdamW only; default (0.5, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _no_idle_option(self) -> "OptimizerConfig":
        if self.betas is not None and self.name not in ("adam", "adamw"):
            raise ValueError(f"betas has no effect on {self.name}; remove it or use adam or adamw")
        return self


class PenaltyConfig(Section):
    """The discriminators' regularisation, in the same sum and backward as their loss."""

    kind: Literal["r1", "gradient_penalty", "weight_clip"]
    # Of the penalty (R1: gamma / 2 in Mescheder et al.), for all discriminators or by name.
    weight: Weight | dict[str, Weight] | None = None
    every: Positive = 1  # lazy regularisation: each `every`-th step, weighted `every` times (Karras et al. 2020)
    limit: Weight | None = None  # of weight_clip

    @model_validator(mode="after")
    def _consistent(self) -> "PenaltyConfig":
        if self.kind == "weight_clip":
            if self.limit is None:
                raise ValueError("penalty.kind=weight_clip needs penalty.limit (WGAN: 0.01)")
            if self.weight is not None or self.every != 1:
                raise ValueError("penalty.weight and penalty.every have no effect with weight_clip; remove them")
        else:
            if self.weight is None:
                raise ValueError(f"penalty.kind={self.kind} needs penalty.weight")
            if self.limit is not None:
                raise ValueError(f"penalty.limit has no effect with {self.kind}; remove it")
        return self


class NoiseConfig(Section):
    """Instance noise in front of the discriminators' convolutions, annealed linearly from `start` to `end`."""

    start: Weight
    end: Annotated[float, Field(ge=0)] = 0.0
    steps: Positive


class ObjectiveConfig(Section):
    """What is optimised. `weights` names the generator's terms; a term that is not named is not computed."""

    adversarial: Literal["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"] = (
        "non_saturating"
    )
    weights: dict[str, Weight]
    penalty: PenaltyConfig | None = None
    noise: NoiseConfig | None = None
    critic_steps: Positive = 1
    augment: tuple[str, ...] = ()
    frames_per_clip: Positive | None = None  # synthesis only: frames of each clip that the frame discriminator sees
    path_frames: Positive | None = None  # synthesis only: generated clips are windows of clips of so many frames
    category_source: Literal["labels", "samples"] | None = None  # synthesis with categories only
    kl_warmup: Positive | None = None  # forecasting only: steps until the KL term has its full weight
    futures: Annotated[int, Field(ge=2)] | None = None  # forecasting only: draws that have to be spread as the truth is


class TrainConfig(Section):
    """How long, how much at once, on what. `batch_size` counts clips over all processes and micro-batches."""

    steps: Positive
    batch_size: Positive
    micro_batches: Positive = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tf32: bool = False  # CUDA only: float32 matrix products and convolutions keep 10 bits of mantissa
    channels_last: bool = False  # convolution weights, and so their maps, in channels-last memory format
    compile: bool = False  # torch.compile of the networks that it can take, see `vidgan.build.compile_networks`
    clip_grad_norm: Weight | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: NonNegative = 0
    decay_start: Annotated[float, Field(ge=0, lt=1)] | None = None  # share of the steps before a linear or cosine decay

    @field_validator("precision", mode="before")
    @classmethod
    def _no_fp16(cls, precision: Any) -> Any:
        if precision == "fp16":
            raise ValueError("fp16 needs loss scaling, which several networks and penalties break; use bf16 or fp32")
        return precision

    @model_validator(mode="after")
    def _no_idle_option(self) -> "TrainConfig":
        if self.decay_start is not None and self.lr_schedule == "constant":
            raise ValueError("train.decay_start has no effect with lr_schedule=constant; remove it, or choose linear")
        if self.tf32 and self.device == "cpu":
            raise ValueError("train.tf32 has no effect on train.device=cpu; remove it")
        return self


class EveryConfig(Section):
    """Periods, in steps."""

    log: Positive = 10
    preview: Positive = 500
    checkpoint: Positive = 500
    evaluate: Positive | None = None
    keep: Annotated[int, Field(ge=2)] = 2


class GuardsConfig(Section):
    """What is done when training goes wrong. Warnings are always written to the journal and shown."""

    stop: tuple[str, ...] = ()  # warnings that end the run, after it was saved; `true` for all that can
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    rollbacks: Positive | None = None  # how often in a row to one and the same checkpoint; default 3

    @field_validator("stop", mode="before")
    @classmethod
    def _named(cls, stop: Any) -> Any:
        # Imported here, since `vidgan --help` must not wait for torch.
        from vidgan.training.guards import FATAL

        if isinstance(stop, bool):
            return FATAL if stop else ()
        for name in stop if isinstance(stop, list | tuple) else (stop,):
            if name not in FATAL:
                raise ValueError(f"no guard is called {name!r}{nearest(str(name), ('true', 'false', *FATAL))}")
        return stop

    @model_validator(mode="after")
    def _no_idle_option(self) -> "GuardsConfig":
        if self.rollbacks is not None and self.on_nonfinite == "stop":
            raise ValueError("guards.rollbacks has no effect without guards.on_nonfinite=rollback")
        return self


Service = Literal["tensorboard", "trackio", "wandb"]


class RunConfig(Section):
    """One training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    out: str = "runs"
    seed: NonNegative = 0
    data: DataConfig
    model: dict[str, Any]
    discriminators: dict[str, dict[str, Any]] = {}
    objective: ObjectiveConfig
    optimizers: dict[str, OptimizerConfig]
    train: TrainConfig
    every: EveryConfig = EveryConfig()
    guards: GuardsConfig = GuardsConfig()
    track: tuple[Service, ...] = ()  # services that also get measurements and previews; extra `track`

    @property
    def run_dir(self) -> Path:
        """Where the run lives."""
        return Path(self.out) / self.name

    @field_validator("track", mode="before")
    @classmethod
    def _one_or_many(cls, track: Any) -> Any:
        names = (track,) if isinstance(track, str) else tuple(track or ())
        if len(set(names)) < len(names):
            raise ValueError(f"names a service twice: {', '.join(map(str, names))}")
        return names

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """`key=null` takes an entry of a shipped config out, a discriminator together with all that is its."""
        if not isinstance(values, dict):
            return values
        kept = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
        removed = [name for name, section in (kept.get("discriminators") or {}).items() if section is None]
        objective = kept.get("objective")
        if isinstance(objective, dict):
            idle = {f"adversarial_{name}" for name in removed} | ({"category"} if "video" in removed else set())
            weights = objective.get("weights") or {}
            objective["weights"] = {k: v for k, v in weights.items() if v is not None and k not in idle}
            penalty = objective.get("penalty")
            if isinstance(penalty, dict) and isinstance(penalty.get("weight"), dict):
                rest = {k: v for k, v in penalty["weight"].items() if k not in removed}
                objective["penalty"] = penalty | {"weight": rest} if rest else None
            for name, option in (("frame", "frames_per_clip"), ("video", "category_source")):
                if name in removed:
                    objective.pop(option, None)
        if isinstance(kept.get("optimizers"), dict):
            kept["optimizers"] = {k: v for k, v in kept["optimizers"].items() if k not in removed}
        for key in ("discriminators", "optimizers", "model"):
            if isinstance(kept.get(key), dict):
                kept[key] = {k: v for k, v in kept[key].items() if v is not None}
        return kept

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        if not isinstance(self.model.get("name"), str):
            raise ValueError("model.name is not set (accepted: mocogan, dual_motion)")
        networks = {"generator", *self.discriminators}
        for name in self.optimizers:
            if name not in networks:
                raise ValueError(f"optimizers.{name}: there is no such network{nearest(name, networks)}")
        missing = networks - set(self.optimizers)
        if missing:
            raise ValueError(f"optimizers.{min(missing)} is not set: each network needs an optimizer")
        adversarial = {w.removeprefix("adversarial_") for w in self.objective.weights if w.startswith("adversarial_")}
        for name in sorted(adversarial - set(self.discriminators)):
            raise ValueError(f"objective.weights.adversarial_{name} needs discriminators.{name}")
        for name in sorted(set(self.discriminators) - adversarial):
            raise ValueError(f"discriminators.{name} has no effect without objective.weights.adversarial_{name}")
        penalised = self.objective.penalty.weight if self.objective.penalty is not None else None
        for name in penalised if isinstance(penalised, dict) else ():
            if name not in self.discriminators:
                raise ValueError(
                    f"objective.penalty.weight.{name}: no such discriminator{nearest(name, self.discriminators)}"
                )
        if not self.discriminators:
            for key in ("penalty", "noise", "adversarial", "critic_steps", "augment"):
                if getattr(self.objective, key) != ObjectiveConfig.model_fields[key].default:
                    raise ValueError(f"objective.{key} has no effect without discriminators; remove it")
        if self.objective.noise is not None:
            for name, section in self.discriminators.items():
                if section.get("noise"):
                    raise ValueError(f"discriminators.{name}.noise has no effect beside objective.noise; remove one")
        if self.train.warmup >= self.train.steps:
            raise ValueError(f"train.warmup={self.train.warmup} must be below train.steps={self.train.steps}")
        if self.train.batch_size % self.train.micro_batches:
            raise ValueError(
                f"train.batch_size={self.train.batch_size} cannot be divided into"
                f" train.micro_batches={self.train.micro_batches}"
            )
        return self
