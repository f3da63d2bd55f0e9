"""Anomaly scoring: frames that a forecaster predicts badly, against labels of single frames (`--protocol anomaly`).

Every frame of a test video is forecast from the true frames before it. The first frames, which have too few, have no
score, as in the code of Liu et al. 2018.
"""

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
from torch import nn

from vidgan.data.frame_labels import FrameLabels, read_frame_labels
from vidgan.data.store.index import Index, stride_of
from vidgan.errors import ConfigError
from vidgan.evaluation.forecasts import SHORTEST_CONTEXT, choose_measures
from vidgan.evaluation.measure import WindowBatch, measure_forecasts
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.outside_models import OutsideForecaster
from vidgan.evaluation.predictors import model_predictors
from vidgan.evaluation.progress import with_progress
from vidgan.evaluation.results import AnomalyScores, Score
from vidgan.evaluation.rows import Rows
from vidgan.evaluation.settings import AnomalySettings
from vidgan.evaluation.windows import BATCH, Window, WindowSet
from vidgan.metrics.anomaly import AUC, DEFINITIONS, MACRO, auc, normality, summary
from vidgan.metrics.statistics import FEW_SOURCES, MIN_RESAMPLES, PERCENTILES, Estimate
from vidgan.metrics.values import finite_or_none

CHANCE = "chance"
DRAWN = 6  # videos whose scores are kept for the report


def evaluate_anomalies(trained: TrainedModel, settings: AnomalySettings) -> AnomalyScores:
    """Score a forecasting model and the baselines as detectors of anomalous frames.

    Raises:
        ConfigError: data that were resampled or cut at shots, labels that do not fit the videos, or only one kind of
            frames. DataError: no test video, or no labels.
    """
    context = _context(trained, settings)
    labels = read_frame_labels(settings.labels)
    windows = trained.windows(context + 1, split="test")
    index = windows.index
    _check_preparation(trained, index)
    marks = _labels_of_clips(index, labels, trained)
    chosen = [Window(entry, frames) for entry in index.of_split("test") for frames in windows.overlapping(entry)]
    anomalous = np.array([bool(marks[window.entry.id][window.frames[-1]]) for window in chosen])
    if anomalous.all() or not anomalous.any():
        kind = "anomalous" if anomalous.all() else "normal"
        raise ConfigError(f"{settings.labels}: all {len(chosen)} scored frames are {kind}; both kinds are needed")
    model = trained.forecast_model
    if isinstance(model, nn.Module):
        model.to(settings.torch_device())
    if isinstance(model, OutsideForecaster):
        model.check(windows.read_all(chosen[:1])[:, :context], 1)
    measured = measure_forecasts(
        model_predictors(model),
        {},
        with_progress(_batches(windows, chosen), total=-(-len(chosen) // BATCH)),
        choose_measures(["mse"]),
        context=context,
        horizon=1,
    )
    videos = np.array([window.entry.file or window.entry.source for window in chosen])
    names = list(dict.fromkeys(videos.tolist()))
    values = 3 * measured.frame_size[0] * measured.frame_size[1]
    truth = {video: anomalous[videos == video] for video in names}
    scores: dict[str, dict[str, Score]] = {}
    curves: dict[str, dict[str, list[float]]] = {
        video: {"label": truth[video].astype(float).tolist()} for video in names[:DRAWN]
    }
    by_video: dict[str, dict[str, float | None]] = {video: {} for video in names}
    for name, table in measured.values.items():
        normal = {video: normality(table["mse"][videos == video, 0], values) for video in names}
        each = {video: auc(normal[video][~truth[video]], normal[video][truth[video]]) for video in names}
        scores[name] = _estimates(normal, truth, each, settings.seed)
        for video in names:
            by_video[video][name] = finite_or_none(each[video])
        for video, curve in curves.items():
            curve[name] = normal[video].tolist()
    half = Estimate(0.5, None, None)
    scores[CHANCE] = {AUC: Score(half, []), MACRO: Score(half, [])}
    return AnomalyScores(
        protocol=f"anomaly-{context}to1",
        definitions=DEFINITIONS,
        better=dict.fromkeys(DEFINITIONS, "higher"),
        fingerprint=index.fingerprint,
        frame_size=measured.frame_size,
        seed=settings.seed,
        scores=scores,
        notes=_notes(trained, context, names, truth),
        provenance={
            "labels": {video: int(truth[video].sum()) for video in names},
            "device": str(settings.torch_device()),
        },
        context=context,
        videos=len(names),
        frames=len(chosen),
        anomalous=int(anomalous.sum()),
        subject=model.forecast_name,
        resamples=MIN_RESAMPLES,
        by_video=by_video,
        curves=curves,
        rows=Rows(measured.ids, measured.sources, measured.values),
    )


def _context(trained: TrainedModel, settings: AnomalySettings) -> int:
    context = settings.context or trained.facts.context
    if context is None:
        raise ConfigError(f"{trained.name}: its context is unknown; give --context (Liu et al. 2018 use 4)")
    if context < SHORTEST_CONTEXT:
        raise ConfigError(f"--context {context}: motion needs at least {SHORTEST_CONTEXT} frames")
    return context


def _check_preparation(trained: TrainedModel, index: Index) -> None:
    """Labels belong to frames of the source: every n-th frame may be kept, but none may be made or left out."""
    problems = []
    if index.fps is not None:
        problems.append(f"its frame rate was changed (fps {index.fps:g})")
    if index.settings.get("cuts", "off") != "off":
        problems.append(f"videos were cut at shots (cuts {index.settings['cuts']})")
    if problems:
        raise ConfigError(
            f"{trained.data}: {' and '.join(problems)}, so that frames cannot be matched with labels; prepare it with"
            " --cuts off and without --fps"
        )


def _labels_of_clips(index: Index, labels: FrameLabels, trained: TrainedModel) -> dict[str, np.ndarray]:
    """Clip id -> (T,) labels of its stored frames."""
    every = stride_of(trained.data, index)
    lengths: dict[str | None, int] = {}  # stored frames of a video, of which there may be several clips
    for entry in index.clips:
        lengths[entry.file] = max(lengths.get(entry.file, 0), entry.start + entry.frames)
    marks = {}
    for entry in index.of_split("test"):
        video = entry.file or entry.source
        whole = labels.of(video)
        kept = whole[::every]
        if len(kept) != lengths[entry.file]:
            raise ConfigError(
                f"{labels.root}: {video} has {lengths[entry.file]} frames in {trained.data}, but {len(kept)} labels"
                f"{f' of every {every}th frame' if every > 1 else ''}; labels and videos are of different versions"
            )
        marks[entry.id] = kept[entry.start : entry.start + entry.frames]
    return marks


def _batches(windows: WindowSet, chosen: list[Window]) -> Iterator[WindowBatch]:
    pending, first = iter(chosen), 0
    while batch := list(islice(pending, BATCH)):
        names = [window.entry.file or window.entry.source for window in batch]
        ids = [f"{name}:{window.frames[-1]}" for name, window in zip(names, batch, strict=True)]
        yield WindowBatch(windows.read_all(batch), names, ids, range(first, first + len(batch)))
        first += len(batch)


def _estimates(
    scores: dict[str, np.ndarray], labels: dict[str, np.ndarray], by_video: dict[str, float], seed: int
) -> dict[str, Score]:
    """Each measure with the percentile interval of a bootstrap over videos; no bounds for a single video."""
    videos = [*scores]
    means = summary(scores, labels, videos, by_video)
    if len(videos) == 1:
        return {key: Score(Estimate(finite_or_none(value), None, None), []) for key, value in means.items()}
    rng = np.random.default_rng(seed)
    drawn = [
        summary(scores, labels, [videos[i] for i in rng.integers(len(videos), size=len(videos))], by_video)
        for _ in range(MIN_RESAMPLES)
    ]
    estimates = {}
    for key, value in means.items():
        resampled = [one[key] for one in drawn if not math.isnan(one[key])]
        low, high = np.percentile(resampled, PERCENTILES) if resampled else (math.nan, math.nan)
        bounds = (finite_or_none(float(low)), finite_or_none(float(high)))
        estimates[key] = Score(Estimate(finite_or_none(value), *bounds), [])
    return estimates


def _notes(trained: TrainedModel, context: int, videos: list[str], truth: dict[str, np.ndarray]) -> list[str]:
    notes = [f"the first {context} frames of each video have no forecast and are not scored"]
    plain = [video for video in videos if not truth[video].any()]
    if plain:
        notes.append(f"{len(plain)} videos have no anomalous frame; they count in auc, not in auc_macro")
    if len(videos) < FEW_SOURCES:
        notes.append(f"{len(videos)} videos: intervals over so few are rough")
    if trained.facts.context is not None and trained.facts.context != context:
        notes.append(f"{trained.name} was trained with {trained.facts.context} context frames and is given {context}")
    notes.append("PSNR is normalised with the extremes of the whole video, so the scores exist only after its end")
    return notes
