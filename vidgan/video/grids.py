"""Laying clips out as pictures: contact sheets and animated grids.

Tensors are channel-first and arrays channel-last, here as in all of `vidgan.video`; what comes out is of the kind that
went in.
"""

import math
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["channel_last", "contact_sheet", "tile"]

_BACKGROUND: Final = 40  # dark grey: sets off black frames and white ones
_GAP: Final = 2

_LAYOUTS: Final = {
    3: "(3, H, W) tensor or (H, W, 3) array",
    4: "(T, 3, H, W) tensor or (T, H, W, 3) array",
    5: "(B, T, 3, H, W) tensor or (B, T, H, W, 3) array",
}


@overload
def contact_sheet(clips: np.ndarray, columns: int | None = ..., frames: int = ..., pad: int = ...) -> np.ndarray: ...
@overload
def contact_sheet(clips: "Tensor", columns: int | None = ..., frames: int = ..., pad: int = ...) -> "Tensor": ...
def contact_sheet(clips: Any, columns: int | None = None, frames: int = 8, pad: int = _GAP) -> Any:
    """One picture of many clips: each clip a strip of frames from left to right, evenly chosen from first to last.

    Args:
        clips: (B, T, 3, H, W) uint8 tensor, or (B, T, H, W, 3) uint8 array.
        columns: clips side by side; None puts one clip in a row.
        frames: frames shown of each clip; all of them where a clip has fewer.
        pad: dark grey pixels between frames and round the sheet. Clips side by side are twice as far apart.

    Returns:
        (3, H', W') uint8 tensor, or (H', W', 3) uint8 array.

    Raises:
        ValueError: the clips have another shape or type, or a number is out of range.
    """
    batch = channel_last(clips, dims=5)  # (B, T, H, W, 3)
    columns = 1 if columns is None else columns
    _check_layout(columns=columns, frames=frames, pad=pad)
    length = batch.shape[1]
    shown = np.linspace(0, length - 1, min(frames, length)).round().astype(int)
    strips = batch[:, shown]  # (B, S, H, W, 3)
    columns = min(columns, len(strips))
    sheet = _grid(strips, columns=columns, pad=pad)  # (H', W', 3)
    return _like(sheet, clips)


@overload
def tile(clips: np.ndarray, columns: int | None = ..., pad: int = ...) -> np.ndarray: ...
@overload
def tile(clips: "Tensor", columns: int | None = ..., pad: int = ...) -> "Tensor": ...
def tile(clips: Any, columns: int | None = None, pad: int = _GAP) -> Any:
    """Many clips playing at once, in a grid filled row by row.

    Args:
        clips: (B, T, 3, H, W) uint8 tensor, or (B, T, H, W, 3) uint8 array.
        columns: clips in a row; None makes the grid as square as it gets.
        pad: dark grey pixels between clips and round the grid.

    Returns:
        (T, 3, H', W') uint8 tensor, or (T, H', W', 3) uint8 array.

    Raises:
        ValueError: the clips have another shape or type, or a number is out of range.
    """
    batch = channel_last(clips, dims=5)  # (B, T, H, W, 3)
    columns = math.ceil(math.sqrt(len(batch))) if columns is None else columns
    _check_layout(columns=columns, frames=1, pad=pad)
    columns = min(columns, len(batch))
    # One grid for each moment, of clips that show one frame each.
    grids = [_grid(batch[:, t : t + 1], columns=columns, pad=pad) for t in range(batch.shape[1])]
    return _like(np.stack(grids), clips)  # (T, H', W', 3)


def channel_last(pixels: Any, *, dims: int) -> np.ndarray:
    """A uint8 tensor (..., 3, H, W) or array (..., H, W, 3) of `dims` dimensions as an array (..., H, W, 3).

    Raises ValueError for any other shape or type, and where a dimension is empty.
    """
    is_array = isinstance(pixels, np.ndarray)
    array = pixels if is_array else np.asarray(pixels.detach().cpu())
    channels = -1 if is_array else -3
    if array.ndim != dims or array.shape[channels] != 3 or array.dtype != np.uint8 or array.size == 0:
        kind = "array" if is_array else "tensor"
        raise ValueError(f"takes a uint8 {_LAYOUTS[dims]}, got a {tuple(array.shape)} {kind} of {array.dtype}")
    return array if is_array else np.moveaxis(array, -3, -1)


def _grid(strips: np.ndarray, *, columns: int, pad: int) -> np.ndarray:
    """(B, S, H, W, 3) -> (H', W', 3): strips of S frames, `columns` strips in a row."""
    count, length, height, width, _ = strips.shape
    rows = math.ceil(count / columns)
    strip = length * (width + pad) + pad  # with its own gap on either side
    sheet = np.full((rows * (height + pad) + pad, columns * strip, 3), _BACKGROUND, np.uint8)
    if length == 1:  # single frames share the gap between them
        strip = width + pad
        sheet = sheet[:, : columns * strip + pad]
    for index, frames in enumerate(strips):
        top = (index // columns) * (height + pad) + pad
        for step, frame in enumerate(frames):
            left = (index % columns) * strip + step * (width + pad) + pad
            sheet[top : top + height, left : left + width] = frame
    return sheet


def _check_layout(*, columns: int, frames: int, pad: int) -> None:
    for name, value, least in (("columns", columns, 1), ("frames", frames, 1), ("pad", pad, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def _like(pictures: np.ndarray, source: Any) -> Any:
    """Channel-last pictures as the kind of `source`."""
    if isinstance(source, np.ndarray):
        return pictures
    import torch  # here only, so that reading videos does not wait for torch; whoever holds a tensor has it loaded

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures, -1, -3)))
