"""How a stored picture has to be turned and mirrored to be shown, as the file's display matrix asks."""

import struct
from typing import Any, Final, NamedTuple

import numpy as np
from av.video.frame import VideoFrame

__all__ = ["UPRIGHT", "Orientation", "orientation_of"]


class Orientation(NamedTuple):
    """How the stored picture has to be laid out to be shown: transposed first, then mirrored."""

    transpose: bool
    mirror_x: bool
    mirror_y: bool

    @property
    def mirrored(self) -> bool:
        """Whether the picture is mirrored left to right after it was turned by `rotation`."""
        return self.transpose == (self.mirror_x == self.mirror_y)

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise. A mirror from left to right leaves rows alone, so `mirror_y` tells the turn."""
        return (90 if self.mirror_y else 270) if self.transpose else (180 if self.mirror_y else 0)

    def turn(self, picture: np.ndarray) -> np.ndarray:
        """(h, w, 3) as stored -> (H, W, 3) as shown."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)  # (w, h, 3)
        return np.ascontiguousarray(picture[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a stored picture as shown, or the other way round: both are the same swap."""
        return (width, height) if self.transpose else (height, width)

    def stored_box(self, box: tuple[int, int, int, int], height: int, width: int) -> tuple[int, int, int, int]:
        """A box (left, top, right, bottom) of the picture as shown, height x width pixels, in the stored picture."""
        left, top, right, bottom = box
        if self.mirror_x:
            left, right = width - right, width - left
        if self.mirror_y:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.transpose else (left, top, right, bottom)


UPRIGHT: Final = Orientation(False, False, False)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix [a b u; c d v; x y w]: a stored point (p, q) is shown at (a p + c q, b p + d q).

    Angles other than quarter turns are taken to the nearest one.
    """
    side_data: Any = frame.side_data  # a mapping from names to buffers; PyAV's annotation says otherwise
    try:
        matrix = bytes(side_data["DISPLAYMATRIX"])
    except KeyError:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)
