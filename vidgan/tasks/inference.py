"""What the public methods of every generator share: evaluation mode, frozen weights, and where its weights are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vidgan.cores import adapted_threads

__all__ = ["device_of", "evaluating", "frozen"]


def device_of(module: Any) -> torch.device:
    """The device of a module's weights; the CPU for a module without any."""
    return next((weight.device for weight in module.parameters()), torch.device("cpu"))


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode, no gradients and as many threads as there are free cores inside; the former state after."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), adapted_threads():
            yield
    finally:
        module.train(training)


@contextmanager
def frozen(module: Any) -> Iterator[None]:
    """Evaluation mode and weights without gradients inside, threads as in `evaluating`; the former state after.

    Gradients to inputs still flow.
    """
    training = module.training
    required = [parameter.requires_grad for parameter in module.parameters()]
    module.eval().requires_grad_(False)
    try:
        with adapted_threads():
            yield
    finally:
        module.train(training)
        for parameter, needed in zip(module.parameters(), required, strict=True):
            parameter.requires_grad_(needed)
