"""Config sections of tasks that train against discriminators."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator
from torch import nn

from vidgan.losses.adversarial import ADVERSARIAL
from vidgan.nn.discriminators import (
    FlowDiscriminator,
    FlowDiscriminatorConfig,
    FrameDiscriminator,
    FrameDiscriminatorConfig,
    VideoDiscriminator,
    VideoDiscriminatorConfig,
)
from vidgan.nn.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from vidgan.nn.progressive_discriminators import (
    ProgressiveFrameDiscriminator,
    ProgressiveFrameDiscriminatorConfig,
    ProgressiveVideoDiscriminator,
    ProgressiveVideoDiscriminatorConfig,
)
from vidgan.nn.residual_discriminators import (
    ResidualFrameDiscriminator,
    ResidualFrameDiscriminatorConfig,
    ResidualVideoDiscriminator,
    ResidualVideoDiscriminatorConfig,
)
from vidgan.sections import OBJECT, Section, nearest, one_of, option
from vidgan.tasks.run_config import RunConfig, Weight
from vidgan.training.turns import Turn

__all__ = [
    "FLOW_DISCRIMINATORS",
    "FRAME_DISCRIMINATORS",
    "VIDEO_DISCRIMINATORS",
    "AdversarialObjective",
    "AdversarialRunConfig",
    "FlowDiscriminatorPart",
    "FrameDiscriminatorPart",
    "PenaltyConfig",
    "VideoDiscriminatorPart",
]

# Config section -> network. A new kind is one file with both, and one line here.
FRAME_DISCRIMINATORS: dict[type[Section], type[nn.Module]] = {
    FrameDiscriminatorConfig: FrameDiscriminator,
    PatchDiscriminatorConfig: PatchDiscriminator,
    ResidualFrameDiscriminatorConfig: ResidualFrameDiscriminator,
    ProgressiveFrameDiscriminatorConfig: ProgressiveFrameDiscriminator,
}
VIDEO_DISCRIMINATORS: dict[type[Section], type[nn.Module]] = {
    VideoDiscriminatorConfig: VideoDiscriminator,
    ResidualVideoDiscriminatorConfig: ResidualVideoDiscriminator,
    ProgressiveVideoDiscriminatorConfig: ProgressiveVideoDiscriminator,
}
FLOW_DISCRIMINATORS: dict[type[Section], type[nn.Module]] = {FlowDiscriminatorConfig: FlowDiscriminator}

FrameDiscriminatorPart = one_of(*FRAME_DISCRIMINATORS, default="strided")
VideoDiscriminatorPart = one_of(*VIDEO_DISCRIMINATORS, default="strided")
FlowDiscriminatorPart = one_of(*FLOW_DISCRIMINATORS, default="strided")

LOG_LOSSES = ("minimax", "non_saturating")
OWN_PATH = re.compile(r"[\w.]+:[\w.]+")


class PenaltyConfig(Section):
    """Regularisation of the discriminators, in the same sum and backward pass as their loss."""

    kind: Literal["r1", "r2", "r1_r2", "gradient_penalty", "weight_clip"] = option(
        description="Method; r1 is of real samples, r2 of generated ones, r1_r2 of both."
    )
    weight: Weight | dict[str, Weight] | None = option(
        None, "Weight for all discriminators or by name (R1: gamma / 2 of Mescheder et al. 2018)."
    )
    every: int = option(1, "Lazy regularisation: on every n-th step with n times the weight.", unit="steps", ge=1)
    limit: float | None = option(None, "Of weight_clip: weights are kept in [-limit, limit].", gt=0)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.kind == "weight_clip":
            if self.limit is None:
                yield "kind=weight_clip needs limit (WGAN: 0.01)"
            if self.weight is not None or self.every != 1:
                yield "weight and every have no effect with weight_clip; remove them"
        else:
            if self.weight is None:
                yield f"kind={self.kind} needs weight"
            if self.limit is not None:
                yield f"limit has no effect with {self.kind}; remove it"


class AdversarialObjective(Section):
    """What is optimised. `weights` names the generator's terms; a term that is not named is not computed."""

    built_in_terms: ClassVar[tuple[str, ...]] = ()

    adversarial: str = option(
        "non_saturating", f"Adversarial loss: {', '.join(ADVERSARIAL)}, or my_module:my_loss (an AdversarialLoss)."
    )
    weights: dict[str, Weight] = option(description="Generator's term -> weight.")
    terms: dict[str, str] = option({}, "Own terms of the generator: name -> my_module:my_function.")
    penalty: PenaltyConfig | None = option(None, "Regularisation of the discriminators.")
    drift: float = option(0.0, "Weight of the mean squared logit of real samples (ProGAN: 0.001).", ge=0)
    label_smoothing: float = option(
        0.0, "Discriminators aim at 1 minus this for real samples; with minimax and non_saturating.", ge=0, lt=0.5
    )
    half_loss: bool = option(
        False, "Discriminators minimise half of minimax or non_saturating (Goodfellow's tutorial of 2016)."
    )
    turns: tuple[Turn, ...] | None = option(
        None, "Sequence of a step; null: each discriminator once, then the generator once."
    )

    @field_validator("adversarial")
    @classmethod
    def _known_loss(cls, name: str) -> str:
        if name not in (*ADVERSARIAL, OBJECT) and not OWN_PATH.fullmatch(name):
            raise ValueError(f"unknown adversarial loss{nearest(name, ADVERSARIAL)}")
        return name

    @field_validator("turns", mode="before")
    @classmethod
    def _turns_by_name(cls, turns: Any) -> Any:
        """Accept `frame` and `[frame, 2]` (network, repeat) instead of a section."""
        if turns is None:
            return None
        if not isinstance(turns, list | tuple):
            raise ValueError("a list of networks is expected")
        sections = []
        for turn in turns:
            if isinstance(turn, str):
                turn = {"network": turn}
            elif isinstance(turn, list | tuple) and len(turn) == 2:
                turn = {"network": turn[0], "repeat": turn[1]}
            sections.append(turn)
        return tuple(sections)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        for name, path in self.terms.items():
            if name in self.built_in_terms:
                yield f"terms.{name}: a built-in term has this name; choose another"
            if path != OBJECT and not OWN_PATH.fullmatch(path):
                yield f"terms.{name}: {path!r} is not of the form my_module:my_function"
            if name not in self.weights:
                yield f"terms.{name} needs weights.{name}"
        if self.adversarial not in LOG_LOSSES:
            for key in ("label_smoothing", "half_loss"):
                if getattr(self, key):
                    yield f"{key} is for {' and '.join(LOG_LOSSES)}, not for adversarial={self.adversarial}; remove it"
        known = (*self.built_in_terms, *self.terms)
        for term in self.weights:
            if term not in known:
                yield f"weights.{term}: there is no such term{nearest(term, known)}"


class AdversarialRunConfig(RunConfig):
    """A run with a generator and, if any, discriminators."""

    objective: AdversarialObjective

    @model_validator(mode="before")
    @classmethod
    def _without_removed_discriminators(cls, values: Any) -> Any:
        """`discriminators.NAME=null` removes a discriminator together with its dependent settings."""
        if not isinstance(values, dict):
            return values
        values = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
        sections = values.get("discriminators")
        removed = (
            {name for name, section in sections.items() if section is None} if isinstance(sections, dict) else set()
        )
        objective = values.get("objective")
        if isinstance(objective, dict):
            dependent = {f"adversarial_{name}" for name in removed} | cls.dependent_terms(removed)
            weights = objective.get("weights") or {}
            if isinstance(weights, dict):
                objective["weights"] = {k: v for k, v in weights.items() if v is not None and k not in dependent}
            penalty = objective.get("penalty")
            if isinstance(penalty, Mapping) and isinstance(penalty.get("weight"), Mapping):
                rest = {k: v for k, v in penalty["weight"].items() if k not in removed}
                objective["penalty"] = {**penalty, "weight": rest} if rest else None
            for option_name in cls.dependent_options(removed):
                objective.pop(option_name, None)
        if isinstance(values.get("optimizers"), dict):
            values["optimizers"] = {k: v for k, v in values["optimizers"].items() if v is not None and k not in removed}
        return values

    @classmethod
    def dependent_terms(cls, removed: set[str]) -> set[str]:
        """Terms that make no sense without the removed discriminators, beside `adversarial_NAME`."""
        return set()

    @classmethod
    def dependent_options(cls, removed: set[str]) -> tuple[str, ...]:
        """Keys of `objective` that make no sense without the removed discriminators."""
        return ()

    def turns(self) -> tuple[Turn, ...]:
        """The sequence of a step."""
        if self.objective.turns is not None:
            return self.objective.turns
        _, *discriminators = self.network_names()
        return tuple(Turn(network=name) for name in (*discriminators, "generator"))

    def updates_per_step(self, network: str) -> float:
        """How often a network is updated per step, on average."""
        turns = [turn for turn in self.turns() if turn.network == network]
        return sum(turn.repeat / turn.every * len(set(turn.active)) / turn.cycle for turn in turns)

    def lazy_period(self) -> int:
        """The period of a lazy penalty."""
        return 1 if self.objective.penalty is None else self.objective.penalty.every

    def with_every_turn(self) -> Self:
        """The config with the usual sequence of turns."""
        return self.model_copy(update={"objective": self.objective.model_copy(update={"turns": None})})

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        objective = self.objective
        networks = self.network_names()
        discriminators = set(networks) - {"generator"}
        adversarial = {w.removeprefix("adversarial_") for w in objective.weights if w.startswith("adversarial_")}
        for name in sorted(adversarial - discriminators):
            yield f"objective.weights.adversarial_{name} needs discriminators.{name}"
        for name in sorted(discriminators - adversarial):
            yield f"discriminators.{name} has no effect without objective.weights.adversarial_{name}"
        penalised = objective.penalty.weight if objective.penalty is not None else None
        for name in penalised if isinstance(penalised, dict) else ():
            if name not in discriminators:
                yield f"objective.penalty.weight.{name}: no such discriminator{nearest(name, discriminators)}"
        if not discriminators:
            for key in ("penalty", "adversarial", "drift", "label_smoothing", "half_loss"):
                if getattr(objective, key) != AdversarialObjective.model_fields[key].default:
                    yield f"objective.{key} has no effect without discriminators; remove it"
        turned = [turn.network for turn in self.turns()]
        for name in turned:
            if name not in networks:
                yield f"objective.turns: there is no network {name!r}{nearest(name, networks)}"
        for name in networks:
            if name not in turned:
                yield f"objective.turns: {name} has no turn, so it would never be trained"
