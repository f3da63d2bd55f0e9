"""Converting decoded frames to RGB of a given size inside FFmpeg.

Scaling the stored planes and converting the small result to RGB is several times faster than converting first, and
closer to the exact average, because nothing is rounded in between. Chroma is interpolated to full resolution, and the
arithmetic is the same on every processor (``bitexact``).

Frames without a colour tag are read as players do: as BT.709 from 720 lines up, as BT.601 below.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import av.filter
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter

from vidgan.video.orientation import Orientation
from vidgan.video.resize import Fit, Resample, check_fit, check_resample, check_size, effective_resample, place

__all__ = ["FrameConverter"]

# Catmull-Rom cubic, as in Pillow; FFmpeg's default is sharper.
_FLAGS: Final = {
    "area": "flags=area",
    "bilinear": "flags=bilinear",
    "bicubic": "param0=0:param1=0.5:flags=bicubic",
    "lanczos": "flags=lanczos",
    "nearest": "flags=neighbor",
}
_EXACT: Final = "accurate_rnd+full_chroma_int+bitexact"
_TIME_BASE: Final = Fraction(1, 1000)  # required by the filter graph; times are not used


HD_LINES: Final = 720
"""Shorter side, in pixels, from which frames without a colour tag are BT.709."""

_UNSPECIFIED: Final = 2  # of FFmpeg's colour spaces


def is_untagged_hd(frame: VideoFrame) -> bool:
    """Whether the colours of a frame are assumed to be BT.709, because it is large and its file does not say."""
    is_yuv = not (frame.format.is_rgb or frame.format.has_palette or len(frame.format.components) < 3)
    return is_yuv and int(frame.colorspace) == _UNSPECIFIED and min(frame.height, frame.width) >= HD_LINES


class FrameConverter:
    """Converts frames to displayed orientation, as (H, W, 3) uint8 RGB. Reuses FFmpeg's tables between frames.

    Args:
        size: (H, W) of the result in pixels; None keeps the displayed size.
        fit: see `vidgan.video.resize.Fit`.
        resample: see `vidgan.video.resize.Resample`.

    Raises:
        ValueError: an argument is invalid.
    """

    def __init__(self, size: tuple[int, int] | None, fit: Fit, resample: Resample) -> None:
        if size is not None:
            check_size(size)
        check_fit(fit)
        check_resample(resample)
        self.size, self.fit, self.resample = size, fit, resample
        self._reformatter = VideoReformatter()
        self._graph: av.filter.Graph | None = None
        self._graph_key: tuple[object, ...] = ()
        self._offset = (0, 0)

    def __call__(self, frame: VideoFrame, orientation: Orientation) -> np.ndarray:
        """Returns (H, W, 3) uint8. PyAV's exceptions pass through if the pixel format cannot be converted."""
        if self.size is None or orientation.size(frame.height, frame.width) == self.size:
            # Automatic threading takes twice as long on small frames.
            matrix: dict[str, Any] = {"src_colorspace": Colorspace.ITU709} if is_untagged_hd(frame) else {}
            rgb = self._reformatter.reformat(frame, format="rgb24", threads=1, **matrix)
            return orientation.turn(rgb.to_ndarray())
        key = (frame.height, frame.width, frame.format.name, frame.colorspace, frame.color_range, orientation)
        if self._graph is None or key != self._graph_key:
            self._graph, self._graph_key = self._build(frame, orientation), key
        try:
            self._graph.push(frame)
            small = self._graph.pull()
        except Exception:
            self._graph = None  # it may still hold a frame
            raise
        assert isinstance(small, VideoFrame)
        scaled = orientation.turn(small.to_ndarray())  # (H', W', 3)
        row, column = self._offset
        return np.ascontiguousarray(scaled[row : row + self.size[0], column : column + self.size[1]])  # (H, W, 3)

    def _build(self, frame: VideoFrame, orientation: Orientation) -> av.filter.Graph:
        """crop -> scale -> rgb24, before rotation: rotating the small result is cheaper."""
        assert self.size is not None
        displayed = orientation.size(frame.height, frame.width)
        placement = place(*displayed, self.size, self.fit)
        self._offset = placement.offset
        left, top, right, bottom = orientation.stored_box(placement.box, *displayed)
        height, width = orientation.size(*placement.scaled)
        flags = f"{_FLAGS[effective_resample(placement, self.resample)]}+{_EXACT}"
        matrix = ":in_color_matrix=bt709" if is_untagged_hd(frame) else ""
        graph = av.filter.Graph()
        graph.threads = 1
        steps = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or _TIME_BASE,
            ),
            # Without exact=1, FFmpeg rounds odd offsets to the chroma grid.
            graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1"),
            graph.add("scale", f"{width}:{height}:{flags}{matrix}"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        for before, after in pairwise(steps):
            before.link_to(after)
        graph.configure()
        return graph
