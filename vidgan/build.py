"""The one place where names of a config become objects; `vidgan.checks` has seen to it that they mean something."""

import inspect
import logging
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs
from torch import Tensor, nn

from vidgan.checks import MODELS, arguments, learns_flow, model_name
from vidgan.config import OptimizerConfig, RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.errors import ConfigError
from vidgan.nn.augmentation import DiffAugment
from vidgan.nn.init import initialise
from vidgan.seeding import Draws, derive_seed
from vidgan.tasks.forecasting.training import DualMotionTraining
from vidgan.tasks.registry import DISCRIMINATORS, PREDICTORS
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.adversary import Penalty
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.schedule import learning_rate_factor
from vidgan.training.trainees import Trainees

logger = logging.getLogger(__name__)

# A process that keeps the others waiting in a step for so long has hung; the run ends. (Accelerate hands on only what
# differs from its own default of 10 minutes: with just that, gloo would wait for 30.)
HANGING = timedelta(minutes=15)

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


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
        fps=config.data.fps,
        flip=config.data.flip and split == "train",
        window=config.data.window,
        augment=config.data.augment if split == "train" else (),
        flow=needs_flow,
        seed=config.seed,
    )


def needs_flow_labels(config: RunConfig) -> bool:
    """Whether a term of the objective is taught by stored label flow; a Q without weights makes its own."""
    taught = {"flow", "implied_flow", "observed_flow", "adversarial_flow"}
    return learns_flow(config) and bool(config.objective.weights.keys() & taught)


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
        pin_memory=accelerator.device.type == "cuda",
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
        cpu=cpu,
        mixed_precision="no",
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=HANGING),
        ],
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


def set_tf32(allowed: bool, device: torch.device) -> None:
    """Let float32 products on a GPU run in TF32, or see to it that they do not (torch's own default is mixed).

    Raises:
        ConfigError: it is asked for where it has no effect.
    """
    if allowed and device.type != "cuda":
        raise ConfigError(f"train.tf32 has no effect on {device.type}; remove it")
    if allowed and torch.cuda.get_device_capability(device) < (8, 0):
        raise ConfigError("train.tf32 has no effect on this GPU (TF32 came with compute capability 8.0); remove it")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed


def to_channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions out with channels last, in place; the maps then take the weights' layout."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in module.parameters():
        if weight.dim() in formats:
            weight.data = weight.data.contiguous(memory_format=formats[weight.dim()])


def compile_networks(config: RunConfig, networks: Mapping[str, nn.Module]) -> list[str]:
    """Compile what torch.compile can take, in place; names, weights and checkpoints stay as they are.

    Of the generator, the parts that are functions of tensors alone. A discriminator whole, but not one with instance
    noise (its keyed streams cannot be traced), nor one with a gradient penalty (compiled code has no second
    derivative): these stay as they are.

    Returns:
        The names of the networks that were compiled.
    """
    objective = config.objective
    twice_differentiated = {
        name for name, penalty in build_penalties(config).items() if penalty.kind in ("r1", "gradient_penalty")
    }
    compiled = []
    for name, module in networks.items():
        noisy = objective.noise is not None or bool(config.discriminators.get(name, {}).get("noise"))
        if name != "generator" and (noisy or name in twice_differentiated):
            reason = "instance noise" if noisy else "a gradient penalty"
            logger.info("train.compile: discriminators.%s has %s and is not compiled", name, reason)
            continue
        network: Any = module
        for part in network.tensor_parts() if name == "generator" else [module]:
            part.compile(dynamic=False)
        compiled.append(name)
    return compiled


def build_algorithm(
    config: RunConfig, networks: Mapping[str, nn.Module], accelerator: Accelerator
) -> MoCoGANTraining | DualMotionTraining:
    """The training step of the config's model, with networks on the accelerator's device."""
    set_tf32(config.train.tf32, accelerator.device)
    for module in networks.values():
        module.to(accelerator.device)
        if config.train.channels_last:
            to_channels_last(module)
    if config.train.compile:
        compile_networks(config, networks)
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
        return DualMotionTraining(
            **shared, context=config.data.context, kl_warmup=objective.kl_warmup, futures=objective.futures or 1
        )
    augment: Callable[[Tensor, Draws], Tensor] | None = DiffAugment(objective.augment) if objective.augment else None
    return MoCoGANTraining(
        **shared,
        augment=augment,
        frames_per_clip=objective.frames_per_clip or 1,
        path_frames=objective.path_frames,
        category_source=objective.category_source,
    )
