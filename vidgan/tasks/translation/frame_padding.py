"""Frames of any size for networks that halve them several times."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Padding"]


class Padding:
    """Pads a stream of frames on the right and at the bottom by repeating the border, and crops what comes of them.

    Args:
        multiple: that height and width become multiples of.
    """

    def __init__(self, multiple: int) -> None:
        self.multiple = multiple
        self._size: tuple[int, int] | None = None

    def add(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """(C, h, w) uint8 -> (C, H, W) uint8."""
        for frame in frames:
            height, width = frame.shape[-2:]
            self._size = (height, width)
            missing = (0, -width % self.multiple, 0, -height % self.multiple)
            yield F.pad(frame.float()[None], missing, mode="replicate")[0].to(torch.uint8)

    def remove(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """(C, H, W) -> (C, h, w), the size of the frame added last."""
        for frame in frames:
            assert self._size is not None, "a frame came out before one went in"
            yield frame[:, : self._size[0], : self._size[1]]
