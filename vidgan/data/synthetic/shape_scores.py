"""Scores of generated clips that should show one moving shape, as `vidgan.data.synthetic.shapes` renders them.

No network is needed, because the expected content is known and can be measured from the pixels. The scores are specific
to this project and not meaningful for other clips.
"""

from itertools import permutations
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from skimage.measure import label

from vidgan.data.synthetic.shapes import BACKGROUND, CATEGORIES, HEIGHT, SHAPES, WIDTH, coverage

Array = npt.NDArray[np.float64]

DEFINITIONS: Final[dict[str, str]] = {
    "one": "share of frames with exactly one bright object",
    "outline": "intersection over union with the best ideal disc, square or triangle of the same area and centroid",
    "shape_held": "share of frames whose best ideal shape is the clip's most frequent one",
    "colour": "standard deviation of the object's colour within a clip, RGB in [0, 1]",
    "category": "share of clips whose path is of the requested category",
}
"""Scores of `shape_scores`."""

PATHS: Final[dict[str, str]] = {
    "step": "displacement of the object between two frames, pixels",
    "path": "length of its path, pixels",
    "straight": "distance between its first and last position, relative to its path",
    "turn": "change of its displacement between frames, relative to its mean displacement; 0 for uniform motion",
    "size_held": "standard deviation of its size (root of the area) within a clip, relative to the size",
    "size_spread": "standard deviation of its size between clips, pixels",
    "colour_spread": "standard deviation of its colour between clips, RGB in [0, 1]",
    "start_spread": "standard deviation of its first position between clips, pixels",
}
"""Scores of `path_scores`."""

MATCHED: Final[dict[str, str]] = {
    "shape": "share of clips whose most frequent shape is that of the input",
    "motion": "mean distance of the object's centre to that of the input, pixels",
    "size": "mean ratio of the object's size to that of the input",
    "visible": "share of frames with exactly one object",
}
"""Scores of `matched_attributes`."""

_VISIBLE: Final = 0.3  # brightness above the background, in [0, 1]
_SPECK: Final = 4  # pixels; smaller components are not counted as objects
_AREA: Final = (np.pi / 4, WIDTH[1] * HEIGHT[1], WIDTH[2] * HEIGHT[2] / 2)  # of the shapes at nominal size one
_STRAIGHT: Final = 0.3  # maximum ratio of the extents of a straight path along both axes
_STILL: Final = 1 / 16  # fraction of the frame; a path of smaller extent has no motion


class Reading(NamedTuple):
    """Measurements of each frame of (N, T) frames; NaN and -1 for frames without an object.

    Attributes:
        objects: (N, T), number of objects.
        shape: (N, T), index into SHAPES.
        outline: (N, T), intersection over union with the ideal shape, 0 to 1.
        colour: (N, T, 3), RGB in [0, 1].
        centre: (N, T, 2), x and y in pixels.
        size: (N, T), root of the area in pixels.
    """

    objects: npt.NDArray[np.int64]
    shape: npt.NDArray[np.int64]
    outline: Array
    colour: Array
    centre: Array
    size: Array


def read_shapes(clips: npt.NDArray[np.uint8]) -> Reading:
    """Measure every frame of uint8 clips (N, T, H, W, 3). Raises ValueError for other arrays."""
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[4] != 3:
        raise ValueError(f"clips are {clips.dtype} {clips.shape}; accepted: uint8 (N, T, H, W, 3)")
    size = clips.shape[:2]
    reading = Reading(
        np.zeros(size, np.int64),
        np.full(size, -1),
        np.zeros(size),
        np.full((*size, 3), np.nan),
        np.full((*size, 2), np.nan),
        np.full(size, np.nan),
    )
    for place in np.ndindex(*size):
        _read_frame(clips[place] / 255, reading, place)
    return reading


def _read_frame(frame: Array, reading: Reading, place: tuple[int, ...]) -> None:
    bright = (frame - np.asarray(BACKGROUND) / 255).max(axis=-1).clip(0)  # (H, W)
    components, number = label(bright > _VISIBLE, return_num=True, connectivity=1)
    if number == 0:
        return
    areas = np.bincount(components.ravel())[1:]
    largest = components == 1 + areas.argmax()
    # Compare the whole frame instead of the largest component, so that ghosts elsewhere reduce the outline score.
    mask = (bright / np.median(bright[largest])).clip(0, 1)
    rows, columns = np.indices(mask.shape)
    area, x, y = mask.sum(), (mask * columns).sum() / mask.sum(), (mask * rows).sum() / mask.sum()
    fits = [_overlap(mask, shape, area, x, y) for shape in range(len(SHAPES))]
    reading.objects[place] = (areas >= _SPECK).sum()
    reading.shape[place] = np.argmax(fits)
    reading.outline[place] = max(fits)
    reading.colour[place] = frame[largest & (mask > 0.8)].mean(axis=0)
    reading.centre[place] = columns[largest].mean(), rows[largest].mean()
    reading.size[place] = area**0.5


def _overlap(mask: Array, shape: int, area: float, x: float, y: float) -> float:
    nominal = (area / _AREA[shape]) ** 0.5
    half_width, half_height = WIDTH[shape] * nominal / 2, HEIGHT[shape] * nominal / 2
    below = half_height / 3 if SHAPES[shape] == "triangle" else 0.0  # its centroid is below the centre of its box
    ideal = coverage(shape, np.array([[x, y - below]]), mask.shape[0], half_width, half_height)[0]
    return float(np.minimum(ideal, mask).sum() / np.maximum(ideal, mask).sum())


def shape_scores(clips: npt.NDArray[np.uint8], categories: npt.NDArray[np.int64]) -> dict[str, float]:
    """The scores of `DEFINITIONS` of square uint8 clips (N, T, H, W, 3) with requested `categories` (N,)."""
    reading = read_shapes(clips)
    held = [np.bincount(row[row >= 0], minlength=1).max() / len(row) for row in reading.shape]
    return {
        "one": float((reading.objects == 1).mean()),
        "outline": float(reading.outline.mean()),
        "shape_held": float(np.mean(held)),
        "colour": float(np.nanstd(reading.colour, axis=1).mean(axis=-1)[(reading.objects > 0).any(axis=1)].mean()),
        "category": float((path_categories(reading.centre, clips.shape[2]) == categories).mean()),
    }


def matched_attributes(given: Reading, output: Reading) -> dict[str, float]:
    """What a translation kept of its inputs: the scores of `MATCHED`, over frames in which both show an object."""
    both = (given.objects > 0) & (output.objects > 0)
    before, after = (
        np.array([np.bincount(row[row >= 0], minlength=len(SHAPES)).argmax() for row in reading.shape])
        for reading in (given, output)
    )
    distance = np.linalg.norm(given.centre - output.centre, axis=-1)
    nothing = float("nan")
    return {
        "shape": float((before == after).mean()),
        "motion": float(distance[both].mean()) if both.any() else nothing,
        "size": float((output.size[both] / given.size[both]).mean()) if both.any() else nothing,
        "visible": float((output.objects == 1).mean()),
    }


def best_permutation(
    classes: npt.NDArray[np.int64], matched: npt.NDArray[np.int64], number: int
) -> tuple[float, list[int]]:
    """How consistently classes are mapped to classes, whatever the mapping: unpaired data do not say which is right.

    Args:
        classes: (N,) of the inputs, 0 to `number` - 1.
        matched: (N,) of the outputs, or -1 for none of them.
        number: of classes, at most 6.

    Returns:
        The largest share of inputs that follow one one-to-one mapping, and that mapping.
    """
    shares = {order: float(np.mean(np.asarray(order)[classes] == matched)) for order in permutations(range(number))}
    best = max(shares, key=lambda order: shares[order])
    return shares[best], list(best)


def colour_floor(reading: Reading, covered: float) -> float:
    """Least mean squared error of a return from pictures without colour, pixels in [0, 1].

    If the translation shows no colour, the best guess is the mean colour, whose error is the variance of the colours
    over the covered area. A cycle below it has hidden the colour.

    Args:
        reading: of the clips that were translated.
        covered: mean share of a frame that the object covers.
    """
    return float(np.nanmean(reading.colour, axis=1).var(axis=0).mean()) * covered


def path_scores(reading: Reading) -> dict[str, float]:
    """The scores of `PATHS`: means over clips with an object in every frame, NaN if there are none."""
    whole = (reading.objects > 0).all(axis=1)
    centre, size, colour = reading.centre[whole], reading.size[whole], reading.colour[whole]
    moves = np.diff(centre, axis=1)  # (N, T - 1, 2)
    steps = np.linalg.norm(moves, axis=-1)  # (N, T - 1)
    path = steps.sum(axis=1)
    turns = np.linalg.norm(np.diff(moves, axis=1), axis=-1).mean(axis=1)  # (N,)
    return {
        "step": float(steps.mean()),
        "path": float(path.mean()),
        "straight": float((np.linalg.norm(centre[:, -1] - centre[:, 0], axis=-1) / path.clip(1e-9)).mean()),
        "turn": float((turns / steps.mean(axis=1).clip(1e-9)).mean()),
        "size_held": float((size.std(axis=1) / size.mean(axis=1)).mean()),
        "size_spread": float(size.mean(axis=1).std()),
        "colour_spread": float(colour.mean(axis=1).std(axis=0).mean()),
        "start_spread": float(centre[:, 0].std(axis=0).mean()),
    }


def path_categories(centres: Array, size: int) -> npt.NDArray[np.int64]:
    """Index into CATEGORIES of each path (N, T, 2), -1 for a path without motion; `size` is the frame's in pixels."""
    is_visible = np.isfinite(centres)
    highest, lowest = (
        np.where(is_visible, centres, -np.inf).max(axis=1),
        np.where(is_visible, centres, np.inf).min(axis=1),
    )
    extent = highest - lowest  # (N, 2)
    wide, high = extent[:, 0], extent[:, 1]
    kind = np.select([high < _STRAIGHT * wide, wide < _STRAIGHT * high], [0, 1], 2)
    assert CATEGORIES == ("across", "down", "circle")
    return np.where(extent.max(axis=1) > _STILL * size, kind, -1)
