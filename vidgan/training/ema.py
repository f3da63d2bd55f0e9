"""Exponential moving average of a generator's weights, from which samples, previews and scores are made."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import AveragedModel

from vidgan.training.checkpoint import load_strict


class ExponentialMovingAverage:
    """average <- d * average + (1 - d) * weights, with d = min(decay, (1 + n) / (10 + n)) after n updates.

    The warm-up (`num_updates` of TensorFlow's moving averages) lets the average forget the random initial weights
    quickly; the first update copies the weights. Buffers (batch norm statistics, spectral norm vectors) are copied
    rather than averaged, because averaged statistics fit no weights.

    Pass the bare module, not the one prepared for several processes. Each process keeps its own, identical average.

    Args:
        model: the module to average.
        decay: in [0, 1).

    Raises:
        ValueError: `decay` is out of range.
    """

    def __init__(self, model: nn.Module, *, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: the decay of a moving average must be in [0, 1)")
        self.decay = decay
        self._averaged = AveragedModel(model, multi_avg_fn=self._average, use_buffers=False)
        self._averaged.requires_grad_(False).eval()

    @property
    def module(self) -> nn.Module:
        """The averaged module, in evaluation mode and without gradients."""
        module: nn.Module = self._averaged.module
        return module

    @property
    def updates(self) -> int:
        """Number of calls of `update`."""
        return int(self._averaged.n_averaged)

    def current_decay(self) -> float:
        """Return the decay of the next update. (The first update copies the weights instead.)"""
        n = self.updates
        return min(self.decay, (1 + n) / (10 + n))

    def update(self, model: nn.Module) -> None:
        """Average in the weights of `model`; call it after each step of its optimizer."""
        self._averaged.update_parameters(model)

    @torch.no_grad()
    def distance(self, model: nn.Module) -> float:
        """||average - weights|| / ||weights|| over all parameters: how far the weights move around their mean."""
        pairs = zip(self.module.parameters(), model.parameters(), strict=True)
        distance = get_total_norm([average - weights for average, weights in pairs])
        return float(distance / get_total_norm(model.parameters()).clamp_min(1e-30))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged module's tensors under the module's own names; save `updates` with them."""
        return dict(self.module.state_dict())

    def load_state_dict(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Restore `state_dict` and `updates`.

        Raises:
            CheckpointError: naming the keys that do not fit.
        """
        load_strict(self.module, tensors)
        self._averaged.n_averaged.fill_(updates)

    @torch.no_grad()
    def _average(self, averaged: Sequence[Tensor], weights: Sequence[Tensor], _: Tensor | int) -> None:
        # The count comes from `current_decay`: torch's argument may be on the GPU, and reading it would synchronise.
        torch._foreach_lerp_(list(averaged), list(weights), 1 - self.current_decay())
