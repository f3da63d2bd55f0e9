"""From a decoded frame to RGB pixels of the wanted size, scaled inside FFmpeg.

Scaling the stored planes and converting the small result is several times faster than converting every pixel to RGB
first, and nearer to the exact average: nothing is rounded in between. Chroma is interpolated to every pixel, and the
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

# Catmull-Rom cubic, as Pillow's; FFmpeg's own default is sharper.
_FLAGS: Final = {
    "area": "flags=area",
    "bilinear": "flags=bilinear",
    "bicubic": "param0=0:param1=0.5:flags=bicubic",
    "lanczos": "flags=lanczos",
}
_EXACT: Final = "accurate_rnd+full_chroma_int+bitexact"
_ANY_CLOCK: Final = Fraction(1, 1000)  # a filter wants one, though nothing here looks at times


class FrameConverter:
    """Turns frames into (H, W, 3) uint8 RGB as shown; keeps FFmpeg's conversion tables from frame to frame.

    Args:
        size: (H, W) of the result in pixels; None keeps the size as shown.
        fit: see `vidgan.video.resize.Fit`.
        resample: see `vidgan.video.resize.Resample`.

    Raises:
        ValueError: an argument is not valid.
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
        """(H, W, 3) uint8. Raises what PyAV raises where the pixel format cannot be converted."""
        if self.size is None or orientation.size(frame.height, frame.width) == self.size:
            # One thread: on small frames automatic threads take twice as long.
            return orientation.turn(self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray())
        key = (frame.height, frame.width, frame.format.name, frame.colorspace, frame.color_range, orientation)
        if self._graph is None or key != self._graph_key:
            self._graph, self._graph_key = self._build(frame, orientation), key
        try:
            self._graph.push(frame)
            small = self._graph.pull()
        except Exception:
            self._graph = None  # it may hold a frame that nobody will fetch
            raise
        assert isinstance(small, VideoFrame)
        picture = orientation.turn(small.to_ndarray())  # (H', W', 3)
        row, column = self._offset
        return np.ascontiguousarray(picture[row : row + self.size[0], column : column + self.size[1]])  # (H, W, 3)

    def _build(self, frame: VideoFrame, orientation: Orientation) -> av.filter.Graph:
        """crop -> scale -> rgb24, in the stored orientation: turning the small result is cheaper."""
        assert self.size is not None
        shown = orientation.size(frame.height, frame.width)
        placement = place(*shown, self.size, self.fit)
        self._offset = placement.offset
        left, top, right, bottom = orientation.stored_box(placement.box, *shown)
        height, width = orientation.size(*placement.scaled)
        flags = f"{_FLAGS[effective_resample(placement, self.resample)]}+{_EXACT}"
        graph = av.filter.Graph()
        graph.threads = 1
        steps = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or _ANY_CLOCK
            ),
            # Exact: at odd offsets FFmpeg would otherwise move the box to where the chroma samples lie.
            graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1"),
            graph.add("scale", f"{width}:{height}:{flags}"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        for before, after in pairwise(steps):
            before.link_to(after)
        graph.configure()
        return graph
