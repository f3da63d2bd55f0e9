"""Fields of a protocol: preparation of the data, windows, metrics, and the published tables it compares with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vidgan.metrics.frame import METRICS
from vidgan.seeding import derive_seed

DEFAULT_METRICS = ("mse", "psnr", "ssim", "mae", "sharpness")

# Metrics that need network weights -> network; its weights are given by `--weights lpips-NET=PATH`.
LPIPS: dict[str, Literal["alex", "vgg", "squeeze"]] = {
    "lpips_alex": "alex",
    "lpips_vgg": "vgg",
    "lpips_squeeze": "squeeze",
}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The required options of `vidgan prepare`.

    Attributes:
        layout: layout of the source on disk, as it is downloaded.
        size: (H, W) of the prepared frames; None: any.
        fit, resample: how a frame is scaled to that size.
        every: use frames 0, every, 2*every, ...
        fps: frame rate after temporal resampling; None: as stored.
        categories: whether folder names are recorded as categories (windows or metrics depend on them).
        cuts: whether clips are split at shot changes; benchmarks use their clips unchanged.
    """

    layout: str
    size: tuple[int, int] | None = None
    fit: str = "crop"
    resample: str = "area"
    every: int = 1
    fps: float | None = None
    categories: bool = False
    cuts: str = "off"

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `vidgan.prepare` that the protocol fixes."""
        fixed = asdict(self)
        return {name: fixed[name] for name in fixed if name not in ("size", "fps") or fixed[name] is not None}

    def deviations(self, settings: Mapping[str, Any], size: tuple[int, int]) -> list[str]:
        """Descriptions of the differences between prepared data and this; empty if published numbers are comparable.

        Args:
            settings: the options recorded in the index of the prepared data.
            size: (H, W) of the prepared frames.
        """
        differences = []
        if self.size is not None and size != self.size:
            differences.append(f"frames are {size[0]}x{size[1]}, not {self.size[0]}x{self.size[1]}")
        for name in ("layout", "fit", "resample", "every", "fps", "cuts"):
            value = getattr(self, name)
            stored = settings.get(name, _UNRECORDED.get(name))
            if stored != value:
                differences.append(f"{name} is {stored}, not {value}")
        if self.categories and not settings.get("categories"):
            differences.append("categories were not recorded")
        return differences


# Values of options that older indexes do not record.
_UNRECORDED: dict[str, Any] = {"layout": "auto", "fit": "crop", "resample": "area", "every": 1, "cuts": "off"}


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Selection of windows from a test clip.

    Attributes:
        align: "front" and "end" count windows from that end of the clip; "random" selects one keyed start per clip.
        hop: frames from one window to the next; None: the length of a window, so that windows do not overlap.
        hops: category name -> its own hop.
        first: largest number of windows per clip; None: no limit.
        stride, offset: only frames offset, offset + stride, ... of the clip are used; the other numbers count these.
    """

    align: Literal["front", "end", "random"] = "front"
    hop: int | None = None
    hops: Mapping[str, int] = field(default_factory=dict)
    first: int | None = None
    stride: int = 1
    offset: int = 0

    def starts(self, frames: int, length: int, *, category: str = "", key: str = "", seed: int = 0) -> list[int]:
        """First frames of the windows of `length` in a stored clip of `frames`, ascending; empty if it is too short.

        Args:
            category: of the clip, for `hops`.
            key: identifies the clip, for the random start.
            seed: of the random start.
        """
        last = len(range(self.offset, frames, self.stride)) - length
        if last < 0:
            return []
        hop = self.hops.get(category, self.hop or length)
        starts = list(range(0, last + 1, hop))
        if self.align == "random":
            starts = [derive_seed("window start", seed, key) % (last + 1)]
        elif self.align == "end":
            starts = [last - start for start in reversed(starts)]
        return [self.offset + start * self.stride for start in starts[: self.first]]


@dataclass(frozen=True, kw_only=True)
class ForecastProtocol:
    """How a forecaster is scored.

    Attributes:
        name: value of `--protocol`; results of different names never share a table.
        context: frames given; with `growing`, frame t is forecast from frames 0..t-1, starting at t = context.
        horizon: frames scored.
        metrics: names in `METRICS`, `SEQUENCE_SUMS`, `MASKED` or `LPIPS`; the first is the main one.
        samples: forecasts drawn from a stochastic model; scores are their best, mean and worst.
        grey: score one channel, as published frame sums and SSIM of grey data do.
        cumulative: numbers n: also the mean over the first n forecast frames, as METRIC_firstN.
        preparation: required preparation of the data; None: any.
        windows: selection of windows.
        expected: numbers of test windows in publications or their code.
        data: description of the data set and the windows.
        published: keys of `vidgan.evaluation.published.PUBLISHED` with comparable numbers.
        notes: disagreements in the literature, and limits of the numbers.
    """

    name: str
    context: int
    horizon: int
    metrics: tuple[str, ...] = DEFAULT_METRICS
    samples: int = 1
    grey: bool = False
    growing: bool = False
    cumulative: tuple[int, ...] = ()
    preparation: Preparation | None = None
    windows: Windows = field(default_factory=Windows)
    expected: tuple[int, ...] = ()
    data: str = "the test split, windows that do not overlap, from the front"
    published: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(H, W) of the published numbers."""
        return None if self.preparation is None else self.preparation.size


@dataclass(frozen=True, kw_only=True)
class GenerationProtocol:
    """How sets of clips are compared.

    Attributes:
        name: value of `--protocol`.
        clips: number on each side; on the real side one window per video.
        frames: of a clip.
        needs: names of the required `--weights NAME=PATH`.
        measures: "fvd" (with kernel distance) or "inception_score".
        splits: of the Inception Score.
        preparation, data, published, notes: as in `ForecastProtocol`.
    """

    name: str
    clips: int
    frames: int
    needs: tuple[str, ...]
    measures: tuple[str, ...]
    splits: int = 1
    preparation: Preparation | None = None
    data: str = ""
    published: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(H, W) of the published numbers."""
        return None if self.preparation is None else self.preparation.size


def check_metrics(names: Sequence[str], also: Sequence[str] = ()) -> None:
    """Raise ValueError if there is no metric or an unknown one; `also` are further accepted names."""
    if not names:
        raise ValueError("at least one metric is needed")
    if unknown := [name for name in names if name not in METRICS and name not in also]:
        raise ValueError(f"unknown metrics: {', '.join(unknown)}; accepted are {', '.join([*METRICS, *also])}")
