"""Generated clips of one moving shape, with exact optical flow and mask.

Each clip shows one saturated disc, square or triangle on a plain dark or a textured background. The motion is one of
:data:`CATEGORIES`; shape, colour, size, position, speed, phase and direction are random per clip. The optical flow is
exact because the scene is computed.

All lengths scale with the frame size. At 64 pixels a shape measures 22 to 29 pixels (the base of a triangle up to 35)
and its maximum speed is 1.5 to 2.5 pixels per frame.
"""

import colorsys
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from vidgan.video.encode import write_mp4

CATEGORIES: Final[tuple[str, ...]] = ("across", "down", "circle")
"""Motion categories: back and forth along x, up and down along y, around a circle (either direction)."""

SHAPES: Final[tuple[str, ...]] = ("disc", "square", "triangle")
"""Shape names; the triangle is equilateral and points up."""

_ACROSS, _DOWN, _CIRCLE = range(len(CATEGORIES))
_DISC, _SQUARE, _TRIANGLE = range(len(SHAPES))

BACKGROUND: Final = (12, 12, 16)
_MIN_SIZE: Final = 16
_NOMINAL_SIZE: Final = (0.38, 0.46)  # disc diameter as a fraction of the frame
_PEAK_SPEED: Final = (1.5 / 64, 2.5 / 64)  # frame widths per frame
_SWING: Final = (0.75, 1.0)  # amplitude as a fraction of the free range
_BLOTCHES: Final = 6  # of a texture, per side
_TEXTURE_LEVELS: Final = (30.0, 120.0)
_TINT: Final = 0.15  # largest reduction of a channel of a texture, so that its chroma stays below 18
_CHROMA: Final = 100  # levels between the largest and the smallest channel; shapes have at least 173
_MARGIN: Final = 1.5  # pixels from the border; anti-aliasing extends one pixel beyond a sharp tip

# Width of each shape's bounding box for a nominal size of one. The areas differ by at most a fifth, so that the amount
# of colour in a frame does not reveal the shape. The height of an equilateral triangle is sqrt(3)/2 of its width.
WIDTH: Final = (1.0, 0.9, 1.2)
HEIGHT: Final = (1.0, 0.9, 1.2 * 3**0.5 / 2)


class MovingShape(NamedTuple):
    """One rendered clip with its ground truth.

    Attributes:
        frames: ``(T, H, W, 3)`` uint8 RGB.
        flow: ``(T - 1, 2, H, W)`` float32, the true backward flow in pixels, x component first. Sampling frame ``t`` at
            ``x + flow[t](x)`` rebuilds frame ``t + 1`` at ``x``. It is minus the displacement on the pixels that the
            shape touches in frame ``t + 1`` and zero elsewhere. Background that becomes visible has no counterpart in
            frame ``t``, so no flow can rebuild it.
        category: index into :data:`CATEGORIES`.
        shape: index into :data:`SHAPES`.
        colour: RGB of the shape, each 0 to 255, the same in every frame.
        mask: ``(T, H, W)`` float32, the fraction of each pixel that the shape covers, 0 to 1.
        centres: ``(T, 2)`` float32, x and y of the centre of the shape's bounding box in pixels. The centre of pixel
            ``(row, column)`` is ``x = column, y = row``.
    """

    frames: np.ndarray
    flow: np.ndarray
    category: int
    shape: int
    colour: tuple[int, int, int]
    mask: np.ndarray
    centres: np.ndarray


def _draw_kind(seed: int, index: int) -> tuple[int, int]:
    """Return ``(category, shape)`` of a clip.

    Each block of ``len(CATEGORIES) * len(SHAPES)`` clips contains each pair once, in a random order: small sets are
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
    """Return the ``(T, 2)`` float64 path of the shape's centre in pixels; the shape always stays inside the frame.

    The motion is harmonic in all categories, so velocity changes smoothly and the shape turns instead of bouncing.
    """
    # Pixel centres are integers, so the frame spans -0.5 to size - 0.5 and its centre is (size - 1) / 2.
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
    """Return the ``(T, H, W)`` float64 fraction of each pixel, 0 to 1, that the shape covers.

    It is computed from the signed distance to the outline, which changes smoothly with sub-pixel motion; sub-sampling
    would change in steps.
    """
    grid = np.arange(size, dtype=np.float64)
    dx = grid[None, None, :] - centres[:, 0, None, None]
    dy = grid[None, :, None] - centres[:, 1, None, None]
    if shape == _DISC:
        distance = np.hypot(dx, dy) - half_width
    elif shape == _SQUARE:
        distance = np.maximum(np.abs(dx) - half_width, np.abs(dy) - half_height)
    else:
        # The right and left sides have the unit normals (+-cos 30, -sin 30) and meet at the tip (0, -half_height).
        sides = (3**0.5 * np.abs(dx) - (dy + half_height)) / 2
        distance = np.maximum(sides, dy - half_height)
    return np.clip(0.5 - distance, 0.0, 1.0)


def _draw_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a saturated bright RGB colour of any hue, each component 0 to 255."""
    hue, saturation, value = rng.uniform(0.0, 1.0), rng.uniform(0.8, 1.0), rng.uniform(0.85, 1.0)
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def _draw_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return an ``(H, W, 3)`` float64 background: smooth blotches, dimmer and much less saturated than any shape."""
    coarse = torch.from_numpy(rng.uniform(size=(1, 1, _BLOTCHES, _BLOTCHES)))
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    level = _TEXTURE_LEVELS[0] + (_TEXTURE_LEVELS[1] - _TEXTURE_LEVELS[0]) * fine[0, 0].numpy().clip(0, 1)
    tint = rng.uniform(1 - _TINT, 1, size=3)
    texture: np.ndarray = level[:, :, None] * tint
    return texture


def chroma_mask(frames: np.ndarray) -> np.ndarray:
    """Segment the shape by colour: ``(..., H, W, 3)`` uint8 -> ``(..., H, W)`` bool.

    The rule follows from how clips are rendered: shapes are saturated, backgrounds are nearly grey. It needs no truth,
    so it also applies to generated clips of these data.
    """
    levels = frames.astype(np.int16)
    mask: np.ndarray = levels.max(axis=-1) - levels.min(axis=-1) > _CHROMA
    return mask


def render_moving_shape(
    seed: int, index: int, *, frames: int = 32, size: int = 64, textured: bool = False
) -> MovingShape:
    """Render one clip; equal arguments produce equal clips in every process.

    A longer clip starts with the frames of a shorter one.

    Args:
        seed: seed of the data set, 0 or more.
        index: number of the clip, 0 or more.
        frames: clip length T, 1 or more.
        size: height and width of the frames in pixels, 16 or more. Sizes and speeds scale with it.
        textured: draw the shape on a random texture, the same in all frames, instead of the plain background. Nothing
            else of the clip changes.

    Returns:
        The clip with its ground truth.

    Raises:
        ValueError: an argument is out of range.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed is {seed} and index {index}; accepted: 0 or more")
    if frames < 1:
        raise ValueError(f"frames is {frames}; accepted: 1 or more")
    if size < _MIN_SIZE:
        raise ValueError(f"size is {size}; accepted: {_MIN_SIZE} or more, so that shapes are distinguishable")

    category, shape = _draw_kind(seed, index)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, index)))
    colour = _draw_colour(rng)
    nominal = rng.uniform(*_NOMINAL_SIZE) * size
    half_width, half_height = WIDTH[shape] * nominal / 2, HEIGHT[shape] * nominal / 2
    centres = _draw_path(rng, category, frames, size, half_width, half_height)

    covered = coverage(shape, centres, size, half_width, half_height)
    background = np.asarray(BACKGROUND, dtype=np.float64)
    if textured:
        background = _draw_texture(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2, index))), size)
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
        mask=covered.astype(np.float32),
        centres=centres.astype(np.float32),
    )


def recoloured(shape: MovingShape, colour: tuple[int, int, int]) -> np.ndarray:
    """The frames of a clip with another colour: ``(T, H, W, 3)`` uint8.

    Args:
        shape: a rendered clip.
        colour: RGB, each 0 to 255.
    """
    background = np.asarray(BACKGROUND, dtype=np.float64)
    paint = background + shape.mask[..., None] * (np.asarray(colour, dtype=np.float64) - background)
    return np.rint(paint).astype(np.uint8)


def render_shapes(folder: Path, *, clips: int, frames: int, size: int, seed: int, textured: bool = False) -> None:
    """Write clips 0 to `clips` - 1 of `render_moving_shape` as ``<category>/<index>.mp4`` in `folder`, 12 fps."""
    for index in range(clips):
        shape = render_moving_shape(seed, index, frames=frames, size=size, textured=textured)
        write_mp4(folder / CATEGORIES[shape.category] / f"{index:05d}.mp4", shape.frames, fps=12)
