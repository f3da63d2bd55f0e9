"""Activation checkpointing (Chen et al. 2016): a part keeps its inputs alone and runs again in the backward pass."""

from itertools import count
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from vidgan.seeding import Draws

__all__ = ["recompute"]


def recompute(module: nn.Module, *arguments: Any) -> Any:
    """`module(*arguments)`, its activations computed anew when gradients need them; the gradients are the same.

    The second run must repeat the first. It therefore draws from copies of the random streams as they were, and works
    on copies of the buffers as they were: batch norm would count its batch twice, and spectral norm would go one power
    iteration on and divide by another number. Penalties that differentiate twice run it once more.

    Args:
        module: a part of a network. It is run as it is where no gradients are taken.
        arguments: tensors, lists of tensors, and `Draws`, which go on as after a plain call.
    """
    if not torch.is_grad_enabled():
        return module(*arguments)
    start = [part.copy() if isinstance(part, Draws) else part for part in arguments]
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    runs = count()

    def run() -> Any:
        if next(runs) == 0:
            return module(*arguments)
        again = tuple(part.copy() if isinstance(part, Draws) else part for part in start)
        return functional_call(module, {name: buffer.clone() for name, buffer in buffers.items()}, again)

    # No part draws from torch's global generators, so their state need not be kept.
    return checkpoint(run, use_reentrant=False, preserve_rng_state=False)
