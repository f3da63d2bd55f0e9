"""What the public methods of every generator share: evaluation mode without gradients, and where its weights are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["device_of", "evaluating"]


def device_of(module: Any) -> torch.device:
    """The device of a module's weights; the CPU for a module without any."""
    return next((weight.device for weight in module.parameters()), torch.device("cpu"))


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode and no gradients inside, the former mode after."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)
