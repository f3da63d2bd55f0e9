"""Results of evaluations: numbers together with everything needed to compare or to repeat them.

Results are dataclasses that convert to JSON and back without loss. ``table()`` gives one flat row per (name, metric).
"""

import dataclasses
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

from vidgan.errors import ConfigError
from vidgan.evaluation.rows import Rows
from vidgan.metrics.statistics import Estimate

Row: TypeAlias = dict[str, Any]


def _read_estimate(data: Mapping[str, Any]) -> Estimate:
    estimate = Estimate(**data)
    for value in (estimate.mean, estimate.low, estimate.high):
        if value is not None and (type(value) not in (int, float) or abs(value) > sys.float_info.max):
            raise TypeError("a mean or bound is not a number")
    return estimate


@dataclass(frozen=True)
class Score:
    """One metric of one forecaster (or set): the overall mean and the curve over the horizon."""

    mean: Estimate
    horizon: list[Estimate]  # K of them; empty where there is no horizon
    exact: int = 0  # number of frames that are identical to the truth (`vidgan.metrics.values`)
    skipped: int = 0  # number of frames that the metric's definition leaves out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Score":
        mean, horizon = _read_estimate(data["mean"]), [_read_estimate(entry) for entry in data["horizon"]]
        return cls(mean, horizon, data["exact"], data["skipped"])

    def row(self) -> Row:
        """mean, low, high, exact and the means by horizon."""
        return {
            **dataclasses.asdict(self.mean),
            "exact": self.exact,
            "skipped": self.skipped,
            "horizons": [entry.mean for entry in self.horizon],
        }


Scores: TypeAlias = dict[str, dict[str, Score]]  # name -> metric -> score


@dataclass(frozen=True)
class Bin:
    """The windows of one difficulty: their number, and each forecaster's means on them (None: no finite value)."""

    windows: int
    sources: int
    scores: dict[str, dict[str, float | None]]  # name -> metric -> mean


@dataclass(frozen=True)
class Case:
    """A window to inspect: the best, the median or the worst one of the subject."""

    which: str  # "best", "median" or "worst"
    name: str  # forecaster
    metric: str
    window: int  # its number, in the order of evaluation
    id: str  # source and first frame
    value: float | None  # mean over the horizon; None: no finite value (`vidgan.metrics.values`)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Fields of every result."""

    kind: ClassVar[str]

    protocol: str
    definitions: dict[str, str]  # metric -> its exact definition
    better: dict[str, str]  # metric -> "lower" or "higher"; absent if neither is better
    fingerprint: str  # of the data, as the caller identifies it
    frame_size: tuple[int, int]  # H, W
    seed: int
    scores: Scores  # name of the forecaster or set -> metric -> score
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=lambda: library_versions())
    # Command, hardware, model, checkpoint, hashes of weights and split, number of windows.
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {"kind": self.kind, **_plain(self)}

    def to_json(self) -> str:
        """A JSON document; `from_json` restores an equal object."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the document of `to_json`.

        Raises:
            ValueError: not JSON, another kind of result, or a missing or unknown field; the message names it.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not a JSON document: {error}") from error
        if not isinstance(data, dict) or data.get("kind") != cls.kind:
            found = data.get("kind") if isinstance(data, dict) else type(data).__name__
            raise ValueError(f"expected the scores of a {cls.kind} evaluation, found {found!r}")
        del data["kind"]
        known = {entry.name for entry in dataclasses.fields(cls) if entry.metadata.get("stored", True)}
        if wrong := sorted(data.keys() ^ known):
            raise ValueError(f"{cls.kind} scores with missing or unknown fields: {', '.join(wrong)}")
        try:
            for name in _SCORE_FIELDS & known:
                data[name] = {
                    key: {metric: Score.from_dict(entry) for metric, entry in scores.items()}
                    for key, scores in data[name].items()
                }
            if "bins" in known:
                data["bins"] = {name: Bin(**entry) for name, entry in data["bins"].items()}
            if "cases" in known:
                data["cases"] = [Case(**entry) for entry in data["cases"]]
            data["frame_size"] = tuple(data["frame_size"])
            return cls(**data)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"malformed {cls.kind} scores: {error}") from error

    def table(self) -> list[Row]:
        """One row per (name, metric): name, metric, better, mean, low, high, exact, horizons (list of means)."""
        return _rows(self.scores, self.better)


_SCORE_FIELDS = {"scores", "differences"}


@dataclass(frozen=True, kw_only=True)
class ForecastScores(Result):
    """Scores of forecasters on one set of windows, including "skill": 1 - MSE / MSE of the reference.

    A stochastic forecaster NAME has the rows "NAME/mean" (mean score of its samples, with a "diversity"), "NAME/best"
    and "NAME/worst" (the sample with the best and the worst mean over the horizon, selected per window with the ground
    truth) and "NAME/average" (the pixel mean of its samples, itself a forecast).
    """

    kind: ClassVar[str] = "forecast"

    context: int
    horizon: int
    windows: int
    sources: int
    resamples: int
    subject: str  # the evaluated forecaster; the others are its parts and baselines
    reference: str  # the forecaster of `skill` and `differences`
    samples: dict[str, int]  # stochastic forecaster -> number of samples
    best_by: str | None  # the metric that selected the best and worst samples; None: each metric its own
    differences: Scores  # paired: forecaster minus reference
    # sampler -> "coverage" ([claimed, found] shares), "spread", "error", "ratio" (1: calibrated), "rank_shares" (N + 1)
    calibration: dict[str, dict[str, Any]]
    bins: dict[str, Bin]  # "easy", "middle", "hard" by SSIM of the last context frame and the first target frame
    cases: list[Case]
    rows: Rows = field(default_factory=Rows, metadata={"stored": False}, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class SynthesisScores(Result):
    """Scores of a generated set under "generated", of held-out real clips under "real", and of damaged real clips.

    Bounds of "motion_energy" and "content_distance" are bootstrap intervals over clips (real: over sources). Bounds of
    the other measures, which compare sets, are the smallest and largest value over the random halvings.
    """

    kind: ClassVar[str] = "synthesis"

    clips: int  # in each of the compared sets
    real_clips: int  # available
    generated_clips: int  # available
    frames: int
    splits: int
    resamples: int
    seeds: list[int] = field(default_factory=list)  # evaluation seeds; several: bounds are an interval over them


@dataclass(frozen=True, kw_only=True)
class LongClipScores(Result):
    """Scores of generated clips longer than the training clips, "generated", and of real clips, "real".

    The horizon of a score is its curve over the segments of the clips of its row.
    """

    kind: ClassVar[str] = "longer"

    clips: int  # generated
    real_clips: int
    frames: int  # of a generated clip
    real_frames: int  # of a real one: as many whole segments as enough real clips have
    stretch: int  # frames of a segment, the length of a training clip
    splits: int
    resamples: int

    def spans(self, name: str) -> list[str]:
        """The segments of a row in frames counted from 1: "1-16", "17-32", ..."""
        frames = self.frames if name == "generated" else self.real_frames
        return [f"{first + 1}-{first + self.stretch}" for first in range(0, frames, self.stretch)]


@dataclass(frozen=True, kw_only=True)
class FolderScores(Result):
    """Scores of a folder of videos, "prediction", against the true ones: means over videos of means over frames.

    If true frames precede the scored ones, there are two baselines: "copy-last" (the last frame before the scored ones,
    repeated) and "copy-previous" (the true frame before each scored one). A video whose frames are all exact has no
    finite value and is None in `by_video`.
    """

    kind: ClassVar[str] = "folder"

    videos: int
    sources: int
    frames: int
    resamples: int
    by_video: dict[str, dict[str, float | None]]  # video -> metric -> mean over the prediction's frames
    rows: Rows = field(default_factory=Rows, metadata={"stored": False}, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class MappingScores(Result):
    """Scores of a model that maps clips to clips, beside its baselines, and of the real clips where a metric has one.

    The frame size is that of the output.
    """

    kind: ClassVar[str] = "mapping"

    windows: int
    sources: int
    frames: int  # of a window
    scale: int  # side of an output frame over that of an input frame
    border: int  # pixels on each side that frame metrics leave out
    resamples: int
    subject: str  # the model's row
    reference: str  # the baseline of `differences`
    baselines: list[str]
    differences: Scores  # paired: row minus reference
    cases: list[Case]
    rows: Rows = field(default_factory=Rows, metadata={"stored": False}, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class AnomalyScores(Result):
    """Scores of forecasters as detectors of anomalous frames; the row "chance" is that of a random order.

    Bounds are intervals of a bootstrap over videos.
    """

    kind: ClassVar[str] = "anomaly"

    context: int
    videos: int
    frames: int  # scored
    anomalous: int  # of these
    subject: str
    resamples: int
    by_video: dict[str, dict[str, float | None]]  # video -> forecaster -> AUC; None without both kinds of frames
    # Of some videos: forecaster -> (T,) normalised PSNR; "label" -> (T,), 1 for anomalous frames.
    curves: dict[str, dict[str, list[float]]]
    rows: Rows = field(default_factory=Rows, metadata={"stored": False}, compare=False, repr=False)


AnyResult: TypeAlias = ForecastScores | SynthesisScores | LongClipScores | FolderScores | MappingScores | AnomalyScores
_KINDS = (ForecastScores, SynthesisScores, LongClipScores, FolderScores, MappingScores, AnomalyScores)
KINDS: dict[str, type[AnyResult]] = {kind.kind: kind for kind in _KINDS}
WINDOWED = (ForecastScores, FolderScores, MappingScores, AnomalyScores)  # results with single measurements


def read_result(file: Path) -> AnyResult:
    """Read a result that a command wrote with --out or into `scores/` of a run, without its single measurements.

    Raises:
        ConfigError: the file holds no result, or one of another version.
    """
    try:
        content = json.loads(file.read_text())
        content = content.get("result", content)
        kind = KINDS[content["kind"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{file}: not a result of `vidgan evaluate` or `vidgan compare` ({error})") from error
    try:
        return kind.from_json(json.dumps(content))
    except ValueError as error:
        raise ConfigError(f"{file}: {error}; evaluate again with this version") from error


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that determine the numbers."""
    versions = {"python": platform.python_version()}
    for name in ("vidgan", "torch", "torchvision", "torchmetrics", "numpy", "scikit-image", "av"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _plain(result: Result) -> dict[str, Any]:
    stored = [entry for entry in dataclasses.fields(result) if entry.metadata.get("stored", True)]
    return {entry.name: _plain_value(getattr(result, entry.name)) for entry in stored}


def _plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain_value(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain_value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(entry) for entry in value]
    return value


def _rows(scores: Scores, better: Mapping[str, str]) -> list[Row]:
    return [
        {"name": name, "metric": metric, "better": better.get(metric), **score.row()}
        for name, metrics in scores.items()
        for metric, score in metrics.items()
    ]
