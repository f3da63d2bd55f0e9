"""Converting decoded frames to RGB of a given size inside FFmpeg.

Scaling the stored planes and converting the small result to RGB is several times faster than converting first, and
closer to the exact average, because nothing is rounded in between. Chroma is interpolated to full resolution, and the
arithmetic is the same on every processor (``bitexact``).
"""

from fractions import Fraction
from itertools import pairwise
from typing import Final

import av.filter
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from vidgan.video.orientation import Orientation
from vidgan.video.resize import Fit, Resample, check_fit, check_resample, check_size, effective_resample, place

__all__ = ["FrameConverter"]

# Catmull-Rom cubic, as in Pillow; FFmpeg's default is sharper.
_FLAGS: Final = {
    "area": "flags=area",
    "bilinear": "flags=bilinear",
    "bicubic": "param0=0:param1=0.5:flags=bicubic",
    "lanczos": "flags=lanczos",
}
_EXACT: Final = "accurate_rnd+full_chroma_int+bitexact"
_TIME_BASE: Final = Fraction(1, 1000)  # required by the filter graph; times are not used


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
            return orientation.turn(self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray())
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
            graph.add("scale", f"{width}:{height}:{flags}"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        for before, after in pairwise(steps):
            before.link_to(after)
        graph.configure()
        return graph
