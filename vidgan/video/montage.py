"""Arranging several clips in one image (contact sheet) or one clip (tiles).

As everywhere in `vidgan.video`, tensors are channel-first and arrays channel-last. A tensor gives a tensor, an array
gives an array.
"""

import math
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["channel_last", "contact_sheet", "sheet_frames", "tile", "untile"]

_BACKGROUND: Final = 40  # dark grey: visible next to both black and white frames
_GAP: Final = 2  # pixels

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
    """One image of many clips, each a strip of evenly spaced frames that starts with its first and ends with its last.

    Args:
        clips: (B, T, 3, H, W) uint8 tensor, or (B, T, H, W, 3) uint8 array.
        columns: clips side by side; None means 1.
        frames: number of frames of each clip; shorter clips show all of theirs.
        pad: width in pixels of the dark grey gap between frames and around the sheet; doubled between clips side by
            side.

    Returns:
        (3, H', W') uint8 tensor, or (H', W', 3) uint8 array.

    Raises:
        ValueError: wrong shape or dtype, or a number out of range.
    """
    batch = channel_last(clips, dims=5)  # (B, T, H, W, 3)
    columns = 1 if columns is None else columns
    _check_layout(columns=columns, frames=frames, pad=pad)
    strips = batch[:, sheet_frames(batch.shape[1], frames)]  # (B, S, H, W, 3)
    columns = min(columns, len(strips))
    sheet = _grid(strips, columns=columns, pad=pad)  # (H', W', 3)
    return _like(sheet, clips)


def sheet_frames(length: int, frames: int = 8) -> list[int]:
    """Indices of the frames of a clip of `length` frames that `contact_sheet` shows."""
    return np.linspace(0, length - 1, min(frames, length)).round().astype(int).tolist()


@overload
def tile(clips: np.ndarray, columns: int | None = ..., pad: int = ...) -> np.ndarray: ...
@overload
def tile(clips: "Tensor", columns: int | None = ..., pad: int = ...) -> "Tensor": ...
def tile(clips: Any, columns: int | None = None, pad: int = _GAP) -> Any:
    """One clip that plays many clips side by side, in a grid filled row by row.

    Args:
        clips: (B, T, 3, H, W) uint8 tensor, or (B, T, H, W, 3) uint8 array.
        columns: clips per row; None makes the grid as square as possible.
        pad: width in pixels of the dark grey gap between clips and around the grid.

    Returns:
        (T, 3, H', W') uint8 tensor, or (T, H', W', 3) uint8 array.

    Raises:
        ValueError: wrong shape or dtype, or a number out of range.
    """
    batch = channel_last(clips, dims=5)  # (B, T, H, W, 3)
    columns = math.ceil(math.sqrt(len(batch))) if columns is None else columns
    _check_layout(columns=columns, frames=1, pad=pad)
    columns = min(columns, len(batch))
    # One grid per time step, made of strips of a single frame.
    grids = [_grid(batch[:, t : t + 1], columns=columns, pad=pad) for t in range(batch.shape[1])]
    return _like(np.stack(grids), clips)  # (T, H', W', 3)


def untile(clip: np.ndarray, rows: int, columns: int, *, scale: int = 1, pad: int = _GAP) -> np.ndarray:
    """The clips of a full grid that `tile` made, which may have been enlarged since.

    Args:
        clip: (T, H', W', 3) uint8.
        rows, columns: of the grid.
        scale: integer magnification of the grid; the clips have their own size again.
        pad: as in `tile`.

    Returns:
        (rows * columns, T, H, W, 3) uint8.

    Raises:
        ValueError: the clip is not of the size of such a grid.
    """
    pixels = clip[:, scale // 2 :: scale, scale // 2 :: scale]
    height, rest_below = divmod(pixels.shape[1] - pad, rows)
    width, rest_right = divmod(pixels.shape[2] - pad, columns)
    if rest_below or rest_right or min(height, width) <= pad or clip.shape[1] % scale or clip.shape[2] % scale:
        size = f"{clip.shape[2]}x{clip.shape[1]}"
        raise ValueError(f"{size} pixels are no grid of {rows} x {columns} clips with gaps of {pad}")
    return np.stack(
        [
            pixels[:, row * height + pad : (row + 1) * height, column * width + pad : (column + 1) * width]
            for row in range(rows)
            for column in range(columns)
        ]
    )


def channel_last(pixels: Any, *, dims: int) -> np.ndarray:
    """Convert a uint8 tensor (..., 3, H, W) or array (..., H, W, 3) with `dims` axes to an array (..., H, W, 3).

    Raises:
        ValueError: another shape or dtype, or an empty axis.
    """
    is_array = isinstance(pixels, np.ndarray)
    array = pixels if is_array else np.asarray(pixels.detach().cpu())
    channels = -1 if is_array else -3
    if array.ndim != dims or array.shape[channels] != 3 or array.dtype != np.uint8 or array.size == 0:
        kind = "array" if is_array else "tensor"
        raise ValueError(f"expected a uint8 {_LAYOUTS[dims]}, got a {tuple(array.shape)} {kind} of {array.dtype}")
    return array if is_array else np.moveaxis(array, -3, -1)


def _grid(strips: np.ndarray, *, columns: int, pad: int) -> np.ndarray:
    """(B, S, H, W, 3) -> (H', W', 3): B strips of S frames, `columns` strips per row."""
    count, length, height, width, _ = strips.shape
    rows = math.ceil(count / columns)
    strip = length * (width + pad) + pad  # including a gap on both sides
    sheet = np.full((rows * (height + pad) + pad, columns * strip, 3), _BACKGROUND, np.uint8)
    if length == 1:  # neighbouring single frames share one gap
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


def _like(images: np.ndarray, source: Any) -> Any:
    """Channel-last images as a tensor where `source` is one."""
    if isinstance(source, np.ndarray):
        return images
    import torch  # imported late: reading videos must not load torch, and a caller with a tensor has loaded it already

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
