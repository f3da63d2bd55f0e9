"""State that training adapts and saves: the probability of augmentation, and running means.

Adaptive discriminator augmentation (ADA, Karras et al., NeurIPS 2020): how often samples are augmented.

A discriminator that knows its training clips by heart gives almost all of them positive logits. The mean sign of the
logits of real samples, r = E[sign D(x)], measures that: the probability of augmentation grows while r is above a target
and falls while it is below. The state is saved with each checkpoint.
"""

import torch
from accelerate import Accelerator
from torch import Tensor

from vidgan.types import Logits

__all__ = ["AdaptiveProbability", "RunningMean"]


class AdaptiveProbability:
    """The probability of augmentation of one discriminator.

    Args:
        state: (4,) float64 on the device of the run: probability, sum of signs and number of logits since the last
            change, of all processes; updates since the last change. Changed in place and alike in all processes, so
            whoever holds it can save and restore it between updates.
        target: r above which the probability grows.
        period: updates between two changes.
        clips: number of real clips over which the probability moves from 0 to 1.
        clips_per_update: global batch size.
    """

    def __init__(self, state: Tensor, *, target: float, period: int, clips: int, clips_per_update: int) -> None:
        self.state = state
        self.target = target
        self.period = period
        self.change = period * clips_per_update / clips
        self._observed = torch.zeros_like(state[1:3])  # sum and number since the last update, of this process

    @property
    def probability(self) -> Tensor:
        """Scalar in [0, 1]."""
        return self.state[0]

    @torch.no_grad()
    def observe(self, real: Logits) -> dict[str, Tensor]:
        """Take the logits of real samples into account; returns what to report."""
        signs = real.float().sign().to(self.state)
        self._observed[0] += signs.sum()
        self._observed[1] += signs.numel()
        return {"augment/probability": self.probability.float().clone(), "augment/sign": signs.mean().float()}

    @torch.no_grad()
    def update(self, accelerator: Accelerator) -> None:
        """Count an update; change the probability if it is due, alike in all processes."""
        self.state[1:3] += accelerator.reduce(self._observed.clone(), reduction="sum")
        self.state[3] += 1
        self._observed.zero_()
        if int(self.state[3]) < self.period:
            return
        total, count = self.state[1:3]
        step = (total / count.clamp_min(1) - self.target).sign() * self.change
        self.state[0] = (self.state[0] + step).clamp(0, 1)
        self.state[1:] = 0


class RunningMean:
    """A mean over training, mean <- mean + rate (value - mean) after each update, alike in all processes.

    Args:
        state: (3,) float64 on the device of the run: the mean, and sum and number of values since the last update.
        rate: in (0, 1].
    """

    def __init__(self, state: Tensor, *, rate: float) -> None:
        self.state = state
        self.rate = rate

    @property
    def mean(self) -> Tensor:
        """Scalar."""
        return self.state[0]

    @torch.no_grad()
    def observe(self, values: Tensor) -> None:
        """Take values of any shape into account."""
        self.state[1] += values.detach().double().sum()
        self.state[2] += values.numel()

    @torch.no_grad()
    def update(self, accelerator: Accelerator) -> None:
        """Move the mean; without values since the last update it stays."""
        total, count = accelerator.reduce(self.state[1:].clone(), reduction="sum")
        moved = self.state[0] + self.rate * (total / count.clamp_min(1) - self.state[0])
        self.state[0] = torch.where(count > 0, moved, self.state[0])
        self.state[1:] = 0
