"""The options of `prepare`, checked together before anything is read."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from vidgan.data.grouping import compile_pattern
from vidgan.data.names import DataError
from vidgan.data.sources import LAYOUTS
from vidgan.video.optical_flow import METHODS, default_method
from vidgan.video.resize import Fit, check_fit, check_size

_PIXEL_OPTIONS: Final = ("size", "fit", "fps", "flow", "layout", "strip_frame", "min_frames")


@dataclass(frozen=True)
class Options:
    """The options of `vidgan.data.prepare.prepare` that decide what a data set holds; described there."""

    size: tuple[int, int]
    fit: Fit
    fps: float | None
    flow: str | None
    categories: bool
    group_by: str | None
    layout: str
    strip_frame: tuple[int, int] | None
    holdout: float
    test_pattern: str | None
    seed: int
    min_frames: int

    def checked(self) -> "Options":
        """The options with ``flow="auto"`` resolved. Raises DataError for a value that is not accepted."""
        try:
            check_size(self.size)
            check_fit(self.fit)
        except ValueError as error:
            raise DataError(str(error)) from error
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise DataError(f"fps is {self.fps}; accepted: a number above 0, or None to keep every frame")
        if self.layout not in LAYOUTS:
            raise DataError(f"layout is {self.layout!r}; accepted: {', '.join(LAYOUTS)}")
        if self.strip_frame is not None and (len(self.strip_frame) != 2 or min(self.strip_frame) < 1):
            raise DataError(f"strip_frame is {self.strip_frame}; accepted: (H, W) of one frame in pixels")
        if self.strip_frame is not None and self.layout in ("frames", "videos"):
            raise DataError(f"strip_frame has no effect with layout={self.layout!r}; leave one of them out")
        if not 0 <= self.holdout < 1:
            raise DataError(f"holdout is {self.holdout}; accepted: from 0 to below 1, the share of clips to test on")
        if self.min_frames < 1:
            raise DataError(f"min_frames is {self.min_frames}; accepted: 1 or more")
        if self.test_pattern is not None:
            compile_pattern("test_pattern", self.test_pattern)
        return replace(self, flow=_flow_method(self.flow), fps=None if self.fps is None else float(self.fps))

    def as_json(self) -> dict[str, Any]:
        """All options, as they read back from JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def pixels(self) -> dict[str, Any]:
        """The options that change what is stored for a file, as they read back from JSON."""
        return {name: value for name, value in self.as_json().items() if name in _PIXEL_OPTIONS}


def _flow_method(flow: str | None) -> str | None:
    if flow == "auto":
        return default_method()
    if flow is not None and flow not in METHODS:
        raise DataError(f"flow is {flow!r}; accepted: auto, {', '.join(METHODS)}, or None for no flow")
    if flow == "dis" and default_method() != "dis":
        raise DataError("flow 'dis' needs OpenCV: pip install 'vidgan[flow]', or choose 'tvl1'")
    return flow
