"""Accelerate, set up for GAN training: one process or many (torchrun, accelerate launch)."""

import os
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs

from vidgan.errors import ConfigError

__all__ = ["Accelerator", "build_accelerator"]

# A process that keeps the others waiting in a step for so long hangs, and the run ends. (Accelerate passes on only what
# differs from its own default of 10 minutes: with just that, gloo would wait for 30.)
HANGING = timedelta(minutes=15)


def build_accelerator(device: str) -> Accelerator:
    """The accelerator of this process.

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        ConfigError: no GPU where one was asked for, or a launcher's processes that do not see each other.
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
            "the launcher asks for gradient accumulation (ACCELERATE_GRADIENT_ACCUMULATION_STEPS); set"
            " train.micro_batches instead"
        )
    if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.FSDP):
        raise ConfigError(
            f"{accelerator.distributed_type.value}: Accelerate prepares one model there, and a GAN has several; use"
            " plain data parallelism (vidgan train CONFIG --processes N)"
        )
    expected = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != expected:
        raise ConfigError(
            f"the launcher sets WORLD_SIZE={expected}, but {accelerator.num_processes} process is running;"
            " start with `vidgan train CONFIG --processes N` or torchrun"
        )
    return accelerator
