"""The options of `prepare`, checked together before anything is read."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from vidgan.data.layouts.discovery import check_layout
from vidgan.data.preparing.grouping import compile_pattern
from vidgan.data.store.index import STORES
from vidgan.errors import DataError
from vidgan.files import file_hash
from vidgan.video.optical_flow import METHODS, default_method
from vidgan.video.resize import Fit, Resample, check_fit, check_resample, check_size
from vidgan.video.transnet import load_transnet

Cuts = Literal["auto", "off", "transnet"]
Flow = Literal["auto", "dis", "tvl1"]
Store = Literal["frames", "video", "shards"]
CUTS: Final = get_args(Cuts)
HOLDOUT: Final = 0.1
"""Default fraction of the clips in the test split, where neither the user nor the source defines the split."""

# Options that change the pixels, lengths or starts of clips; the others only arrange finished clips.
_PIXEL_OPTIONS: Final = (
    *("size", "fit", "resample", "fps", "every", "flow", "layout", "strip_frame", "min_frames"),
    *("cuts", "cut_threshold", "cut_weights", "drop_still", "drop_black", "store"),
)


@dataclass(frozen=True)
class Options:
    """The options of `vidgan.data.preparing.prepare.prepare` that determine a data set; described there."""

    size: tuple[int, int]
    fit: Fit
    resample: Resample
    fps: float | None
    every: int
    cuts: Cuts
    cut_threshold: float | None
    cut_weights: str | None  # a path; after checking, the SHA-256 of the file
    drop_still: bool
    drop_black: bool
    flow: Flow | None
    store: Store
    shard_mb: int | None
    protocol: str | None
    categories: bool
    group_by: str | None
    layout: str
    strip_frame: tuple[int, int] | None
    holdout: float | None
    test_pattern: str | None
    seed: int
    min_frames: int
    follow_links: bool = False

    def checked(self) -> "Options":
        """The options with ``flow="auto"`` and `cut_weights` resolved. Raises DataError for invalid values."""
        try:
            check_size(self.size)
            check_fit(self.fit)
            check_resample(self.resample)
        except ValueError as error:
            raise DataError(str(error)) from error
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise DataError(f"fps is {self.fps}; accepted: a number above 0, or None to keep every frame")
        if self.every < 1:
            raise DataError(f"every is {self.every}; accepted: 1 or more")
        check_layout(self.layout)
        if self.strip_frame is not None and (len(self.strip_frame) != 2 or min(self.strip_frame) < 1):
            raise DataError(f"strip_frame is {self.strip_frame}; accepted: (H, W) of one frame in pixels")
        if self.strip_frame is not None and self.layout in ("frames", "videos"):
            raise DataError(f"strip_frame has no effect with layout={self.layout!r}; remove one of them")
        if self.min_frames < 1:
            raise DataError(f"min_frames is {self.min_frames}; accepted: 1 or more")
        self._check_split()
        self._check_store()
        return replace(
            self,
            flow=_flow_method(self.flow),
            fps=None if self.fps is None else float(self.fps),
            cut_weights=self._checked_cuts(),
        )

    def checked_again(self) -> "Options":
        """Options read from a file, whose detector weights are already a digest. Raises DataError or TypeError."""
        replace(
            self, cuts="off" if self.cuts == "transnet" else self.cuts, cut_weights=None, cut_threshold=None
        ).checked()
        return self

    def as_json(self) -> dict[str, Any]:
        """All options as JSON values."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        if not self.follow_links:  # younger than data sets on disk, whose settings are compared with these
            del values["follow_links"]
        return values

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "Options":
        """Checked options from the result of `as_json`."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        return Options(**values)

    def pixels(self) -> dict[str, Any]:
        """The options that affect the stored clips, as JSON values."""
        return {name: value for name, value in self.as_json().items() if name in _PIXEL_OPTIONS}

    def _check_split(self) -> None:
        if self.holdout is not None and not 0 <= self.holdout < 1:
            raise DataError(
                f"holdout is {self.holdout}; accepted: 0 to below 1, the fraction of clips in the test split"
            )
        if self.test_pattern is not None:
            compile_pattern("test_pattern", self.test_pattern)
            if self.holdout is not None:
                raise DataError(f"holdout={self.holdout:g} has no effect with test_pattern; remove one of them")

    def _check_store(self) -> None:
        if self.store not in STORES:
            raise DataError(f"store is {self.store!r}; accepted: {', '.join(STORES)}")
        if self.store == "video" and self.flow is not None:
            raise DataError("flow is not supported by store='video', which stores no pixels; use frames or shards")
        if self.shard_mb is not None and self.store != "shards":
            raise DataError(f"shard_mb={self.shard_mb} has no effect with store={self.store!r}; use store='shards'")
        if self.shard_mb is not None and self.shard_mb < 1:
            raise DataError(f"shard_mb is {self.shard_mb}; accepted: 1 or more")

    def _checked_cuts(self) -> str | None:
        """The SHA-256 of the detector's weights, if any."""
        if self.cuts not in CUTS:
            raise DataError(f"cuts is {self.cuts!r}; accepted: {', '.join(CUTS)}")
        if self.cut_threshold is not None and self.cuts == "off":
            raise DataError("cut_threshold has no effect with cuts='off'; remove one of them")
        low, high = (0.0, 1.0) if self.cuts == "transnet" else (1.0, math.inf)
        if self.cut_threshold is not None and not low < self.cut_threshold < high:
            accepted = "between 0 and 1, a probability" if self.cuts == "transnet" else "above 1"
            raise DataError(f"cut_threshold is {self.cut_threshold}; accepted with cuts={self.cuts!r}: {accepted}")
        if (self.cuts == "transnet") != (self.cut_weights is not None):
            raise DataError(
                "cuts='transnet' and cut_weights require each other; cut_weights is the path of TransNetV2's weights"
            )
        if self.cut_weights is None:
            return None
        try:
            load_transnet(Path(self.cut_weights))
            return file_hash(Path(self.cut_weights))
        except (ValueError, OSError) as error:
            raise DataError(f"cut_weights {self.cut_weights}: {error}") from error


def _flow_method(flow: Flow | None) -> Flow | None:
    if flow == "auto":
        return cast(Flow, default_method())
    if flow is not None and flow not in METHODS:
        raise DataError(f"flow is {flow!r}; accepted: auto, {', '.join(METHODS)}, None")
    if flow == "dis" and default_method() != "dis":
        raise DataError("flow is 'dis', which needs OpenCV: pip install 'vidgan[flow]', or use 'tvl1'")
    return flow
