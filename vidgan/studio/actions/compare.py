"""Compare two models that forecast, two that generate clips, or two folders: blind votes, and metrics beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from vidgan.commands.forecast_files import DEFAULT_CONTEXT
from vidgan.commands.output import output_rate, require_memory
from vidgan.commands.predict import read_known
from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.baselines import copy_last
from vidgan.evaluation.clips import evaluate_clips
from vidgan.evaluation.folders import Reader, find_videos, score_folders
from vidgan.evaluation.models import load_model as load_trained
from vidgan.evaluation.results import Result
from vidgan.evaluation.settings import ClipSettings
from vidgan.metrics.frame import METRICS, ssim
from vidgan.metrics.preference import Vote, bradley_terry
from vidgan.report.clips import player_clip
from vidgan.report.formatting import heading
from vidgan.report.player import PlayerClip
from vidgan.studio.actions.forecast import finite_psnr
from vidgan.studio.catalogue import ModelEntry, ModelShelf
from vidgan.studio.jobs import Job
from vidgan.studio.lines import command_line
from vidgan.tasks.base import ForecastModel
from vidgan.types import ByteClip
from vidgan.video.decode import read_video

__all__ = [
    "Choice",
    "Comparison",
    "Metric",
    "MetricRow",
    "compare_folders",
    "compare_forecasters",
    "compare_generators",
    "count_shared",
    "folder_lines",
    "forecast_few",
    "generator_lines",
    "metric_of",
    "read_few",
    "score_few",
]

Choice: TypeAlias = Literal["left", "right", "tie"]

MAX_PAIRS: Final = 40
MAX_SCORED: Final = 256  # generated clips that metrics are computed of
TRIAL_SCORED: Final = 4  # from which the time of all is estimated
TRIAL_HORIZON: Final = 2  # frames
MAX_CLIP_FRAMES: Final = 64
MAX_CLIP_BYTES: Final = 100_000_000


# In words that need no manual; metrics that are missing here are called by `heading`.
READABLE: Final = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "frechet_inhouse": "Fréchet distance of simple features",
    "motion_histogram": "Difference in motion",
    "motion_energy": "Amount of motion",
    "flicker": "Flicker",
    "content_distance": "Change of content",
    "diversity": "Diversity",
    "nearest_clip": "Distance to the nearest real clip",
    "nearest_training": "Distance to the nearest training clip",
    "copy_ratio": "Copy ratio",
}
ROWS: Final = {"real": "real clips, the best possible", "frozen": "real clips, frozen"}


class MetricRow(NamedTuple):
    """Metrics of one side: name of the row, then metric -> mean."""

    name: str
    values: dict[str, float]


class Metric(NamedTuple):
    """What a reader needs to know of a metric.

    Attributes:
        name: in words.
        better: "higher", "lower", or "" where neither is better.
        definition: in one sentence.
    """

    name: str
    better: str
    definition: str


@dataclass(frozen=True)
class Pair:
    """Two clips of one thing.

    Attributes:
        unit: what they show.
        clips: (T, 3, H, W) uint8 of each side.
        truth: what they should be; None if it is unknown.
        fps: frames per second.
        context: leading frames that were given.
    """

    unit: str
    clips: tuple[ByteClip, ByteClip]
    truth: ByteClip | None
    fps: float
    context: int = 0


@dataclass
class Comparison:
    """A comparison and its votes.

    Attributes:
        names: of the two sides.
        pairs: in the order of display.
        swapped: whether the second side is on the left, for each pair.
        metrics: of both sides.
        meaning: of each metric.
        note: why there are no metrics.
        votes: so far.
    """

    names: tuple[str, str]
    pairs: Sequence[Pair]
    swapped: Sequence[bool]
    metrics: Sequence[MetricRow]
    meaning: Mapping[str, Metric] = field(default_factory=dict)
    note: str = ""
    votes: list[Choice] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether every pair has a vote."""
        return len(self.votes) == len(self.pairs)

    def player_clips(self, *, with_truth: bool) -> list[PlayerClip]:
        """The pair that is voted on next, without names."""
        number = len(self.votes)
        pair = self.pairs[number]
        order = pair.clips[::-1] if self.swapped[number] else pair.clips
        clips = [("left", order[0]), ("right", order[1])]
        if with_truth and pair.truth is not None:
            clips.append(("truth", pair.truth))
        return [player_clip(label, clip, context=pair.context) for label, clip in clips]

    def vote(self, choice: Choice) -> None:
        """Add a vote for the displayed pair.

        Raises:
            ConfigError: all pairs have one.
        """
        if self.is_over:
            raise ConfigError("every pair has a vote; begin again")
        self.votes.append(choice)

    def preference(self) -> str:
        """The share of votes for each side, with the Bradley-Terry interval."""
        if not self.votes:
            return "No vote was cast."
        counts = {"left": [1.0, 0.0], "right": [0.0, 1.0], "tie": [0.5, 0.5]}
        votes = []
        wins = [0, 0]
        for choice, swapped, pair in zip(self.votes, self.swapped, self.pairs, strict=False):
            share = counts[choice][1 if swapped else 0]
            votes.append(Vote(0, 1, share, pair.unit))
            if choice != "tie":
                wins[0 if share == 1 else 1] += 1
        estimate = bradley_terry(votes, 2).preferred[0, 1]
        return (
            f"{self.names[0]}: {wins[0]} votes; {self.names[1]}: {wins[1]} votes; ties: {len(votes) - sum(wins)}."
            f" Probability that {self.names[0]} is preferred: {estimate.mean:.2f}"
            f" [{estimate.low:.2f}, {estimate.high:.2f}]."
        )


def compare_folders(
    names: tuple[str, str], folders: tuple[Path, Path], truth: Path | None, count: int, seed: int, job: Job
) -> Comparison:
    """Pair the videos of two folders by name.

    Args:
        names: of the two sides.
        folders: with the videos.
        truth: folder of the true videos, for the metrics; None: the sides are compared with each other.
        count: pairs at most.
        seed: of the choice and the order.
        job: its progress.

    Raises:
        DataError: no two videos have the same name. ConfigError: a value outside its limits.
        VideoError: a video cannot be read. CancelledError: the job was cancelled.
    """
    _check_count(count)
    first, second = (_videos(folder) for folder in folders)
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise DataError(f"{names[0]}, {names[1]}: no two videos have the same name")
    true = {} if truth is None else _videos(truth)
    draws = np.random.default_rng(seed)
    pairs = []
    for number, index in enumerate(draws.permutation(len(shared))[:count]):
        name = shared[index]
        job.step(0.5 * number / min(count, len(shared)), f"reading {name}")
        (left, fps), (right, _) = _read(first[name]), _read(second[name])
        known = _read(true[name])[0] if name in true else None
        pairs.append(Pair(name, (left, right), known, fps))
    job.step(0.5, "metrics")
    rows, note, results = [], "", []
    sides = [(f"{names[0]} against {names[1]}", folders[0], folders[1])]
    if truth is not None:
        sides = [(name, folder, truth) for name, folder in zip(names, folders, strict=True)]
    try:
        for name, predicted, true_folder in sides:
            results.append(_folder_scores(predicted, true_folder, job))
            rows.append(MetricRow(name, _means(results[-1], "prediction")))
    except (ValueError, ConfigError, DataError) as error:  # votes need no metrics
        rows, note = [], f"Metrics were not computed: {error}."
    swapped = (draws.random(len(pairs)) < 0.5).tolist()
    return Comparison(names, pairs, swapped, rows, _meaning(results), note)


def compare_forecasters(
    shelf: ModelShelf,
    entries: tuple[ModelEntry, ModelEntry],
    video: Path,
    horizon: int,
    count: int,
    seed: int,
    job: Job,
) -> Comparison:
    """Forecast the same windows of a video with two models. Both read the size, rate and context of the first one.

    Args:
        shelf: loads the models.
        entries: the two models.
        video: with frames after the context.
        horizon: frames that are forecast.
        count: windows at most, spread over the video.
        seed: of the order.
        job: its progress.

    Raises:
        ConfigError: the video is too short for one window. DataError, VideoError: it cannot be read.
        CancelledError: the job was cancelled.
    """
    _check_count(count)
    if not 1 <= horizon <= MAX_CLIP_FRAMES:
        raise ConfigError(f"horizon is {horizon}; accepted are 1 to {MAX_CLIP_FRAMES}")
    context = entries[0].facts.context or DEFAULT_CONTEXT
    length = context + horizon
    with shelf.borrow(entries[0]) as model:
        known = read_known(video, model, context, horizon, 0, known=10 * length)
    last = len(known.known) - length
    if last < 0:
        raise ConfigError(f"{video.name}: has {len(known.known)} frames; {length} are needed for context and horizon")
    starts = sorted({round(start) for start in np.linspace(0, last, min(count, last + 1))})
    forecasts: list[list[ByteClip]] = []
    for side, entry in enumerate(entries):
        with shelf.borrow(entry) as model:
            made = []
            for number, start in enumerate(starts):
                job.step((side + number / len(starts)) / 2, f"{entry.label}: window {number + 1} of {len(starts)}")
                made.append(model.predict(known.known[None, start : start + context], horizon)[0])
            forecasts.append(made)
    pairs, truths, copies = [], [], []
    for start, first, second in zip(starts, *forecasts, strict=True):
        window = known.known[start : start + length]
        given = window[:context]
        clips = torch.cat([given, first]), torch.cat([given, second])
        pairs.append(Pair(f"frame {start}", clips, window, known.fps or 8.0, context))
        truths.append(window[context:])
        copies.append(copy_last(given[None], horizon)[0])
    names = entries[0].label, entries[1].label
    sides = {names[0]: forecasts[0], f"{names[1]} ": forecasts[1], "copy-last": copies}
    rows = [MetricRow(name.strip(), _metrics(clips, truths)) for name, clips in sides.items()]
    swapped = np.random.default_rng(seed).random(len(pairs)) < 0.5
    meaning = {name: metric_of(name, METRICS[name].better, METRICS[name].definition) for name in ("psnr", "ssim")}
    return Comparison(names, pairs, swapped.tolist(), rows, meaning)


def compare_generators(
    shelf: ModelShelf,
    entries: tuple[ModelEntry, ModelEntry],
    data: Path | None,
    scored: int,
    count: int,
    seed: int,
    job: Job,
) -> Comparison:
    """Compare clips that two models generate, and both sets with real clips.

    Args:
        shelf: loads the models.
        entries: the two models.
        data: prepared data with the real clips, for the metrics; None: no metrics.
        scored: generated clips that the metrics are computed of.
        count: pairs of clips that are displayed.
        seed: of the clips and of the order.
        job: its progress.

    Raises:
        ConfigError: a value outside its limits, or a model that continues a given frame.
        DataError: too few real clips. CancelledError: the job was cancelled.
    """
    _check_count(count)
    if not TRIAL_SCORED <= scored <= MAX_SCORED:
        raise ConfigError(f"clips for metrics is {scored}; accepted are {TRIAL_SCORED} to {MAX_SCORED}")
    drawn, rates = [], []
    for side, entry in enumerate(entries):
        job.step(0.1 * side, f"{entry.label}: drawing {count} clips")
        with shelf.borrow(entry) as model:
            if model.needs_first_frame:
                raise ConfigError(
                    f"{entry.label}: continues a given frame; write its clips to a folder and compare that"
                )
            height, width = model.image_size
            require_memory(count * entry.facts.frames * height * width * 15, f"pairs {count}")
            drawn.append(model.sample(count, frames=entry.facts.frames, seed=seed))
        rates.append(output_rate(None, entry.facts.frame_rate or entry.facts.sampled_fps, "training clips")[0])
    pairs = [
        Pair(f"clip {number + 1}", (drawn[0][number], drawn[1][number]), None, rates[0]) for number in range(count)
    ]
    rows: list[MetricRow] = []
    results = []
    for side, entry in enumerate(entries if data is not None else ()):
        assert data is not None
        job.step(0.2 + 0.4 * side, f"{entry.label}: metrics of {scored} clips")
        with shelf.borrow(entry):  # one action computes at a time
            results.append(_generator_scores(entry, data, scored, seed))
        rows.append(MetricRow(entry.label, _means(results[-1], "generated")))
    if results:
        rows += [MetricRow(name, _means(results[-1], row)) for row, name in ROWS.items()]
    job.step(1.0, "done")
    note = "" if results else "Metrics need real clips: choose prepared data."
    swapped = np.random.default_rng(seed).random(count) < 0.5
    return Comparison((entries[0].label, entries[1].label), pairs, swapped.tolist(), rows, _meaning(results), note)


def score_few(entry: ModelEntry, data: Path) -> int:
    """The metrics of a few generated clips; returns their number.

    Raises:
        ConfigError, DataError: as in `compare_generators`.
    """
    _generator_scores(entry, data, TRIAL_SCORED, 0)
    return TRIAL_SCORED


def forecast_few(model: ForecastModel, video: Path, context: int) -> int:
    """A short forecast of a video; returns the number of frames that the model read and made.

    Raises:
        DataError, VideoError: the video cannot be read.
    """
    known = read_known(video, model, context, TRIAL_HORIZON, 0, known=context + TRIAL_HORIZON)
    model.predict(known.context[None], TRIAL_HORIZON)
    return context + TRIAL_HORIZON


def read_few(folders: tuple[Path, Path], job: Job) -> int:
    """Score one pair of videos of two folders; returns 1.

    Raises:
        DataError, VideoError: there is no pair, or it cannot be read.
    """
    _folder_scores(*folders, job, limit=1)
    return 1


def count_shared(folders: tuple[Path, Path]) -> int:
    """Number of videos with the same name in two folders."""
    first, second = (_videos(folder) for folder in folders)
    return len(first.keys() & second.keys())


def metric_of(name: str, better: str, definition: str) -> Metric:
    """A metric in words."""
    return Metric(READABLE.get(name, heading(name)), better, definition)


def generator_lines(
    entries: tuple[ModelEntry, ModelEntry], data: Path | None, scored: int, count: int, seed: int
) -> str:
    """The commands that draw the same clips and compute the same metrics."""
    lines = [
        command_line("generate", entry.words, clips=count, seed=seed, out=side)
        for side, entry in zip("ab", entries, strict=True)
    ]
    if data is not None:
        lines += [
            command_line("evaluate", entry.words, data=data, clips=scored, seed=seed, device="cpu") for entry in entries
        ]
    return "\n".join(lines)


def folder_lines(first: Path | str, second: Path | str, truth: Path | str | None) -> str:
    """The commands that compute the metrics of two folders."""
    if truth is None:
        return command_line("compare", [first, second])
    return "\n".join(command_line("compare", [folder, truth]) for folder in (first, second))


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_PAIRS:
        raise ConfigError(f"pairs is {count}; accepted are 1 to {MAX_PAIRS}")


def _videos(folder: Path) -> dict[str, Path]:
    """Videos of a folder by their names without suffix."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix.lower() in VIDEO_SUFFIXES]
    return {file.stem: file for file in files}


def _read(file: Path) -> tuple[ByteClip, float]:
    video = read_video(file, max_frames=MAX_CLIP_FRAMES, max_bytes=MAX_CLIP_BYTES)
    return torch.from_numpy(video.frames).permute(0, 3, 1, 2).contiguous(), video.fps


def _folder_scores(predicted: Path, true: Path, job: Job, limit: int | None = None) -> Result:
    """What `vidgan compare` computes; each video that is read is a chance to cancel."""

    def watched(read: Reader) -> Reader:
        def reading() -> ByteClip:
            job.check()
            return read()

        return reading

    sides = [find_videos(folder, None) for folder in (predicted, true)]
    names = sorted(sides[0])[:limit] if limit else None
    readers = [{name: watched(read) for name, read in side.items() if not names or name in names} for side in sides]
    return score_folders(*readers)


def _generator_scores(entry: ModelEntry, data: Path, scored: int, seed: int) -> Result:
    """What `vidgan evaluate` computes."""
    trained = load_trained(entry.path, data=data)
    return evaluate_clips(trained, ClipSettings(clips=scored, seed=seed, device="cpu"))


def _means(result: Result, row: str) -> dict[str, float]:
    """Metric -> mean of one row of a result."""
    values = {metric: score.mean.mean for metric, score in result.scores[row].items()}
    return {metric: value for metric, value in values.items() if value is not None}


def _meaning(results: Sequence[Result]) -> dict[str, Metric]:
    return {
        name: metric_of(name, result.better.get(name, ""), definition)
        for result in results
        for name, definition in result.definitions.items()
    }


def _metrics(clips: Sequence[ByteClip], truths: Sequence[ByteClip]) -> dict[str, float]:
    made, true = torch.stack(list(clips)), torch.stack(list(truths))
    return {
        "psnr": float(finite_psnr(made, true).mean()),
        "ssim": float(ssim(made, true).mean()),
    }
