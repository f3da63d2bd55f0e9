"""Contexts without autocast or without gradients that do nothing where that is so already.

torch.export rewrites the whole program for each such context that it traces. The step of a coarse-to-fine forecaster
enters about a hundred, and its export took several times as long with them.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["without_autocast", "without_gradient"]


def without_autocast(device_type: str) -> AbstractContextManager[object]:
    """Context in which operations keep the dtype of their inputs.

    Args:
        device_type: of the tensors, such as "cpu".
    """
    return torch.autocast(device_type, enabled=False) if torch.is_autocast_enabled(device_type) else nullcontext()


def without_gradient() -> AbstractContextManager[object]:
    """Context whose operations are not recorded for the backward pass."""
    return torch.no_grad() if torch.is_grad_enabled() else nullcontext()
