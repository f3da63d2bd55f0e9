"""Resizing frames: which part of the frame is used, what it is scaled to, and with which filter."""

from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from PIL import Image

__all__ = [
    "FITS",
    "RESAMPLES",
    "Fit",
    "Placement",
    "Resample",
    "centre_crop_box",
    "check_fit",
    "check_resample",
    "check_size",
    "effective_resample",
    "fit_image",
    "place",
    "resize_frames",
]

Fit = Literal["crop", "squash", "cover"]
"""How a frame is fitted to another aspect ratio.

- `crop`: crop the centre to the aspect ratio, in whole pixels, then scale
- `squash`: scale the whole frame, changing its aspect ratio
- `cover`: scale until the frame covers the size, the longer side rounded to whole pixels, then crop W columns from
  int((w - W) / 2) on (rows likewise), as PredNet prepares KITTI
"""

FITS: tuple[str, ...] = get_args(Fit)

Resample = Literal["area", "bilinear", "bicubic", "lanczos", "nearest"]
"""Scaling filter. `area` averages the pixels that a target pixel covers, as published protocols do, and is replaced by
bicubic if a side grows. The support of the other filters grows with the reduction, so that none of them aliases, but
for `nearest`, which takes single pixels: for label maps, whose values must not be mixed."""

RESAMPLES: tuple[str, ...] = get_args(Resample)

_LARGEST_SIDE = 8192
_PIL_FILTERS: Final = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


class Placement(NamedTuple):
    """Steps of resizing: crop `box`, scale it to `scaled`, crop the result from `offset` on."""

    box: tuple[int, int, int, int]  # left, top, right, bottom in the frame
    scaled: tuple[int, int]  # height, width
    offset: tuple[int, int]  # row, column in the scaled box


def place(height: int, width: int, size: tuple[int, int], fit: str) -> Placement:
    """Placement of a frame of height x width pixels in a result of `size` (H, W)."""
    whole = (0, 0, width, height)
    if fit == "crop":
        return Placement(centre_crop_box(height, width, size), size, (0, 0))
    if fit == "squash":
        return Placement(whole, size, (0, 0))
    # The relatively shorter side is scaled exactly. Rounding must not make the other one too short.
    if size[0] * width >= size[1] * height:
        scaled = (size[0], max(size[1], round(width * size[0] / height)))
    else:
        scaled = (max(size[0], round(height * size[1] / width)), size[1])
    return Placement(whole, scaled, ((scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2))


def effective_resample(placement: Placement, resample: str) -> str:
    """The filter to use: `area` is replaced by bicubic if a side grows."""
    left, top, right, bottom = placement.box
    grows = placement.scaled[0] > bottom - top or placement.scaled[1] > right - left
    return "bicubic" if resample == "area" and grows else resample


def resize_frames(
    frames: np.ndarray, size: tuple[int, int], fit: Fit = "crop", *, resample: Resample = "area"
) -> np.ndarray:
    """Resize every frame.

    Args:
        frames: (T, h, w, 3) uint8 RGB.
        size: (H, W) in pixels.
        fit: see `Fit`.
        resample: see `Resample`.

    Returns:
        (T, H, W, 3) uint8; `frames` itself if it already has that size.

    Raises:
        ValueError: the frames are not (T, h, w, 3) uint8, or size, fit or resample is invalid.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    check_size(size)
    check_fit(fit)
    check_resample(resample)
    if frames.shape[1:3] == tuple(size):
        return frames
    resized = np.empty((len(frames), *size, 3), np.uint8)  # (T, H, W, 3)
    for target, frame in zip(resized, frames, strict=True):
        target[...] = fit_image(frame, size, fit, resample=resample)
    return resized


def fit_image(
    image: np.ndarray, size: tuple[int, int], fit: Fit = "crop", *, resample: Resample = "area"
) -> np.ndarray:
    """Resize an image (h, w, 3) uint8 to (H, W, 3); see `resize_frames`."""
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    check_size(size)
    check_fit(fit)
    check_resample(resample)
    placement = place(image.shape[0], image.shape[1], size, fit)
    left, top, right, bottom = placement.box
    image = np.ascontiguousarray(image[top:bottom, left:right])  # (h', w', 3)
    if image.shape[:2] != placement.scaled:
        filter_ = _PIL_FILTERS[effective_resample(placement, resample)]
        image = np.asarray(Image.fromarray(image).resize(placement.scaled[::-1], filter_))
    row, column = placement.offset
    return np.ascontiguousarray(image[row : row + size[0], column : column + size[1]])  # (H, W, 3)


def centre_crop_box(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Largest centred box with the aspect ratio of `size` (H, W): (left, top, right, bottom) in whole pixels."""
    crop_height = min(height, max(1, round(width * size[0] / size[1])))
    crop_width = min(width, max(1, round(height * size[1] / size[0])))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def check_size(size: tuple[int, int]) -> None:
    """Raise ValueError unless `size` is a pair of integers (H, W) from 1 to 8192."""
    valid = len(size) == 2 and all(isinstance(side, int) and 1 <= side <= _LARGEST_SIDE for side in size)
    if not valid:
        raise ValueError(f"size must be (height, width), integers from 1 to {_LARGEST_SIDE}, got {size}")


def check_fit(fit: str) -> None:
    """Raise ValueError unless `fit` is one of `FITS`."""
    if fit not in FITS:
        raise ValueError(f"fit must be one of {', '.join(FITS)}, got {fit!r}")


def check_resample(resample: str) -> None:
    """Raise ValueError unless `resample` is one of `RESAMPLES`."""
    if resample not in RESAMPLES:
        raise ValueError(f"resample must be one of {', '.join(RESAMPLES)}, got {resample!r}")
