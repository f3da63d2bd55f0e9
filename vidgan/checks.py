"""What can be told to be wrong with a config before data is read: names, constructor arguments, impossible pairs."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vidgan.config import RunConfig, nearest
from vidgan.errors import ConfigError
from vidgan.tasks.forecasting.training import DualMotionTraining
from vidgan.tasks.registry import DISCRIMINATORS, GENERATORS, PREDICTORS
from vidgan.tasks.synthesis.training import MoCoGANTraining

MODELS = GENERATORS | PREDICTORS
ROLES = {"mocogan": ("frame", "video"), "dual_motion": ("frame", "flow")}
TERMS = {"mocogan": MoCoGANTraining.TERMS, "dual_motion": DualMotionTraining.TERMS}


def learns_flow(config: RunConfig) -> bool:
    """Whether Q has weights."""
    return config.model.get("estimator") != "lucas_kanade"


def check_config(config: RunConfig) -> None:
    """All that can be told to be wrong without reading data: names, constructor arguments, impossible pairs.

    Raises:
        ConfigError: naming the key and what is accepted.
    """
    name = model_name(config)
    weights, objective = config.objective.weights, config.objective
    for term in weights:
        if term not in TERMS[name]:
            raise ConfigError(f"objective.weights.{term}: {name} has no such term{nearest(term, TERMS[name])}")
    for role in config.discriminators:
        if role not in ROLES[name]:
            raise ConfigError(f"discriminators.{role}: {name} has no such discriminator{nearest(role, ROLES[name])}")
    forecasting = name in PREDICTORS
    idle: dict[str, object] = {"kl_warmup": objective.kl_warmup, "futures": objective.futures}
    if forecasting:
        idle = {"frames_per_clip": objective.frames_per_clip, "path_frames": objective.path_frames}
        idle |= {"category_source": objective.category_source}
    for key, value in idle.items():
        if value is not None:
            raise ConfigError(f"objective.{key} has no effect on {name}; remove it")
    if forecasting and objective.augment:
        raise ConfigError(f"objective.augment has no effect on {name}; remove it")
    if forecasting:
        if config.data.context is None:
            raise ConfigError("data.context is not set: say how many of data.frames are given; the rest is forecast")
        if not 2 <= config.data.context < config.data.frames:
            raise ConfigError(
                f"data.context={config.data.context} must be at least 2 and below data.frames={config.data.frames}"
            )
        tied = {"fused", "fused_l2", "fused_log_l2", "fused_dissimilarity", "adversarial_frame"}
        if not weights.keys() & tied:
            raise ConfigError(f"objective.weights needs one of {', '.join(sorted(tied))}: nothing teaches the forecast")
        learns = learns_flow(config)
        if not learns and "observed_flow" in weights:
            raise ConfigError(
                "objective.weights.observed_flow has no effect: model.estimator=lucas_kanade learns nothing"
            )
        if "kl" in weights and not config.model.get("probabilistic", True):
            raise ConfigError("objective.weights.kl has no effect with model.probabilistic=false; set it to null")
        estimated = {"implied_flow", "observed_flow", "adversarial_flow"}
        if learns and not (config.model.get("extrapolate_flow", True) or weights.keys() & estimated):
            raise ConfigError(
                f"objective.weights needs one of {', '.join(sorted(estimated))} with model.extrapolate_flow=false:"
                " nothing teaches the flow estimator"
            )
    else:
        if config.data.context is not None:
            raise ConfigError(f"data.context has no effect on {name}; remove it")
        if config.data.frames < 3:
            raise ConfigError(
                f"data.frames={config.data.frames}: {name} needs at least 3 frames, or there is no motion"
            )
        if "first_frame" in weights and not config.model.get("image_to_video", False):
            raise ConfigError("objective.weights.first_frame needs model.image_to_video=true")
        if "first_frame" in weights and config.model.get("move_picture"):
            raise ConfigError(
                "objective.weights.first_frame has no effect with model.move_picture=true, whose first frame is the"
                " picture itself; set it to null"
            )
    if objective.futures is not None and not config.model.get("probabilistic", True):
        raise ConfigError("objective.futures has no effect with model.probabilistic=false: there is one future only")
    if objective.futures is not None and not weights.keys() & {"direct", "warped", "fused"}:
        raise ConfigError("objective.futures has no effect without objective.weights.direct, warped or fused")
    if objective.kl_warmup is not None and "kl" not in weights:
        raise ConfigError("objective.kl_warmup has no effect without objective.weights.kl")
    if objective.frames_per_clip is not None and "frame" not in config.discriminators:
        raise ConfigError("objective.frames_per_clip has no effect without discriminators.frame")
    if (objective.frames_per_clip or 1) > config.data.frames:
        raise ConfigError(f"objective.frames_per_clip must not exceed data.frames={config.data.frames}")
    if objective.path_frames is not None and objective.path_frames <= config.data.frames:
        raise ConfigError(f"objective.path_frames must exceed data.frames={config.data.frames}")
    if objective.path_frames is not None and "first_frame" in weights:
        raise ConfigError(
            "objective.path_frames does not go with objective.weights.first_frame: windows from anywhere seldom begin"
            " with the given frame"
        )
    if (objective.category_source is None) != ("category" not in weights):
        raise ConfigError("objective.category_source and objective.weights.category go together: set both or neither")
    if objective.category_source is not None and "video" not in config.discriminators:
        raise ConfigError("objective.category_source needs discriminators.video: its category head judges the class")
    if config.objective.category_source is None and "category_wiring" in config.model:
        raise ConfigError("model.category_wiring has no effect without objective.category_source; remove it")
    arguments(MODELS[name], config.model, "model", given=_given(name))
    for role, section in config.discriminators.items():
        arguments(DISCRIMINATORS[role], section, f"discriminators.{role}", given=_given(role))
    sections = {"model": config.model} | {f"discriminators.{r}": s for r, s in config.discriminators.items()}
    for key, section in sections.items():
        if config.train.compile and section.get("checkpoint_activations"):
            raise ConfigError(
                f"{key}.checkpoint_activations and train.compile exclude each other: a compiled network decides itself"
                " what it keeps for the backward pass"
            )


def model_name(config: RunConfig) -> str:
    """The model's name in MODELS."""
    name = config.model["name"]
    if name not in MODELS:
        raise ConfigError(f"model.name={name!r} is unknown{nearest(str(name), MODELS)}")
    return str(name)


def _given(name: str) -> set[str]:
    """Constructor arguments that come from the data, not from the config."""
    given = {"image_size", "channels"}
    if name in ("mocogan", "video"):
        given.add("num_categories")
    return given


def arguments(constructor: Callable[..., Any], section: Mapping[str, Any], key: str, given: set[str]) -> dict[str, Any]:
    """The section's keyword arguments (all but `name` and `init`), checked against the constructor's signature."""
    parameters = inspect.signature(constructor).parameters
    values = {k: v for k, v in section.items() if k not in ("name", "init")}
    for argument in values:
        if argument in given:
            raise ConfigError(f"{key}.{argument} is taken from the data; remove it")
        if argument not in parameters:
            raise ConfigError(f"unknown key '{key}.{argument}'{nearest(argument, set(parameters) - given | {'init'})}")
    return values
