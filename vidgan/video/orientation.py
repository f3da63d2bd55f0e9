"""Rotation and mirroring of stored frames for display, from the display matrix of the file."""

import struct
from typing import Any, Final, NamedTuple

import numpy as np
from av.video.frame import VideoFrame

__all__ = ["UPRIGHT", "Orientation", "orientation_of"]


class Orientation(NamedTuple):
    """Transformation from the stored to the displayed frame: transpose first, then mirror."""

    transpose: bool
    mirror_x: bool
    mirror_y: bool

    @property
    def mirrored(self) -> bool:
        """Whether the frame is mirrored left to right in addition to `rotation`."""
        return self.transpose == (self.mirror_x == self.mirror_y)

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise. Mirroring left to right keeps rows, so `mirror_y` determines the rotation."""
        return (90 if self.mirror_y else 270) if self.transpose else (180 if self.mirror_y else 0)

    def turn(self, frame: np.ndarray) -> np.ndarray:
        """Stored frame (h, w, 3) -> displayed frame (H, W, 3)."""
        if self.transpose:
            frame = frame.swapaxes(0, 1)  # (w, h, 3)
        return np.ascontiguousarray(frame[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Displayed (height, width) for a stored frame, or the reverse: both swap the sides, or neither does."""
        return (width, height) if self.transpose else (height, width)

    def stored_box(self, box: tuple[int, int, int, int], height: int, width: int) -> tuple[int, int, int, int]:
        """Map a box (left, top, right, bottom) from the displayed frame of height x width pixels to the stored one."""
        left, top, right, bottom = box
        if self.mirror_x:
            left, right = width - right, width - left
        if self.mirror_y:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.transpose else (left, top, right, bottom)


UPRIGHT: Final = Orientation(False, False, False)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix [a b u; c d v; x y w], which maps a stored point (p, q) to (a p + c q, b p + d q).

    Angles are rounded to multiples of 90 degrees.
    """
    side_data: Any = frame.side_data  # a mapping from names to buffers, contrary to PyAV's annotation
    try:
        matrix = bytes(side_data["DISPLAYMATRIX"])
    except KeyError:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)
