"""The one place where names of a config become objects. Constructor arguments are checked against the signatures."""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from torch import Tensor, nn

from vidgan.config import ConfigError, OptimizerConfig, RunConfig, nearest
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.models import DISCRIMINATORS, GENERATORS, PREDICTORS
from vidgan.nn.augment import DiffAugment
from vidgan.nn.init import initialise
from vidgan.seeding import Draws, derive_seed
from vidgan.training.adversary import Penalty
from vidgan.training.dual_motion import DualMotionTraining
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.loop import learning_rate_factor
from vidgan.training.mocogan import MoCoGANTraining
from vidgan.training.trainees import Trainees

MODELS = GENERATORS | PREDICTORS
ROLES = {"mocogan": ("frame", "video"), "dual_motion": ("frame", "flow")}
TERMS = {"mocogan": MoCoGANTraining.TERMS, "dual_motion": DualMotionTraining.TERMS}
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


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
    idle: dict[str, object] = {"kl_warmup": objective.kl_warmup}
    if forecasting:
        idle = {"frames_per_clip": objective.frames_per_clip, "category_source": objective.category_source}
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
        tied = {"fused", "fused_l2", "adversarial_frame"}
        if not weights.keys() & tied:
            raise ConfigError(f"objective.weights needs one of {', '.join(sorted(tied))}: nothing teaches the forecast")
        estimated = {"implied_flow", "observed_flow", "adversarial_flow"}
        if not (config.model.get("extrapolate_flow", True) or weights.keys() & estimated):
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
    if objective.kl_warmup is not None and "kl" not in weights:
        raise ConfigError("objective.kl_warmup has no effect without objective.weights.kl")
    if objective.frames_per_clip is not None and "frame" not in config.discriminators:
        raise ConfigError("objective.frames_per_clip has no effect without discriminators.frame")
    if (objective.frames_per_clip or 1) > config.data.frames:
        raise ConfigError(f"objective.frames_per_clip must not exceed data.frames={config.data.frames}")
    if (objective.category_source is None) != ("category" not in weights):
        raise ConfigError("objective.category_source and objective.weights.category go together: set both or neither")
    if objective.category_source is not None and "video" not in config.discriminators:
        raise ConfigError("objective.category_source needs discriminators.video: its category head judges the class")
    arguments(MODELS[name], config.model, "model", given=_given(name))
    for role, section in config.discriminators.items():
        arguments(DISCRIMINATORS[role], section, f"discriminators.{role}", given=_given(role))


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


def build_network(
    constructor: Callable[..., nn.Module], section: Mapping[str, Any], key: str, seed: int, from_data: Mapping[str, Any]
) -> nn.Module:
    """A network with weights drawn from `seed` alone, whatever was drawn before."""
    values = arguments(constructor, section, key, given=set(from_data))
    accepted = inspect.signature(constructor).parameters
    values |= {k: v for k, v in from_data.items() if k in accepted}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights", key))
        try:
            network = constructor(**values)
            initialise(network, str(section.get("init", "default")))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{key}: {error}") from None
    return network


def build_networks(config: RunConfig, dataset: ClipDataset) -> dict[str, nn.Module]:
    """ "generator" and the discriminators of the config, for the data's frame size and categories."""
    name = model_name(config)
    categories = dataset.num_categories if config.objective.category_source is not None else 0
    if config.objective.category_source is not None and categories < 2:
        raise ConfigError(
            f"objective.category_source={config.objective.category_source}: {config.data.root} has no categories;"
            " prepare it with --categories, or remove category_source and weights.category"
        )
    from_data = {"image_size": dataset.size, "num_categories": categories}
    networks = {"generator": build_network(MODELS[name], config.model, "model", config.seed, from_data)}
    for role, section in config.discriminators.items():
        networks[role] = build_network(DISCRIMINATORS[role], section, f"discriminators.{role}", config.seed, from_data)
    return networks


def build_optimizer(config: OptimizerConfig, module: nn.Module) -> torch.optim.Optimizer:
    """A torch optimizer; Adam's betas default to the GAN literature's (0.5, 0.999)."""
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.name in ("adam", "adamw"):
        options["betas"] = tuple(config.betas or (0.5, 0.999))
        options["fused"] = True
    return OPTIMIZERS[config.name](module.parameters(), **options)


def build_dataset(config: RunConfig, split: str = "train") -> ClipDataset:
    """The prepared clips of a split, cut as the config says."""
    forecasting = model_name(config) in PREDICTORS
    needs_flow = forecasting and split == "train" and needs_flow_labels(config)
    return ClipDataset(
        Path(config.data.root),
        split=split,
        frames=config.data.frames,
        stride=config.data.stride,
        flip=config.data.flip and split == "train",
        flow=needs_flow,
        seed=config.seed,
    )


def needs_flow_labels(config: RunConfig) -> bool:
    """Whether a term of the objective is taught by label flow."""
    return bool(config.objective.weights.keys() & {"flow", "implied_flow", "observed_flow", "adversarial_flow"})


def build_loader(config: RunConfig, dataset: ClipDataset, accelerator: Accelerator) -> ClipLoader:
    """This process's share of each global batch."""
    share_of_batch(config, accelerator.num_processes)
    return ClipLoader(
        dataset,
        batch_size=config.train.batch_size,
        seed=config.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        micro_batches=config.train.micro_batches,
        workers=config.data.workers,
    )


def share_of_batch(config: RunConfig, processes: int) -> int:
    """Clips of a micro-batch of one process.

    Raises:
        ConfigError: the batch cannot be divided.
    """
    pieces = processes * config.train.micro_batches
    if config.train.batch_size % pieces:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size} cannot be divided over {processes} processes"
            f" and {config.train.micro_batches} micro-batches; choose a multiple of {pieces}"
        )
    return config.train.batch_size // pieces


def build_accelerator(device: str) -> Accelerator:
    """One process or many (torchrun, accelerate launch).

    Raises:
        ConfigError: no GPU where one was asked for; or a launcher's processes that do not see each other.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device=cuda, but torch sees no GPU; use auto or cpu")
    cpu = device == "cpu" or not torch.cuda.is_available()
    # Networks without batch norm have no buffers to agree on; with it, each process keeps its own and rank 0's count.
    # Precision and accumulation are settings of the run, never of the launcher.
    accelerator = Accelerator(
        cpu=cpu, mixed_precision="no", kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)]
    )
    if accelerator.gradient_accumulation_steps != 1:
        raise ConfigError(
            "the launcher asks for gradient accumulation (ACCELERATE_GRADIENT_ACCUMULATION_STEPS); it is set by"
            " train.micro_batches"
        )
    if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.FSDP):
        raise ConfigError(
            f"{accelerator.distributed_type.value}: Accelerate prepares one model there, and a GAN has several; use"
            " plain data parallelism (vidgan train CONFIG --processes N)"
        )
    expected = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != expected:
        raise ConfigError(
            f"the launcher says WORLD_SIZE={expected}, but {accelerator.num_processes} process takes part;"
            " start with `vidgan train CONFIG --processes N` or torchrun"
        )
    return accelerator


def resolve_precision(precision: str, device: torch.device) -> str:
    """ "auto" -> bf16 where the hardware multiplies it natively, fp32 elsewhere."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"


def annealed_noise(start: float, end: float, steps: int) -> Callable[[int], float]:
    """step -> sigma, linear from `start` to `end` over `steps`, `end` after."""
    return lambda step: start + (end - start) * min(1.0, step / steps)


def build_penalties(config: RunConfig) -> dict[str, Penalty]:
    """Discriminator -> its regularisation."""
    chosen = config.objective.penalty
    if chosen is None:
        return {}
    weights = chosen.weight if isinstance(chosen.weight, dict) else dict.fromkeys(config.discriminators, chosen.weight)
    return {
        name: Penalty(chosen.kind, weight or 0.0, chosen.every, chosen.limit or 0.0) for name, weight in weights.items()
    }


def build_algorithm(
    config: RunConfig, networks: Mapping[str, nn.Module], accelerator: Accelerator
) -> MoCoGANTraining | DualMotionTraining:
    """The training step of the config's model, with networks on the accelerator's device."""
    for module in networks.values():
        module.to(accelerator.device)
    trainees = Trainees(
        accelerator=accelerator,
        networks=networks,
        optimizers={name: build_optimizer(config.optimizers[name], module) for name, module in networks.items()},
        precision=resolve_precision(config.train.precision, accelerator.device),
        clip_grad_norm=config.train.clip_grad_norm,
        lr_factor=learning_rate_factor(
            config.train.lr_schedule, config.train.warmup, config.train.steps, config.train.decay_start or 0.0
        ),
    )
    objective = config.objective
    noise = None
    if objective.noise is not None:
        noise = annealed_noise(objective.noise.start, objective.noise.end, objective.noise.steps)
    shared: dict[str, Any] = {
        "trainees": trainees,
        "ema": ExponentialMovingAverage(networks["generator"], decay=config.train.ema_decay),
        "weights": objective.weights,
        "adversarial": objective.adversarial,
        "penalties": build_penalties(config),
        "critic_steps": objective.critic_steps,
        "noise": noise,
    }
    if model_name(config) in PREDICTORS:
        assert config.data.context is not None, "check_config has seen to it"
        return DualMotionTraining(**shared, context=config.data.context, kl_warmup=objective.kl_warmup)
    augment: Callable[[Tensor, Draws], Tensor] | None = DiffAugment(objective.augment) if objective.augment else None
    return MoCoGANTraining(
        **shared,
        augment=augment,
        frames_per_clip=objective.frames_per_clip or 1,
        category_source=objective.category_source,
    )
