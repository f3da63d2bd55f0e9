"""Generated clips of one moving shape, with the exact motion known.

Each clip shows a single saturated disc, square or triangle that glides over a plain dark frame. The motion is one of
:data:`CATEGORIES`; shape, colour, size, place, speed, phase and sense are drawn per clip. Because the scene is
computed, the optical flow that belongs to it is exact, which real footage never offers.

All lengths scale with the frame size. At 64 pixels a shape measures about 22 to 29 pixels (a triangle's base up to 35)
and its fastest speed lies between 1.5 and 2.5 pixels per frame.
"""

import colorsys
from typing import Final, NamedTuple

import numpy as np

__all__ = ["CATEGORIES", "SHAPES", "MovingShape", "render_moving_shape"]

CATEGORIES: Final[tuple[str, ...]] = ("across", "down", "circle")
"""Motion categories: to and fro along x, up and down along y, round a circle (either sense)."""

SHAPES: Final[tuple[str, ...]] = ("disc", "square", "triangle")
"""Shape names; the triangle is equilateral and points up."""

_ACROSS, _DOWN, _CIRCLE = range(len(CATEGORIES))
_DISC, _SQUARE, _TRIANGLE = range(len(SHAPES))

BACKGROUND: Final = (12, 12, 16)
_MIN_SIZE: Final = 16
_NOMINAL_SIZE: Final = (0.38, 0.46)  # disc diameter as a share of the frame
_PEAK_SPEED: Final = (1.5 / 64, 2.5 / 64)  # frame widths per frame
_SWING: Final = (0.75, 1.0)  # amplitude as a share of the room that the shape leaves free
_MARGIN: Final = 1.5  # pixels kept free along the border; anti-aliasing reaches one pixel beyond a sharp tip

# Width of each shape's bounding box for a nominal size of one. The three areas then differ by a fifth at most, so that
# the amount of colour in a frame does not give the shape away. An equilateral triangle is sqrt(3)/2 as high as wide.
WIDTH: Final = (1.0, 0.9, 1.2)
HEIGHT: Final = (1.0, 0.9, 1.2 * 3**0.5 / 2)


class MovingShape(NamedTuple):
    """One rendered clip and everything that is known about it.

    Attributes:
        frames: ``(T, H, W, 3)`` uint8 RGB.
        flow: ``(T - 1, 2, H, W)`` float32, the true backward flow in pixels, x component first. Sampling frame ``t`` at
            ``x + flow[t](x)`` rebuilds frame ``t + 1`` at ``x``. It is minus the displacement on the pixels that the
            shape touches in frame ``t + 1`` and zero elsewhere; background that the shape has just uncovered has no
            counterpart in frame ``t``, so no flow can rebuild it.
        category: index into :data:`CATEGORIES`.
        shape: index into :data:`SHAPES`.
        colour: RGB of the shape, each 0 to 255, the same in every frame.
        centres: ``(T, 2)`` float32, x and y of the middle of the shape's bounding box in pixels. Pixel
            ``(row, column)`` has its middle at ``x = column, y = row``.
    """

    frames: np.ndarray
    flow: np.ndarray
    category: int
    shape: int
    colour: tuple[int, int, int]
    centres: np.ndarray


def _draw_kind(seed: int, index: int) -> tuple[int, int]:
    """Return ``(category, shape)`` of a clip.

    Every run of ``len(CATEGORIES) * len(SHAPES)`` clips holds each pair once, in an order of its own: small sets are
    balanced, and no regular split of the indices can separate the classes.
    """
    kinds = len(CATEGORIES) * len(SHAPES)
    run, place = divmod(index, kinds)
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, run))).permutation(kinds)
    category, shape = divmod(int(order[place]), len(SHAPES))
    return category, shape


def _draw_path(
    rng: np.random.Generator, category: int, frames: int, size: int, half_width: float, half_height: float
) -> np.ndarray:
    """Return the ``(T, 2)`` float64 path of the shape's middle, in pixels, inside the frame at every time.

    The motion is harmonic in all categories, so velocity changes smoothly and the shape turns instead of bouncing.
    """
    # Pixel middles lie on whole numbers, so the frame spans -0.5 to size - 0.5 and its middle is (size - 1) / 2.
    middle = (size - 1) / 2
    room = np.array([size / 2 - half_width, size / 2 - half_height]) - _MARGIN
    speed = rng.uniform(*_PEAK_SPEED) * size
    swing = rng.uniform(*_SWING)
    phase = rng.uniform(0.0, 2.0 * np.pi)
    sense = rng.choice((-1.0, 1.0))
    place = rng.uniform(-1.0, 1.0, size=2)
    if category == _ACROSS:
        amplitude = np.array([swing * room[0], 0.0])
    elif category == _DOWN:
        amplitude = np.array([0.0, swing * room[1]])
    else:
        amplitude = np.full(2, swing * room.min())
    angle = phase + sense * speed / amplitude.max() * np.arange(frames, dtype=np.float64)
    wave = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return middle + place * (room - amplitude) + amplitude * wave


def coverage(shape: int, centres: np.ndarray, size: int, half_width: float, half_height: float) -> np.ndarray:
    """Return the ``(T, H, W)`` float64 share of each pixel, 0 to 1, that the shape covers.

    The share is read off the signed distance to the outline, which changes smoothly with sub-pixel motion, where a
    grid of sub-samples would change in steps.
    """
    grid = np.arange(size, dtype=np.float64)
    dx = grid[None, None, :] - centres[:, 0, None, None]
    dy = grid[None, :, None] - centres[:, 1, None, None]
    if shape == _DISC:
        distance = np.hypot(dx, dy) - half_width
    elif shape == _SQUARE:
        distance = np.maximum(np.abs(dx) - half_width, np.abs(dy) - half_height)
    else:
        # Right and left side have the unit normals (+-cos 30, -sin 30) and meet in the tip (0, -half_height).
        sides = (3**0.5 * np.abs(dx) - (dy + half_height)) / 2
        distance = np.maximum(sides, dy - half_height)
    return np.clip(0.5 - distance, 0.0, 1.0)


def _draw_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a saturated bright RGB colour of any hue, each component 0 to 255."""
    hue, saturation, value = rng.uniform(0.0, 1.0), rng.uniform(0.8, 1.0), rng.uniform(0.85, 1.0)
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def render_moving_shape(seed: int, index: int, *, frames: int = 32, size: int = 64) -> MovingShape:
    """Render one clip; equal arguments give equal clips on every call and in every process.

    Nothing but the number of frames rendered depends on ``frames``: a longer clip begins with the shorter one.

    Args:
        seed: which data set, 0 or more.
        index: which clip of it, 0 or more.
        frames: clip length T, 1 or more.
        size: height and width of the frames in pixels, 16 or more. Sizes and speeds scale with it.

    Returns:
        The clip with its true flow and its labels.

    Raises:
        ValueError: an argument lies outside its range.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must be 0 or more, got seed={seed}, index={index}")
    if frames < 1:
        raise ValueError(f"frames must be 1 or more, got {frames}")
    if size < _MIN_SIZE:
        raise ValueError(f"size must be {_MIN_SIZE} or more for the shapes to be told apart, got {size}")

    category, shape = _draw_kind(seed, index)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, index)))
    colour = _draw_colour(rng)
    nominal = rng.uniform(*_NOMINAL_SIZE) * size
    half_width, half_height = WIDTH[shape] * nominal / 2, HEIGHT[shape] * nominal / 2
    centres = _draw_path(rng, category, frames, size, half_width, half_height)

    covered = coverage(shape, centres, size, half_width, half_height)
    background = np.asarray(BACKGROUND, dtype=np.float64)
    paint = background + covered[..., None] * (np.asarray(colour, dtype=np.float64) - background)

    displacement = np.diff(centres, axis=0)
    touched = covered[1:, None] > 0.0
    flow = np.where(touched, -displacement[:, :, None, None], 0.0)

    return MovingShape(
        frames=np.rint(paint).astype(np.uint8),
        flow=flow.astype(np.float32),
        category=category,
        shape=shape,
        colour=colour,
        centres=centres.astype(np.float32),
    )
