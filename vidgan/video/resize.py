"""Bringing frames to one size: centre crop or squash, box filter when shrinking, bicubic when enlarging."""

from typing import Literal, get_args

import numpy as np
from PIL import Image

__all__ = ["FITS", "Fit", "centre_crop_box", "check_fit", "check_size", "fit_image", "resize_frames"]

Fit = Literal["crop", "squash"]
"""`crop` keeps the aspect ratio and cuts what sticks out, evenly on both sides; `squash` keeps the whole picture."""

FITS: tuple[str, ...] = get_args(Fit)

_LARGEST_SIDE = 8192


def resize_frames(frames: np.ndarray, size: tuple[int, int], fit: Fit = "crop") -> np.ndarray:
    """Resize every frame.

    Args:
        frames: (T, h, w, 3) uint8 RGB.
        size: (H, W) in pixels.
        fit: see `Fit`.

    Returns:
        (T, H, W, 3) uint8; `frames` itself where it has that size already.

    Raises:
        ValueError: the frames are not (T, h, w, 3) uint8, or size or fit is not valid.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    check_size(size)
    check_fit(fit)
    if frames.shape[1:3] == tuple(size):
        return frames
    resized = np.empty((len(frames), *size, 3), np.uint8)  # (T, H, W, 3)
    for target, frame in zip(resized, frames, strict=True):
        target[...] = fit_image(frame, size, fit)
    return resized


def fit_image(image: np.ndarray, size: tuple[int, int], fit: Fit = "crop") -> np.ndarray:
    """Resize one picture (h, w, 3) uint8 to (H, W, 3); see `resize_frames`.

    The box filter averages exactly the pixels that a target pixel covers, as the protocols of the field do when they
    shrink video; bicubic is taken as soon as one side has to grow.
    """
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    check_size(size)
    check_fit(fit)
    height, width = size
    if fit == "crop":
        left, top, right, bottom = centre_crop_box(image.shape[0], image.shape[1], size)
        image = image[top:bottom, left:right]  # (h', w', 3)
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    filter_ = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), filter_))  # (H, W, 3)


def centre_crop_box(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centred box of the aspect ratio of `size` (H, W), as (left, top, right, bottom), whole pixels."""
    crop_height = min(height, max(1, round(width * size[0] / size[1])))
    crop_width = min(width, max(1, round(height * size[1] / size[0])))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def check_size(size: tuple[int, int]) -> None:
    """ValueError unless `size` is two whole numbers (H, W) of 1 to 8192 pixels."""
    valid = len(size) == 2 and all(isinstance(side, int) and 1 <= side <= _LARGEST_SIDE for side in size)
    if not valid:
        raise ValueError(f"size must be (height, width) in whole pixels from 1 to {_LARGEST_SIDE}, got {size}")


def check_fit(fit: str) -> None:
    """ValueError unless `fit` is one of `FITS`."""
    if fit not in FITS:
        raise ValueError(f"fit must be one of {', '.join(FITS)}, got {fit!r}")
