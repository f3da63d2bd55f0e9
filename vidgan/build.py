"""Assembling a run: data set, loader, networks, optimizers and training algorithm from a validated config."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.data.unpaired import UnpairedDataset
from vidgan.errors import ConfigError, DataError
from vidgan.hub import find_shipped, model_class_in
from vidgan.nn.init import initialise
from vidgan.own_code import own_object
from vidgan.sections import OBJECT
from vidgan.seeding import derive_seed
from vidgan.tasks import TASKS, find_task
from vidgan.tasks.base import DataFacts, TrainingParts
from vidgan.tasks.run_config import OptimizerConfig
from vidgan.training.accelerator import Accelerator
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.run_state import Algorithm
from vidgan.training.schedule import learning_rate_factor
from vidgan.training.trainees import Trainees

__all__ = [
    "build_algorithm",
    "build_dataset",
    "build_loader",
    "build_networks",
    "build_optimizer",
    "data_facts",
    "share_of_batch",
]

FIRST_STAGE: type[Any] = TASKS["synthesis"].model  # makes the clips that a second stage enlarges by their captions
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def build_dataset(config: RunConfig, split: str = "train") -> ClipDataset:
    """The prepared clips of a split, cut as the config says.

    Raises:
        DataError: no such data, or no clip is long enough.
    """
    training = split == "train"
    root = Path(config.data.root)
    if not root.is_dir():
        raise DataError(
            f"data.root: {root}: no such folder; give the folder that `vidgan prepare` wrote (data.root=DATA)"
        )
    task = find_task(config)
    options: dict[str, Any] = {
        "split": split,
        "frames": config.data.frames,
        "stride": config.data.stride,
        "fps": config.data.fps,
        "flip": config.data.flip and training,
        "window": config.data.window,
        "augment": config.data.augment if training else (),
        "flow": training and task.needs_label_flow(config),
        "conditions": task.reads_conditions(config),
        "captions": task.wrong_captions(config) if training else None,
        "seed": config.seed,
    }
    other = task.other_data(config)
    if other is None or not training:
        return ClipDataset(root, **options)
    if not Path(other).is_dir():
        raise DataError(
            f"data.other: {other!r}: no such folder; give the folder of the second domain (data.other=DATA_B)"
        )
    return UnpairedDataset(root, other=other, **options)


def build_training_data(config: RunConfig) -> ClipDataset:
    """The clips to train on.

    Raises:
        DataError: as in `build_dataset`, or too few clips are long enough (`data.allow_few`).
    """
    dataset = build_dataset(config)
    if not config.data.allow_few:
        dataset.check_enough(config.train.batch_size)
    return dataset


def data_facts(config: RunConfig, dataset: ClipDataset) -> DataFacts:
    """What the networks need to know of the data.

    Raises:
        ConfigError: the run needs categories, and the data have none.
    """
    uses_categories = find_task(config).uses_categories(config)
    if uses_categories and dataset.num_categories < 2:
        raise ConfigError(
            f"{config.data.root} has no categories, which this config trains with; prepare the data with --categories,"
            " or set objective.category_source=null objective.weights.category=null"
        )
    height, width = dataset.size
    return DataFacts(
        image_size=(height, width),
        num_categories=dataset.num_categories if uses_categories else 0,
        vocabulary=() if dataset.captions is None else dataset.captions.tokeniser.words,
    )


def build_networks(config: RunConfig, dataset: ClipDataset, *, start: bool = True) -> dict[str, nn.Module]:
    """ "generator" and the discriminators of the config, for the data's frame size and categories.

    Each network's weights are drawn from the run's seed and its name alone.

    Args:
        start: give the generator the weights that `train.start` names; without effect where others are loaded.

    Raises:
        ConfigError: the config does not fit the data, or the weights do not fit the config. PretrainedError: there are
            no such weights.
    """
    task, data = find_task(config), data_facts(config, dataset)
    generator, *discriminators = config.network_names()
    networks = {generator: _seeded(config, "model", lambda: task.build_generator(config, data))}
    for name in discriminators:
        key = f"discriminators.{name}"
        network = _seeded(config, key, lambda name=name: task.build_discriminator(name, config, data))  # type: ignore[misc]
        networks[name] = network
    if start and config.train.start is not None:
        _load_start(config, networks[generator])
    return networks


def _load_start(config: RunConfig, network: nn.Module) -> None:
    """Replace the generator's weights by those that `train.start` names.

    A second stage that reads captions may name its first stage, whose reader of captions it then takes.

    Raises:
        ConfigError: they belong to a network of another structure or vocabulary. PretrainedError: there are none.
    """
    start, model = config.train.start, find_task(config).model
    assert start is not None
    part: Any = network
    if model is not FIRST_STAGE and getattr(network, "text", None) is not None and _is_first_stage(start):
        trained: Any = FIRST_STAGE.from_pretrained(start)
        if differing := set(part.tokeniser.words) ^ set(trained.tokeniser.words):
            words = ", ".join(sorted(differing)[:5])
            raise ConfigError(
                f"train.start: {start} and the captions of data.root differ in their words, such as {words}"
            )
        part, trained = part.text, trained.text
    else:
        trained = model.from_pretrained(start)
    try:
        part.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"train.start: {config.train.start} has weights of another structure than `model` describes: {reason[:300]}"
        ) from None


def _is_first_stage(start: str) -> bool:
    """Whether the weights of this name are those of a model that makes clips from captions."""
    name = FIRST_STAGE.__name__
    held = model_class_in(start)
    return held == name or (held is None and find_shipped(start, name) is not None)


def _seeded(config: RunConfig, key: str, build: Callable[[], nn.Module]) -> nn.Module:
    section = config.model if key == "model" else getattr(config.discriminators, key.removeprefix("discriminators."))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "weights", key))
        try:
            network = build()
            initialise(network, str(getattr(section, "init", "default")))
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
    return network


def build_optimizer(config: OptimizerConfig, module: nn.Module, key: str) -> torch.optim.Optimizer:
    """A torch optimizer; Adam's betas default to the GAN literature's (0.5, 0.999).

    Args:
        config: its section.
        module: whose parameters it updates.
        key: of the config, for one that was passed from Python: a function parameters -> optimizer.

    Raises:
        ConfigError: an own optimizer is missing or is none.
    """
    if config.name == OBJECT:
        optimizer = own_object(key)(module.parameters())
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ConfigError(f"{key}: expected a function from parameters to a torch.optim.Optimizer")
        return optimizer
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.name in ("adam", "adamw"):
        options["betas"] = tuple(config.betas or (0.5, 0.999))
        options["fused"] = True
    return OPTIMIZERS[config.name](module.parameters(), **options)


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
        ConfigError: the batch cannot be divided, or the task trains in one process only.
    """
    reason = find_task(config).one_process
    if reason is not None and processes > 1:
        raise ConfigError(f"{processes} processes: accepted is 1 for the task {config.task}: {reason}")
    pieces = processes * config.train.micro_batches
    if config.train.batch_size % pieces:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size} cannot be divided over {processes} processes"
            f" and {config.train.micro_batches} micro-batches; choose a multiple of {pieces}"
        )
    return config.train.batch_size // pieces


def set_tf32(allowed: bool, device: torch.device) -> None:
    """Allow float32 products on a GPU to run in TF32, or forbid it (torch's own default is mixed).

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
    """Give the weights of convolutions channels-last memory format, in place; their maps then take it too."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in module.parameters():
        if weight.dim() in formats:
            weight.data = weight.data.contiguous(memory_format=formats[weight.dim()])


def compile_networks(config: RunConfig, networks: Mapping[str, nn.Module]) -> list[str]:
    """Compile the parts that torch.compile can take, in place; names, weights and checkpoints stay as they are.

    Returns:
        The names of the networks that were compiled, wholly or in part.
    """
    task = find_task(config)
    compiled = []
    for name, network in networks.items():
        parts = task.compilable_parts(name, network, config)
        for part in parts:
            part.compile(dynamic=False)
        if parts:
            compiled.append(name)
    return compiled


def build_algorithm(
    config: RunConfig,
    networks: Mapping[str, nn.Module],
    accelerator: Accelerator,
    *,
    num_clips: int = 0,
) -> Algorithm:
    """The training algorithm of the config's task, with networks on the accelerator's device.

    Args:
        config: of the run, with its precision (`vidgan.precision.resolve_precision`).
        networks: from `build_networks`.
        accelerator: of this process.
        num_clips: of the training split, an epoch; 0: all steps are one epoch.
    """
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
        optimizers={
            name: build_optimizer(config.optimizers[name], module, f"optimizers.{name}")
            for name, module in networks.items()
        },
        precision=config.train.precision,
        clip_grad_norm=config.train.clip_grad_norm,
        lr_factor=learning_rate_factor(
            config.train.lr_schedule, config.train.warmup, config.train.steps, config.train.decay_start or 0.0
        ),
        frozen=find_task(config).frozen(config),
    )
    parts = TrainingParts(
        trainees=trainees,
        ema=ExponentialMovingAverage(networks["generator"], decay=config.train.ema_decay),
        steps_per_epoch=math.ceil(num_clips / config.train.batch_size) if num_clips else config.train.steps,
    )
    return find_task(config).build_training(config, parts)
