"""The sequence of turns in a training step: which network moves, how often, and when."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from vidgan.sections import LIMITS, Section, option

__all__ = ["Turn", "due_turns"]


class Turn(Section):
    """One network's turn in the sequence of a training step."""

    network: str = option(description="`generator` or the name of a discriminator.")
    repeat: int = option(1, "Updates in a row within a step, each with fresh fakes on the same batch.", ge=1)
    every: int = option(1, "The turn is taken on every n-th step, so each time on another batch.", unit="steps", ge=1)
    cycle: int = option(1, "Length of a cycle of epochs, for networks that alternate by epochs.", unit="epochs", ge=1)
    active: tuple[Annotated[int, Field(ge=0, le=LIMITS["epochs"])], ...] = option(
        (0,), "Epochs of the cycle, counted from 0, in which the turn is taken.", unit="epochs"
    )

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if not self.active or max(self.active) >= self.cycle:
            yield f"active={list(self.active)} must name epochs from 0 to cycle - 1 = {self.cycle - 1}"

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether the turn is taken in this step (the last of each `every` steps, as everything periodic)."""
        return (step + 1) % self.every == 0 and step // steps_per_epoch % self.cycle in self.active


def due_turns(turns: Sequence[Turn], step: int, steps_per_epoch: int) -> Iterator[tuple[str, int]]:
    """(network, number of the repeat) of each update in a step, in order."""
    for turn in turns:
        if turn.is_due(step, steps_per_epoch):
            yield from ((turn.network, repeat) for repeat in range(turn.repeat))
