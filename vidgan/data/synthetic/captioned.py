"""Moving shapes that captions describe, and detectors that read the described attributes from pixels.

A clip shows one shape with five attributes (`SLOTS`); it moves along a straight line at constant speed. A caption is
one of three sentences with one of the words of each attribute. `is_held_out` names the combinations of attributes that
are never rendered for training, though each of their words, and each pair of words, occurs in training.

Lengths and speeds scale with the frame size, and the detectors return the attributes of every rendered clip.
"""

import colorsys
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from vidgan.data.store.frames import save_array
from vidgan.data.synthetic.shape_scores import Reading, read_shapes
from vidgan.data.synthetic.shapes import BACKGROUND, HEIGHT, SHAPES, WIDTH, coverage
from vidgan.files import write_text

__all__ = [
    "FRAMES",
    "SLOTS",
    "CaptionedShape",
    "caption_of",
    "combinations",
    "id_of",
    "is_held_out",
    "read_slots",
    "render_captioned_shape",
    "render_captioned_shapes",
]

SLOTS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "colour": {"red": ("red",), "yellow": ("yellow",), "green": ("green",), "blue": ("blue",)},
    "shape": {"disc": ("disc", "ball"), "square": ("square", "box"), "triangle": ("triangle",)},
    "size": {"small": ("small", "little"), "large": ("large", "big")},
    "motion": {"left": ("left",), "right": ("right",), "up": ("up",), "down": ("down",)},
    "speed": {"slowly": ("slowly",), "fast": ("fast", "quickly")},
}
"""Attribute -> value -> the words for it."""

Attributes = Mapping[str, str]

FRAMES: Final = 8
"""Frames of a clip: the largest shape at full speed just stays inside the frame."""

_SENTENCES: Final = (
    "a {size} {colour} {shape} {verb} {motion}, {speed}",
    "the {size} {colour} {shape} {verb} {motion} {speed}",
    "{speed}, a {colour} {size} {shape} {verb} {motion}",
)
_VERBS: Final = ("moves", "goes")
_HUES: Final = {"red": 0.0, "yellow": 58.0, "green": 120.0, "blue": 228.0}  # degrees
_HUE_SPREAD: Final = 8.0  # degrees to each side
_SIZES: Final = {"small": (0.27, 0.30), "large": (0.43, 0.46)}  # of a disc, fractions of the frame
_SPEEDS: Final = {"slowly": (0.016, 0.020), "fast": (0.047, 0.052)}  # frame widths per frame
_DIRECTIONS: Final = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # x, y
_MARGIN: Final = 1.0  # pixels from the border
_AREAS: Final = (np.pi / 4, WIDTH[1] * HEIGHT[1], WIDTH[2] * HEIGHT[2] / 2)  # at nominal size one
_LEAST_SATURATION: Final = 0.35
_LEAST_VISIBLE: Final = 0.5  # share of the frames that must show an object, or no slot is read
_STRAIGHT: Final = 0.5  # largest speed across the direction of motion, relative to that along it


class CaptionedShape(NamedTuple):
    """One rendered clip.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        attributes: slot -> value.
        captions: sentences that describe it.
    """

    frames: npt.NDArray[np.uint8]
    attributes: dict[str, str]
    captions: tuple[str, ...]


def combinations(*, held_out: bool) -> list[dict[str, str]]:
    """All combinations of attributes that are held out, or all others, in a fixed order."""
    every = (dict(zip(SLOTS, values, strict=True)) for values in product(*SLOTS.values()))
    return [attributes for attributes in every if is_held_out(attributes) == held_out]


def is_held_out(attributes: Attributes) -> bool:
    """Whether a combination is never rendered for training: a sixth of all, spread evenly over values and pairs."""
    colour, shape, size, motion, speed = (list(SLOTS[slot]).index(attributes[slot]) for slot in SLOTS)
    return (colour + 2 * shape + 3 * size + motion + 3 * speed + size * speed) % 6 == 0


def caption_of(attributes: Attributes, sentence: int = 0, word: int = 0, verb: int = 0) -> str:
    """A sentence that describes a clip.

    Args:
        attributes: a value for each of `SLOTS`.
        sentence: number of the sentence; numbers beyond the last start again at the first.
        word: number of the word of each slot, likewise.
        verb: number of the verb, likewise.
    """
    words = {slot: _nth(SLOTS[slot][attributes[slot]], word) for slot in SLOTS}
    return _nth(_SENTENCES, sentence).format(verb=_nth(_VERBS, verb), **words)


def id_of(attributes: Attributes) -> str:
    """One word that names the whole combination, such as "red-disc-small-left-slowly": a category, not a caption."""
    return "-".join(attributes[slot] for slot in SLOTS)


def _nth(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def render_captioned_shape(
    seed: int, index: int, attributes: Attributes, *, size: int = 64, frames: int = FRAMES
) -> CaptionedShape:
    """Render a clip with given attributes; equal arguments give equal clips.

    Args:
        seed, index: key the start, the hue, the exact size and speed, and the two captions.
        attributes: a value for each of `SLOTS`.
        size: height and width of the frames in pixels, 32 or more.
        frames: clip length T, 2 to `FRAMES`.

    Raises:
        ValueError: an argument is out of range.
    """
    if size < 32 or not 2 <= frames <= FRAMES:
        raise ValueError(f"size is {size} and frames {frames}; accepted: 32 or more, and 2 to {FRAMES}")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    hue = (_HUES[attributes["colour"]] + rng.uniform(-_HUE_SPREAD, _HUE_SPREAD)) % 360
    colour = 255 * np.array(colorsys.hsv_to_rgb(hue / 360, rng.uniform(0.88, 1.0), rng.uniform(0.9, 1.0)))
    shape = SHAPES.index(attributes["shape"])
    nominal = rng.uniform(*_SIZES[attributes["size"]]) * size
    half = np.array([WIDTH[shape], HEIGHT[shape]]) * nominal / 2
    speed = rng.uniform(*_SPEEDS[attributes["speed"]]) * size
    step = speed * np.array(_DIRECTIONS[attributes["motion"]], np.float64)
    travel = step * (frames - 1)
    low = half + _MARGIN - 0.5 - np.minimum(travel, 0)  # of the start, so that the whole path is inside
    high = size - 0.5 - half - _MARGIN - np.maximum(travel, 0)
    start = low + rng.uniform(size=2) * (high - low)
    centres = start + step * np.arange(frames)[:, None]  # (T, 2)
    covered = coverage(shape, centres, size, half[0], half[1])
    background = np.asarray(BACKGROUND, np.float64)
    paint = background + covered[..., None] * (colour - background)
    captions = tuple(dict.fromkeys(caption_of(attributes, *rng.integers(6, size=3).tolist()) for _ in range(2)))
    return CaptionedShape(np.rint(paint).astype(np.uint8), dict(attributes), captions)


def render_captioned_shapes(folder: Path, *, clips: int, size: int, seed: int, ids: bool = False) -> None:
    """Write clips as ``<number>.npy`` in `folder`, and their captions and attributes as ``captions.jsonl``.

    Clip i shows the i-th of the combinations that are not held out, in rounds of a random order.

    Args:
        folder: where they are written.
        clips: their number.
        size, seed: as in `render_captioned_shape`.
        ids: captions are `id_of` the combination, for a model that is conditioned on categories; the clips are equal.
    """
    seen = combinations(held_out=False)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(clips):
        turn, place = divmod(index, len(seen))
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, turn))).permutation(len(seen))
        clip = render_captioned_shape(seed, index, seen[order[place]], size=size)
        save_array(folder / f"{index:05d}.npy", clip.frames)
        captions = (id_of(clip.attributes),) if ids else clip.captions
        lines.append({"file": f"{index:05d}.npy", "captions": captions, "attributes": clip.attributes})
    write_text(folder / "captions.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def read_slots(clips: npt.NDArray[np.uint8]) -> list[dict[str, str | None]]:
    """What clips show: slot -> value for each of (N, T, H, W, 3) uint8 clips, None where nothing of the kind is seen.

    Colour: hue nearest to that of the mean colour. Shape: best ideal outline, averaged over frames. Size: against the
    middle between both sizes. Motion and speed: line fitted to the centres; the motion must be within 27 degrees of an
    axis and faster than a third of the slow speed.
    """
    reading = read_shapes(clips)
    return [_read_clip(reading, place, clips.shape[2]) for place in range(len(clips))]


def _read_clip(reading: Reading, place: int, size: int) -> dict[str, str | None]:
    shown = np.flatnonzero(reading.objects[place] > 0)
    if len(shown) < max(2, _LEAST_VISIBLE * reading.objects.shape[1]):
        return dict.fromkeys(SLOTS)
    shapes = reading.shape[place, shown]
    shape = int(np.bincount(shapes, weights=reading.outline[place, shown], minlength=len(SHAPES)).argmax())
    nominal = float(np.mean(reading.size[place, shown])) / _AREAS[shape] ** 0.5 / size
    middle = (_SIZES["small"][1] + _SIZES["large"][0]) / 2
    velocity = np.polyfit(shown, reading.centre[place, shown], 1)[0] / size  # frame widths per frame, x and y
    along = int(np.abs(velocity).argmax())
    speed = float(abs(velocity[along]))
    moves = speed > _SPEEDS["slowly"][0] / 3 and abs(velocity[1 - along]) < _STRAIGHT * speed
    sign = 1 if velocity[along] > 0 else -1
    motion = next(name for name, (x, y) in _DIRECTIONS.items() if (x, y)[along] == sign)
    return {
        "colour": _colour_name(reading.colour[place, shown].mean(axis=0)),
        "shape": SHAPES[shape],
        "size": "small" if nominal < middle else "large",
        "motion": motion if moves else None,
        "speed": ("slowly" if speed < (_SPEEDS["slowly"][1] + _SPEEDS["fast"][0]) / 2 else "fast") if moves else None,
    }


def _colour_name(rgb: npt.NDArray[np.float64]) -> str | None:
    hue, saturation, _ = colorsys.rgb_to_hsv(*rgb.tolist())
    if saturation < _LEAST_SATURATION:
        return None
    return min(_HUES, key=lambda name: abs((360 * hue - _HUES[name] + 180) % 360 - 180))
