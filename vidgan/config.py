"""The strict, typed configuration of a run: YAML (OmegaConf) with `a.b=c` overrides, validated by pydantic.

An unknown key, a wrong type, a value out of range or an impossible pair of settings stops before any data is read, with
the name of the key, what is accepted, and the nearest known name. Sections that configure a network (`model`,
`discriminators.*`) hold keyword arguments of its constructor and are checked against its signature in
`vidgan.build`, so that defaults exist once.
"""

import difflib
import importlib.resources
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

MAX_CONFIG_BYTES = 1_000_000

Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(gt=0)]


class ConfigError(ValueError):
    """The configuration is unusable; the message names the key and what is accepted."""


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
    flip: bool = False
    workers: NonNegative = 0
    context: Positive | None = None  # forecasting only: frames given; the rest of the clip is to be forecast

    @field_validator("root", mode="before")
    @classmethod
    def _given(cls, root: Any) -> Any:
        if not root:
            raise ValueError("not set; give the folder that `vidgan prepare` wrote (data.root=DATA)")
        return root


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
    weight: Weight | None = None  # of the penalty (R1: gamma / 2 in Mescheder et al.)
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
    category_source: Literal["labels", "samples"] | None = None  # synthesis with categories only
    kl_warmup: Positive | None = None  # forecasting only: steps until the KL term has its full weight


class TrainConfig(Section):
    """How long, how much at once, on what. `batch_size` counts clips over all processes and micro-batches."""

    steps: Positive
    batch_size: Positive
    micro_batches: Positive = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    clip_grad_norm: Weight | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: NonNegative = 0


class EveryConfig(Section):
    """Periods, in steps."""

    log: Positive = 10
    preview: Positive = 500
    checkpoint: Positive = 500
    evaluate: Positive | None = None
    keep: Annotated[int, Field(ge=2)] = 2


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

    @property
    def run_dir(self) -> Path:
        """Where the run lives."""
        return Path(self.out) / self.name

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """`discriminators.frame=null` on the command line takes an entry of a shipped config out."""
        if not isinstance(values, dict):
            return values
        kept = dict(values)
        for key in ("discriminators", "optimizers", "model"):
            if isinstance(kept.get(key), dict):
                kept[key] = {k: v for k, v in kept[key].items() if v is not None}
        objective = kept.get("objective")
        if isinstance(objective, dict) and isinstance(objective.get("weights"), dict):
            weights = {k: v for k, v in objective["weights"].items() if v is not None}
            kept["objective"] = objective | {"weights": weights}
        return kept

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        if "name" not in self.model:
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
        if not self.discriminators:
            for key in ("penalty", "noise"):
                if getattr(self.objective, key) is not None:
                    raise ValueError(f"objective.{key} has no effect without discriminators; remove it")
        if self.train.warmup >= self.train.steps:
            raise ValueError(f"train.warmup={self.train.warmup} must be below train.steps={self.train.steps}")
        if self.train.batch_size % self.train.micro_batches:
            raise ValueError(
                f"train.batch_size={self.train.batch_size} cannot be divided into"
                f" train.micro_batches={self.train.micro_batches}"
            )
        return self


def _known_keys(location: Sequence[str | int]) -> set[str]:
    """The keys that the section at `location` accepts, for the error message."""
    section: type[BaseModel] = RunConfig
    for part in location:
        field = section.model_fields.get(str(part))
        if field is None:
            break
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                section = candidate
                break
        else:
            # A dict of sections (`optimizers.<name>`): descend into the value type on the next part.
            values = [a for c in candidates for a in getattr(c, "__args__", ()) if isinstance(a, type)]
            section = next((v for v in values if issubclass(v, BaseModel)), section)
    return set(section.model_fields)


def _explain(error: ValidationError, origin: str) -> str:
    lines = []
    for issue in error.errors():
        key = ".".join(str(part) for part in issue["loc"])
        if issue["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}{nearest(str(issue['loc'][-1]), _known_keys(issue['loc'][:-1]))}")
        elif issue["type"] == "missing":
            lines.append(f"{key} is not set")
        else:
            message = issue["msg"].removeprefix("Value error, ")
            got = f" (got {issue['input']!r})" if not isinstance(issue["input"], dict | BaseModel) else ""
            lines.append(f"{key}: {message}{got}" if key else message)
    return f"{origin}: " + "; ".join(lines)


def parse_config(values: Any, origin: str) -> RunConfig:
    """A validated config from plain dicts and lists; `origin` is named in errors."""
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: a config is a mapping of sections, got {type(values).__name__}")
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from None


def shipped_configs() -> dict[str, Path]:
    """Name (`mocogan/vidgan`) -> file of the configs that come with the package."""
    installed = Path(str(importlib.resources.files("vidgan"))) / "configs"
    checkout = Path(__file__).resolve().parents[1] / "configs"
    folder = installed if installed.is_dir() else checkout
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.yaml"))}


def find_config(name: str) -> Path:
    """A YAML file by path, or a shipped config by name."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_configs()
    key = name.removeprefix("configs/").removesuffix(".yaml")
    if key in shipped:
        return shipped[key]
    raise ConfigError(f"{name}: no such config file, nor a shipped config{nearest(key, shipped)}")


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file, apply `a.b=c` overrides, validate.

    YAML is parsed by OmegaConf's safe loader: tags cannot construct objects. Files above 1 MB are refused.
    """
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes; this is no config")
    for override in overrides:
        if "=" not in override or not override.split("=", 1)[0].strip():
            raise ConfigError(f"override {override!r}: write it as key.sub=value, for example train.steps=1000")
    try:
        loaded = OmegaConf.load(path)
        if not isinstance(loaded, DictConfig):
            raise ConfigError(f"{path}: a config is a mapping of sections, got a list")
        values = OmegaConf.to_container(OmegaConf.merge(loaded, OmegaConf.from_dotlist(list(overrides))), resolve=True)
    except ConfigError:
        raise
    except (OmegaConfBaseException, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from None
    except Exception as error:  # PyYAML's errors share no base with OmegaConf's
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        raise
    return parse_config(values, str(path))


def dump_config(config: RunConfig) -> str:
    """YAML text of the resolved config; `load_config` reads it back to an equal one."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json", exclude_none=True)))


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """`key: old -> new` for each leaf that differs."""

    def leaves(values: Any, prefix: str = "") -> dict[str, Any]:
        if isinstance(values, dict):
            return {
                k: v
                for key, sub in values.items()
                for k, v in leaves(sub, f"{prefix}.{key}" if prefix else key).items()
            }
        return {prefix: values}

    before, after = leaves(old.model_dump(mode="json")), leaves(new.model_dump(mode="json"))
    keys = sorted(set(before) | set(after))
    return [f"{k}: {before.get(k)} -> {after.get(k)}" for k in keys if before.get(k) != after.get(k)]
