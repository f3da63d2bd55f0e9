"""Building what tasks with discriminators share: networks, adversaries, own loss terms."""

import logging
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.losses.adversarial import ADVERSARIAL, AdversarialLoss, with_half, with_smoothing
from vidgan.own_code import load_own, own_object, path_of
from vidgan.sections import OBJECT, OwnPart, Section
from vidgan.seeding import Draws
from vidgan.tasks.adversarial_config import AdversarialRunConfig
from vidgan.tasks.base import TrainingParts
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.training.adaptive import AdaptiveProbability
from vidgan.training.adversary import AdversarialGame, Adversary, Augmentation, CategorySource, Penalty

logger = logging.getLogger(__name__)

__all__ = [
    "build_game",
    "build_penalties",
    "build_section_discriminator",
    "compilable_discriminators",
]


def build_section_discriminator(
    name: str,
    section: Section,
    kinds: Mapping[type[Section], Callable[..., nn.Module]],
    given: Mapping[str, Any],
    sample: tuple[int, ...],
) -> nn.Module:
    """A discriminator from its section.

    Args:
        name: in the config.
        section: its section, or an own part.
        kinds: config section -> network.
        given: keyword arguments that come from the data.
        sample: shape of two samples, for checking an own part.

    Raises:
        ConfigError, ValueError: it does not fit the data, or an own part breaks the protocol.
    """
    if not isinstance(section, OwnPart):
        return kinds[type(section)](**given, **section.model_dump(exclude={"kind", "init"}))
    key = f"discriminators.{name}"
    network = build_own(section, key, given)
    num_categories = int(given.get("num_categories", 0))

    def call(module: nn.Module) -> dict[str, Any]:
        answer = module(torch.zeros(sample), Draws("check", rows=range(sample[0])))
        if isinstance(answer, Tensor):
            return {"logits": answer}
        return {"logits": answer.real, "category": answer.category}

    expected: dict[str, tuple[int, ...]] = {"logits": (sample[0], -1)}
    if num_categories:
        expected["category"] = (sample[0], num_categories)
    require_output(key, network, call, f"samples {sample} and draws", expected)
    return network


def build_penalties(config: AdversarialRunConfig) -> dict[str, Penalty]:
    """Discriminator -> its regularisation."""
    chosen = config.objective.penalty
    if chosen is None:
        return {}
    _, *names = config.network_names()
    weights = chosen.weight if isinstance(chosen.weight, dict) else dict.fromkeys(names, chosen.weight)
    return {
        name: Penalty(chosen.kind, weight or 0.0, chosen.every, chosen.limit or 0.0) for name, weight in weights.items()
    }


def build_game(
    config: AdversarialRunConfig,
    parts: TrainingParts,
    *,
    scores_clips: Collection[str] = (),
    augment: Augmentation | None = None,
    adaptive: Mapping[str, AdaptiveProbability] = MappingProxyType({}),
    category_source: Mapping[str, CategorySource] = MappingProxyType({}),
    codes: Mapping[str, tuple[float, int]] = MappingProxyType({}),
    wrong_share: float = 0.5,
) -> AdversarialGame:
    """Networks, losses and turns of a run with discriminators.

    Args:
        config: of the run.
        parts: the engine's.
        scores_clips: names of the discriminators of clips; the others score single frames or flows.
        augment: of real and fake samples alike.
        adaptive: discriminator -> how often it is applied.
        category_source: discriminator -> how it takes the category into account.
        codes: discriminator -> weight of the information codes that it reads, and its outputs for them.
        wrong_share: see `Adversary`.
    """
    _, *names = config.network_names()
    penalties = build_penalties(config)
    loss = find_adversarial_loss(config) if names else ADVERSARIAL["non_saturating"]
    adversaries = {
        name: Adversary(
            trainees=parts.trainees,
            name=name,
            loss=loss,
            penalty=penalties.get(name),
            scores_clips=name in scores_clips,
            augment=augment,
            adaptive=adaptive.get(name),
            category_source=category_source.get(name),
            drift=config.objective.drift,
            codes=codes.get(name, (0.0, 0))[0],
            code_outputs=codes.get(name, (0.0, 0))[1],
            wrong_share=wrong_share,
        )
        for name in names
    }
    return AdversarialGame(
        trainees=parts.trainees,
        ema=parts.ema,
        adversaries=adversaries,
        turns=config.turns(),
        steps_per_epoch=parts.steps_per_epoch,
        weights=config.objective.weights,
        own_terms=find_own_terms(config),
    )


def find_adversarial_loss(config: AdversarialRunConfig) -> AdversarialLoss:
    """The loss by name, by import path, or as passed from Python.

    Raises:
        ConfigError: it is no AdversarialLoss.
    """
    name = config.objective.adversarial
    loss: Any = ADVERSARIAL.get(name)
    if name == OBJECT:
        loss = own_object("objective.adversarial")
    elif loss is None:
        loss = load_own(name, "objective.adversarial")
    if not isinstance(loss, AdversarialLoss):
        raise ConfigError(
            f"objective.adversarial: {path_of(loss)} is not a vidgan.losses.AdversarialLoss"
            " (discriminator, generator, needs_real, threshold, margin)"
        )
    penalty = config.objective.penalty
    if name == "relativistic" and penalty is not None and penalty.kind == "r1":
        logger.warning(
            "objective.penalty.kind=r1: the relativistic loss with R1 alone diverged in its paper (R3GAN); use r1_r2"
        )
    if config.objective.label_smoothing:
        loss = with_smoothing(loss, config.objective.label_smoothing)
    return with_half(loss) if config.objective.half_loss else loss


def find_own_terms(config: AdversarialRunConfig) -> dict[str, Callable[..., Tensor]]:
    """The generator's own terms, by import path or as passed from Python.

    Raises:
        ConfigError: one is not callable.
    """
    terms = {}
    for name, path in config.objective.terms.items():
        key = f"objective.terms.{name}"
        term = own_object(key) if path == OBJECT else load_own(path, key)
        if not callable(term):
            raise ConfigError(f"{key}: {path_of(term)} is not a function of (fake, real)")
        terms[name] = term
    return terms


def compilable_discriminators(config: AdversarialRunConfig, name: str, network: nn.Module) -> list[nn.Module]:
    """The discriminator, if torch.compile can take it.

    Not one with instance noise (its keyed streams cannot be traced), nor one with a gradient penalty (compiled code has
    no second derivative).
    """
    penalty = build_penalties(config).get(name)
    twice_differentiated = penalty is not None and penalty.kind != "weight_clip"
    noisy = bool(getattr(getattr(config.discriminators, name), "noise", 0.0))
    if noisy or twice_differentiated:
        reason = "instance noise" if noisy else "a gradient penalty"
        logger.info("train.compile: discriminators.%s has %s and is not compiled", name, reason)
        return []
    return [network]
