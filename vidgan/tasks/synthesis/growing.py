"""Progressive growing of a MoCoGAN: at which step which levels of its networks work (ProGAN, Karras et al., ICLR 2018).

How far the networks have grown follows from the number of the step alone, and all that a phase starts from is in the
checkpoint. So a run resumes bit for bit within a phase, within a fade and across an edge, with any number of processes.

What happens at an edge, the beginning and the end of each fade:

- Generator and discriminators work up to the level of the schedule. The new level has its initial weights, and so has
  the moving average, which carries all older levels on. While a level fades in, real clips lose as much detail.
- Optimizers forget their state, as in ProGAN's released code: moments of a network without the new level do not fit.
- Levels that do not work are excluded from the exchange of gradients between processes (`Trainees.find_idle`).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.nn.growing import faded_clip
from vidgan.sections import Section, option
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Trainees
from vidgan.types import Terms

__all__ = ["Growing", "GrowingConfig", "GrowingPhase", "progress_at"]


class GrowingPhase(Section):
    """A phase of progressive growing."""

    size: int = option(description="Shorter side of the frames; twice that of the phase before.", unit="pixels", ge=4)
    steps: int | None = option(None, "Length of the phase; the last one lasts to the end.", unit="steps", ge=1)
    fade: int = option(0, "First steps of the phase, in which its finest level fades in.", unit="steps", ge=0)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.steps is not None and self.fade > self.steps:
            yield f"fade={self.fade} must not exceed steps={self.steps}"


class GrowingConfig(Section):
    """Progressive growing: train small frames first."""

    phases: tuple[GrowingPhase, ...] = option(description="From the smallest frames to those of the data.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if len(self.phases) < 2:
            yield "phases: accepted are two or more; with a single one nothing grows"
            return
        if self.phases[0].fade:
            yield f"phases: fade={self.phases[0].fade} of the first phase has no effect; remove it"
        if any(phase.steps is None for phase in self.phases[:-1]):
            yield "phases: each but the last needs steps"
        if self.phases[-1].steps is not None:
            yield f"phases: steps={self.phases[-1].steps} of the last phase has no effect; it lasts to train.steps"
        for one, other in pairwise(self.phases):
            if other.size != 2 * one.size:
                yield f"phases: size={other.size} after size={one.size}; each must be twice the one before"

    @property
    def whole_from(self) -> int:
        """The first step at which all levels work wholly."""
        return sum(phase.steps or 0 for phase in self.phases) + self.phases[-1].fade


class _Stage(NamedTuple):
    """What stays the same between two edges."""

    level: int
    fades: bool


def progress_at(phases: Sequence[GrowingPhase], first: int, step: int) -> float:
    """How far networks have grown at a step (`vidgan.nn.growing.Growth.set`).

    Args:
        phases: of the config.
        first: level of the first phase; each further phase has one level more.
        step: number of finished steps.
    """
    begin, level = 0, first
    for phase in phases[:-1]:
        assert phase.steps is not None
        if step < begin + phase.steps:
            break
        begin, level = begin + phase.steps, level + 1
    fade = phases[level - first].fade
    return level - 1 + (step - begin) / fade if step - begin < fade else float(level)


class Growing:
    """Applies a schedule to the networks of a run.

    Args:
        config: the schedule.
        trainees: "generator" is a MoCoGAN whose frame generator grows; all other networks grow too.
        ema: of the generator.

    Raises:
        ConfigError: the sizes do not fit the networks.
    """

    def __init__(self, config: GrowingConfig, *, trainees: Trainees, ema: ExponentialMovingAverage) -> None:
        self.config = config
        self.trainees = trainees
        self.ema = ema
        generator: Any = trainees.raw["generator"]
        self.frame: Any = generator.frame
        self.networks: list[Any] = [self.frame, *(net for name, net in trainees.raw.items() if name != "generator")]
        sides = [min(size) for size in self.frame.sizes]
        sizes = [phase.size for phase in config.phases]
        if sizes != sides[-len(sizes) :]:
            raise ConfigError(
                f"objective.growing.phases have the sizes {', '.join(map(str, sizes))}; accepted for these frames: the"
                f" last two or more of {', '.join(map(str, sides))}"
            )
        self.first = len(sides) - len(sizes)
        self._stage: _Stage | None = None
        try:
            self.begin(0)
        except ValueError as error:
            raise ConfigError(
                f"objective.growing: the first phase, of size {sizes[0]}, is too small: {error}"
            ) from None

    def begin(self, step: int) -> Terms:
        """Set the networks for a step; returns what to report."""
        progress = progress_at(self.config.phases, self.first, step)
        average: Any = self.ema.module
        for network in (*self.networks, average.frame):
            network.grow(progress)
        stage = self._stage_at(step)
        if stage != self._stage:  # an edge, the start of a command, or a return to an earlier checkpoint
            self.trainees.find_idle()
            self._stage = stage
        if step and stage != self._stage_at(step - 1):
            self.trainees.forget()
        growth, device = self.frame.growth, self.trainees.accelerator.device
        return {
            "growing/size": torch.tensor(float(min(self.size)), device=device),
            "growing/alpha": torch.tensor(growth.alpha, device=device),
        }

    def _stage_at(self, step: int) -> _Stage:
        progress = progress_at(self.config.phases, self.first, step)
        return _Stage(-int(-progress // 1), progress % 1 > 0)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the frames of this step."""
        size: tuple[int, int] = self.frame.sizes[self.frame.growth.level]
        return size

    def real(self, clip: Tensor) -> Tensor:
        """Real clips (B, T, C, H, W) at the size of this step, with as much detail as generated ones."""
        return faded_clip(clip, self.size, self.frame.growth.alpha)
