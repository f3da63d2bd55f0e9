"""Exponential moving average of a generator's weights: the copy that samples, previews and scores are made with."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import AveragedModel

from vidgan.training.checkpoint import load_strict


class ExponentialMovingAverage:
    """average <- d * average + (1 - d) * weights, with d = min(decay, (1 + n) / (10 + n)) after n updates.

    The warm-up (Moving averages in TensorFlow, `num_updates`) lets the average leave the random initial weights at
    once; the first update copies the weights. ``warm_up=False`` uses `decay` from the second update on. Buffers (batch
    norm statistics, spectral norm vectors) are copied, not averaged: an average of statistics fits no weights.

    Pass the bare module, not one wrapped for several processes; every process may keep its own average, they are equal.
    """

    def __init__(self, model: nn.Module, *, decay: float = 0.999, warm_up: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: the decay of a moving average lies in [0, 1)")
        self.decay = decay
        self.warm_up = warm_up
        self._averaged = AveragedModel(model, multi_avg_fn=self._average, use_buffers=False)
        self._averaged.requires_grad_(False).eval()

    @property
    def module(self) -> nn.Module:
        """The averaged module, in evaluation mode and without gradients."""
        module: nn.Module = self._averaged.module
        return module

    @property
    def updates(self) -> int:
        """How many times `update` was called."""
        return int(self._averaged.n_averaged)

    def current_decay(self) -> float:
        """The decay that the next update uses (the first one copies, whatever this says)."""
        n = self.updates
        return min(self.decay, (1 + n) / (10 + n)) if self.warm_up else self.decay

    def update(self, model: nn.Module) -> None:
        """Take the weights of `model` into the average; call it after each step of its optimizer."""
        self._averaged.update_parameters(model)

    @torch.no_grad()
    def distance(self, model: nn.Module) -> float:
        """||average - weights|| / ||weights|| over all parameters: how far the weights move about their mean."""
        pairs = zip(self.module.parameters(), model.parameters(), strict=True)
        apart = get_total_norm([average - weights for average, weights in pairs])
        return float(apart / get_total_norm(model.parameters()).clamp_min(1e-30))

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged module's tensors under the names of the module itself; `updates` is to be kept beside them."""
        return dict(self.module.state_dict())

    def load_state_dict(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Restore what `state_dict` and `updates` gave; raises `CheckpointError` naming the keys that do not fit."""
        load_strict(self.module, tensors)
        self._averaged.n_averaged.fill_(updates)

    @torch.no_grad()
    def _average(self, averaged: Sequence[Tensor], weights: Sequence[Tensor], _: Tensor | int) -> None:
        # The count comes from `current_decay`: torch's argument may lie on the GPU, and reading it would wait for it.
        torch._foreach_lerp_(list(averaged), list(weights), 1 - self.current_decay())
