"""The nearest training window: copies are found at any start frame, plain or mirrored."""

import numpy as np
import torch

from vidgan.metrics.clip_statistics import describe, nearest_distance
from vidgan.metrics.nearest_windows import NearestWindows
from vidgan.types import ByteClip


def videos(number: int, frames: int, seed: int = 0) -> ByteClip:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (number, frames, 3, 32, 32), np.uint8))


def all_windows(frames: int, length: int, stride: int) -> list[range]:
    span = (length - 1) * stride + 1
    return [range(start, start + span, stride) for start in range(frames - span + 1)]


def test_copies_are_found_at_any_start_and_mirrored() -> None:
    training = videos(3, 20)
    copy, mirrored, new = training[1, 5:12:2], training[2, 3:10:2].flip(-1), videos(1, 4, seed=1)[0]
    search = NearestWindows(torch.stack([copy, mirrored, new]))
    for number, video in enumerate(training):
        search.compare(str(number), range(20), video, all_windows(20, 4, 2))
    first, second, third = search.nearest
    assert (first.video, first.frames, first.mirrored) == ("1", (5, 7, 9, 11), False) and first.distance < 1e-6
    assert (second.video, second.frames, second.mirrored) == ("2", (3, 5, 7, 9), True) and second.distance < 1e-6
    assert third.distance > 0.1


def test_the_distance_is_that_of_nearest_clip() -> None:
    clips, video = videos(4, 5), videos(1, 9, seed=2)
    search = NearestWindows(clips)
    search.compare("a", range(100, 109), video[0], [range(start, start + 5) for start in range(100, 105)])
    windows = torch.stack([video[0, start : start + 5] for start in range(5)])
    both = describe(torch.cat([windows, windows.flip(-1)])).pooled
    expected = nearest_distance(describe(clips).pooled, both)
    np.testing.assert_allclose([neighbour.distance for neighbour in search.nearest], expected, rtol=1e-7)
