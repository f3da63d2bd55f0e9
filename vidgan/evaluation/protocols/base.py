"""What a protocol fixes: how the data are prepared, which windows are cut, what is measured, what it compares with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vidgan.metrics.frame import METRICS
from vidgan.seeding import derive_seed

DEFAULT_METRICS = ("mse", "psnr", "ssim", "mae", "sharpness")

# Metrics that need network weights, by the name of the weights file that `--weights NAME=PATH` gives.
LPIPS: dict[str, Literal["alex", "vgg", "squeeze"]] = {
    "lpips_alex": "alex",
    "lpips_vgg": "vgg",
    "lpips_squeeze": "squeeze",
}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The options that `vidgan prepare` must have been given, in its own words.

    Attributes:
        layout: how the source lies on disk, as people download it.
        size: (H, W) of the prepared frames, None: any.
        fit, resample: how a frame is brought to that size.
        every: take frames 0, every, 2*every, ...
        fps: frame rate after resampling in time, None: as stored.
        categories: whether folder names are kept as categories (windows or metrics depend on them).
        cuts: whether clips are parted at shot changes; a benchmark takes its clips as they are.
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
        """Keyword arguments for `vidgan.data.preparing.prepare.prepare`; those that the preset leaves open are not among them."""
        fixed = asdict(self)
        return {name: fixed[name] for name in fixed if name not in ("size", "fps") or fixed[name] is not None}

    def deviations(self, settings: Mapping[str, Any], size: tuple[int, int]) -> list[str]:
        """What of prepared data differs from this, in words; empty where a published number may stand beside.

        Args:
            settings: the options recorded in the index of the prepared data.
            size: (H, W) of the prepared frames.
        """
        found = []
        if self.size is not None and size != self.size:
            found.append(f"frames are {size[0]}x{size[1]}, not {self.size[0]}x{self.size[1]}")
        for name in ("layout", "fit", "resample", "every", "fps", "cuts"):
            value = getattr(self, name)
            stored = settings.get(name, _UNRECORDED.get(name))
            if stored != value:
                found.append(f"{name} is {stored}, not {value}")
        if self.categories and not settings.get("categories"):
            found.append("categories were not kept")
        return found


# What an option was before it existed.
_UNRECORDED: dict[str, Any] = {"layout": "auto", "fit": "crop", "resample": "area", "every": 1, "cuts": "off"}


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Which windows are cut from a test clip.

    Attributes:
        align: "front" and "end" count windows from that end of the clip; "random" takes one keyed start a clip.
        hop: frames from one window to the next; None: the window's length, so that none overlap.
        hops: category name -> its own hop.
        first: at most so many windows a clip, None: all.
        stride, offset: frames offset, offset + stride, ... of the clip are its frames; the other numbers count these.
    """

    align: Literal["front", "end", "random"] = "front"
    hop: int | None = None
    hops: Mapping[str, int] = field(default_factory=dict)
    first: int | None = None
    stride: int = 1
    offset: int = 0

    def starts(self, frames: int, length: int, *, category: str = "", key: str = "", seed: int = 0) -> list[int]:
        """Places in a stored clip of `frames` where its windows of `length` begin, ascending; none if it is shorter.

        Args:
            category: of the clip, for `hops`.
            key: what identifies the clip, for the random start.
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
        name: what `--protocol` takes; results of different names never share a table.
        context: frames seen; with `growing`, frame t is forecast from frames 0..t-1, beginning at t = context.
        horizon: frames scored.
        metrics: names in `METRICS`, `SEQUENCE_SUMS`, `MASKED` or `LPIPS`; the first is the main one.
        samples: futures drawn by a stochastic model; scores are the best, mean and worst of them.
        grey: score one channel, as the published frame sums and SSIM of grey data do.
        cumulative: numbers n: also the mean over the first n forecast frames, under a name of its own.
        preparation: how the data must have been prepared, None: any way.
        windows: which windows are cut.
        expected: test windows that publications or their code count.
        data: the data set and the windows, in words.
        published: keys of `vidgan.evaluation.published.PUBLISHED` that this protocol's numbers may stand beside.
        notes: where the literature disagrees, and what to beware of.
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
        """(H, W) that published numbers use."""
        return None if self.preparation is None else self.preparation.size


@dataclass(frozen=True, kw_only=True)
class GenerationProtocol:
    """How sets of clips are compared.

    Attributes:
        clips: on each side; the real side gives one window a video until there are as many.
        frames: of a clip.
        size: (H, W) of the prepared frames.
        needs: weights that `--weights NAME=PATH` must give.
        measures: "fvd" (with kernel distance) or "inception_score".
        splits: of the inception score.
        published, preparation, notes: as in `ForecastProtocol`.
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
        """(H, W) that published numbers use."""
        return None if self.preparation is None else self.preparation.size


def check_metrics(names: Sequence[str], also: Sequence[str] = ()) -> None:
    """Raise ValueError if a metric is unknown, or if there is none; `also` are names known to the caller."""
    if not names:
        raise ValueError("no metric was asked for")
    if unknown := [name for name in names if name not in METRICS and name not in also]:
        raise ValueError(f"unknown metrics: {', '.join(unknown)}; there are {', '.join([*METRICS, *also])}")
