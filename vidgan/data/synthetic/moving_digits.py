"""Clips of moving digits, generated as in Moving MNIST.

Srivastava et al. (2015) as implemented in OpenSTL's loader. Each 28x28 digit starts at a uniform position in the 64x64
frame and moves 0.1 of the free range (36 pixels) per frame in a uniform direction. Its position is clamped at a wall
and the velocity component across the wall changes sign. Overlapping digits are merged by their maximum. The first frame
is rendered after the first move. Each clip is keyed by (seed, split, number) and does not depend on other clips.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from vidgan.seeding import generator

CANVAS: Final = 64
STEP: Final = 0.1


def draw_moving_digits(images: np.ndarray, frames: int, digits: int, keys: Sequence[int | str]) -> np.ndarray:
    """Generate one clip.

    Args:
        images: uint8 (N, h, w) digits to draw from.
        frames: clip length T.
        digits: digits per clip.
        keys: seed of the clip.

    Returns:
        uint8 (T, 64, 64).
    """
    random = generator("moving-digits", *keys)
    clip = np.zeros((frames, CANVAS, CANVAS), np.uint8)
    height, width = images.shape[1:]
    for _ in range(digits):
        image = images[int(torch.randint(len(images), (), generator=random))]
        x, y, turn = torch.rand(3, generator=random, dtype=torch.float64).tolist()
        lefts = trajectory(x, math.cos(2 * math.pi * turn), frames, CANVAS - width)
        tops = trajectory(y, math.sin(2 * math.pi * turn), frames, CANVAS - height)
        for frame, left, top in zip(clip, lefts, tops, strict=True):
            region = frame[top : top + height, left : left + width]
            np.maximum(region, image, out=region)
    return clip


def trajectory(start: float, velocity: float, frames: int, free: int) -> list[int]:
    """Pixel positions in [0, `free`] of a point that starts at the fraction `start` and moves `STEP` x `velocity`."""
    position, positions = start, []
    for _ in range(frames):
        position += STEP * velocity
        if position <= 0.0:
            position, velocity = 0.0, -velocity
        elif position >= 1.0:
            position, velocity = 1.0, -velocity
        positions.append(int(free * position))
    return positions
