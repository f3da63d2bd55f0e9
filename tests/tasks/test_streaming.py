"""Streams of frames: every frame gets one output, from the state that it should."""

import torch
from torch import Tensor

from vidgan.tasks.streaming import carried


def numbered(count: int) -> list[Tensor]:
    return [torch.full((1, 2, 2), float(n)) for n in range(count)]


def test_carried_state_reaches_the_next_frame() -> None:
    def step(frame: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        total = frame if state is None else frame + state
        return total, total

    assert [float(out.mean()) for out in carried(numbered(4), step)] == [0, 1, 3, 6]
