"""Does a clip show one moving shape? Measures of generated clips against what `vidgan.data.synthetic.shapes` renders.

No network: what a clip of this kind has to show is known, so it can be read off the pixels. The measures are this
project's own and say nothing about other clips.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from skimage.measure import label

from vidgan.data.synthetic.shapes import BACKGROUND, CATEGORIES, HEIGHT, SHAPES, WIDTH, coverage

__all__ = ["DEFINITIONS", "PATHS", "Reading", "path_scores", "read_shapes", "shape_scores"]

Array = npt.NDArray[np.float64]

DEFINITIONS: Final[dict[str, str]] = {
    "one": "share of frames with exactly one bright object",
    "outline": "intersection over union with the best ideal disc, square or triangle of the same area and middle",
    "shape_held": "share of frames whose best ideal shape is the clip's most frequent one",
    "colour": "standard deviation of the object's colour within a clip, RGB in [0, 1]",
    "category": "share of clips whose path is of the kind that was asked for",
}

PATHS: Final[dict[str, str]] = {
    "step": "distance that the object moves between two frames, pixels",
    "path": "length of its path, pixels",
    "straight": "distance between its first and last place, as a share of its path",
    "turn": "change of its step between frames, as a share of its mean step; 0 for even motion",
    "size_held": "standard deviation of its size (root of the area) within a clip, as a share of the size",
    "size_spread": "standard deviation of its size between clips, pixels",
    "colour_spread": "standard deviation of its colour between clips, RGB in [0, 1]",
    "start_spread": "standard deviation of its first place between clips, pixels",
}

_VISIBLE: Final = 0.3  # brightness above the background, of 1
_SPECK: Final = 4  # pixels; smaller components are no object
_AREA: Final = (np.pi / 4, WIDTH[1] * HEIGHT[1], WIDTH[2] * HEIGHT[2] / 2)  # of shapes of nominal size one
_STRAIGHT: Final = 0.3  # a path this much wider along one axis than along the other is straight
_STILL: Final = 1 / 16  # of the frame: a shorter path is no motion


class Reading(NamedTuple):
    """What each frame of (N, T) shows; NaN and -1 where it shows nothing."""

    objects: npt.NDArray[np.int64]  # (N, T), how many
    shape: npt.NDArray[np.int64]  # (N, T), index into SHAPES
    outline: Array  # (N, T), 0 to 1
    colour: Array  # (N, T, 3), 0 to 1
    centre: Array  # (N, T, 2), x and y in pixels
    size: Array  # (N, T), root of the area, pixels


def read_shapes(clips: npt.NDArray[np.uint8]) -> Reading:
    """Read clips (N, T, H, W, 3)."""
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[4] != 3:
        raise ValueError(f"shapes are read from (N, T, H, W, 3) uint8 clips, got {clips.dtype} {clips.shape}")
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
    # The whole frame is compared, not the largest component: ghosts elsewhere count against the outline.
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
    below = half_height / 3 if SHAPES[shape] == "triangle" else 0.0  # its centroid lies below the middle of its box
    ideal = coverage(shape, np.array([[x, y - below]]), mask.shape[0], half_width, half_height)[0]
    return float(np.minimum(ideal, mask).sum() / np.maximum(ideal, mask).sum())


def shape_scores(clips: npt.NDArray[np.uint8], categories: npt.NDArray[np.int64]) -> dict[str, float]:
    """The measures of `DEFINITIONS` for square clips (N, T, H, W, 3) uint8 that were asked for `categories` (N,)."""
    reading = read_shapes(clips)
    held = [np.bincount(row[row >= 0], minlength=1).max() / len(row) for row in reading.shape]
    return {
        "one": float((reading.objects == 1).mean()),
        "outline": float(reading.outline.mean()),
        "shape_held": float(np.mean(held)),
        "colour": float(np.nanstd(reading.colour, axis=1).mean(axis=-1)[(reading.objects > 0).any(axis=1)].mean()),
        "category": float((path_categories(reading.centre, clips.shape[2]) == categories).mean()),
    }


def path_scores(reading: Reading) -> dict[str, float]:
    """The measures of `PATHS`: means over clips in which every frame shows an object, NaN without any."""
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
    """Index into CATEGORIES of each path (N, T, 2), -1 for one that hardly moves."""
    seen = np.isfinite(centres)
    extent = np.where(seen, centres, -np.inf).max(axis=1) - np.where(seen, centres, np.inf).min(axis=1)  # (N, 2)
    wide, high = extent[:, 0], extent[:, 1]
    kind = np.select([high < _STRAIGHT * wide, wide < _STRAIGHT * high], [0, 1], 2)
    assert CATEGORIES == ("across", "down", "circle")
    return np.where(extent.max(axis=1) > _STILL * size, kind, -1)
