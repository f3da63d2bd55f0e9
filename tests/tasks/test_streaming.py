"""Streams of frames: every frame gets one output, from the window or state that it should."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from vidgan.tasks.streaming import carried, windowed


def numbered(count: int) -> list[Tensor]:
    return [torch.full((1, 2, 2), float(n)) for n in range(count)]


def test_carried_state_reaches_the_next_frame() -> None:
    def step(frame: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        total = frame if state is None else frame + state
        return total, total

    assert [float(out.mean()) for out in carried(numbered(4), step)] == [0, 1, 3, 6]


@pytest.mark.parametrize(("window", "overlap"), [(1, 0), (4, 0), (4, 1), (4, 2), (5, 4), (7, 3)])
@pytest.mark.parametrize("count", [1, 3, 4, 6, 7, 12, 13])
def test_each_frame_has_one_output_away_from_inner_edges(window: int, overlap: int, count: int) -> None:
    margins: list[tuple[int, int]] = []

    def apply(clip: Tensor) -> Tensor:
        assert clip.shape[1] <= window
        length = clip.shape[1]
        places = torch.arange(length, dtype=torch.float32).view(1, -1, 1, 1, 1).expand_as(clip)
        last = torch.full_like(clip, length - 1.0)
        return torch.cat([clip, places, last], dim=2)

    outputs = list(windowed(numbered(count), apply, window=window, overlap=overlap))
    assert [float(out[0].mean()) for out in outputs] == list(range(count))
    for number, out in enumerate(outputs):
        before, after = int(out[1].mean()), int(out[2].mean() - out[1].mean())
        margins.append((before, after))
        assert before >= min(number, overlap - overlap // 2)
        assert after >= min(count - 1 - number, overlap // 2)


def test_memory_is_constant() -> None:
    """Frames are read at most one window ahead of the outputs."""
    num_read = 0

    def frames() -> Iterator[Tensor]:
        nonlocal num_read
        for n in range(100):
            num_read += 1
            yield torch.full((1, 1, 1), float(n))

    stream = windowed(frames(), lambda clip: clip, window=4, overlap=2)
    for number, _ in enumerate(stream):
        assert num_read <= number + 4


def test_an_overlap_must_be_shorter_than_the_window() -> None:
    with pytest.raises(ValueError, match="overlap"):
        list(windowed(numbered(2), lambda clip: clip, window=2, overlap=2))
