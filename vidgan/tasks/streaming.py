"""Running a model over a stream of frames of any length in constant memory.

`carried` is for models that hand a state from frame to frame, `windowed` for models that read several frames at once.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["carried", "windowed"]

State = TypeVar("State")


def carried(frames: Iterable[Tensor], step: Callable[[Tensor, State | None], tuple[Tensor, State]]) -> Iterator[Tensor]:
    """One output per frame of a model with a carried state.

    Args:
        frames: (C, h, w) each.
        step: (frame (1, C, h, w), state; None before the first frame) -> (output (1, C', H, W), new state).
    """
    state: State | None = None
    for frame in frames:
        output, state = step(frame[None], state)
        yield output[0]


def windowed(
    frames: Iterable[Tensor], apply: Callable[[Tensor], Tensor], *, window: int, overlap: int = 0
) -> Iterator[Tensor]:
    """One output per frame of a model that reads windows.

    Consecutive windows share `overlap` frames. Of these, the first half (rounded up) takes the output of the earlier
    window and the rest that of the later one, so that no output is taken from the edge of a window inside the stream.

    Args:
        frames: (C, h, w) each.
        apply: (1, T, C, h, w) -> (1, T, C', H, W), T of 1 to `window`.
        window: frames read at once.
        overlap: frames that two windows share, below `window`.

    Raises:
        ValueError: an overlap that is not below the window.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"overlap must be from 0 to {window - 1} for windows of {window} frames, got {overlap}")
    early = overlap - overlap // 2  # shared frames whose output comes from the earlier window
    held: list[Tensor] = []
    skip = 0  # leading outputs of the next window that an earlier window has given
    fresh = 0  # held frames that no window has read yet
    for frame in frames:
        held.append(frame)
        fresh += 1
        if len(held) == window:
            outputs = apply(torch.stack(held)[None])[0]
            yield from outputs[skip : window - overlap + early]
            held, skip, fresh = held[window - overlap :], early, 0
    if fresh:
        yield from apply(torch.stack(held)[None])[0][skip:]
    elif held:
        yield from outputs[window - overlap + early :]
