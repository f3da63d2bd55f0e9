"""Activation checkpointing (Chen et al. 2016): store only a module's inputs, and run it again in the backward pass."""

from itertools import count
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from vidgan.seeding import Draws

__all__ = ["recompute"]


def recompute(module: nn.Module, *arguments: Any, **options: Any) -> Any:
    """Compute ``module(*arguments, **options)`` and recompute its activations in the backward pass.

    Gradients are unchanged. The second run must repeat the first. It therefore uses copies of the random streams and of
    the buffers from before the first run. Otherwise batch norm would count its batch twice, and spectral norm would
    make another power iteration and divide by another value. Penalties with second derivatives run the module once
    more.

    Args:
        module: part of a network. Called directly if gradients are disabled.
        arguments: tensors, lists of tensors, and `Draws`, which advance as in a plain call.
        options: anything but `Draws`.
    """
    if not torch.is_grad_enabled():
        return module(*arguments, **options)
    start = [part.copy() if isinstance(part, Draws) else part for part in arguments]
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    runs = count()

    def run() -> Any:
        if next(runs) == 0:
            return module(*arguments, **options)
        repeated = tuple(part.copy() if isinstance(part, Draws) else part for part in start)
        return functional_call(module, {name: buffer.clone() for name, buffer in buffers.items()}, repeated, options)

    # No module draws from torch's global generators, so their state need not be saved.
    return checkpoint(run, use_reentrant=False, preserve_rng_state=False)
