"""Scoring: forecasters on windows, generated sets against real ones, folders of videos against their true ones.

An evaluator takes functions and clips, never a model or a data set. It holds the numbers of one metric a frame, not the
frames, so the number of windows is not limited by memory.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..types import ByteClip
from .frame import METRICS, FrameMetric
from .protocols import DEFAULT_METRICS, check_metrics
from .results import FolderScores, ForecastScores, Score
from .statistics import MIN_RESAMPLES, Estimate, SourceBootstrap

Values = npt.NDArray[np.float64]
Predictor = Callable[[ByteClip, int], ByteClip]

COPY_LAST = "copy_last"
DIVERSITY = "mean squared difference between the samples of a forecaster, RGB in [0, 1]"
SKILL = "skill: 1 - MSE-pix / MSE-pix of {reference}, means over windows; 1 is perfect, 0 is as good as {reference}"


def score_forecast(
    predictors: Mapping[str, Predictor],
    windows: Iterable[tuple[ByteClip, Sequence[str]]],
    *,
    context: int,
    horizon: int,
    samplers: Mapping[str, Predictor] | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    protocol: str = "custom",
    reference: str = COPY_LAST,
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
    workers: int | None = None,
) -> ForecastScores:
    """Score forecasters on the same windows, with copy-last beside them, always.

    Args:
        predictors: name -> function of (context (B, T, C, H, W) uint8, horizon K) giving (B, K, C, H, W) uint8.
        windows: batches of clips (B, T+K, C, H, W) uint8 and, for each clip, the name of the video it was cut from.
        context: T, frames that a forecaster sees.
        horizon: K, frames that it must give.
        samplers: name -> the same for stochastic forecasters, giving (N, B, K, C, H, W), N >= 2 samples.
        metrics: names in `METRICS`. MSE is always computed, for the skill.
        protocol: recorded in the result.
        reference: the forecaster that `skill` and `differences` are relative to.
        fingerprint: of the data, recorded in the result.
        resamples: of the bootstrap over sources, at least 1000.
        seed: of the bootstrap.
        workers: threads that score frames (default: one a CPU core); does not change a result.

    Returns:
        Means, 95 % intervals over sources, curves over the horizon, skill and paired differences.

    Raises:
        ValueError: unknown metric or reference, no window, windows of another length, or a forecaster whose answer is
            not uint8 of the right shape (the message names it).
    """
    check_metrics(metrics)
    samplers = dict(samplers or {})
    predictors = dict(predictors)
    predictors.setdefault(COPY_LAST, copy_last)
    if both := sorted(predictors.keys() & samplers.keys()):
        raise ValueError(f"forecasters given both as predictor and as sampler: {', '.join(both)}")
    if reference not in predictors:
        raise ValueError(f"the reference {reference!r} is not among the forecasters {', '.join(predictors)}")
    chosen = {name: METRICS[name] for name in dict.fromkeys(("mse", *metrics))}
    collected: dict[tuple[str, str], list[Values]] = {}
    sources: list[str] = []
    samples: dict[str, int] = {}
    frame_size = (0, 0)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for clips, names in windows:
            _check_windows(clips, names, context + horizon)
            seen, truth = clips[:, :context], clips[:, context:].cpu()
            for name, predict in predictors.items():
                forecast = _checked_answer(name, predict(seen, horizon), tuple(truth.shape))
                for key, metric in chosen.items():
                    collected.setdefault((name, key), []).append(_score(metric, forecast, truth, pool))
            for name, sample in samplers.items():
                futures = _checked_answer(name, sample(seen, horizon), tuple(truth.shape), stochastic=True)
                if samples.setdefault(name, len(futures)) != len(futures):
                    raise ValueError(f"{name}: the number of samples changed from {samples[name]} to {len(futures)}")
                for key, metric in chosen.items():
                    table = np.stack([_score(metric, future, truth, pool) for future in futures])  # (N, B, K)
                    for label, values in _best_and_worst(table, metric).items():
                        collected.setdefault((f"{name}/{label}", key), []).append(values)
                collected.setdefault((f"{name}/mean", "diversity"), []).append(_diversity(futures))
            sources.extend(str(entry) for entry in names)
            frame_size = (clips.shape[-2], clips.shape[-1])
    bootstrap = SourceBootstrap(sources, resamples=resamples, seed=seed)
    values: dict[str, dict[str, Values]] = {}
    for (name, key), batches in collected.items():
        values.setdefault(name, {})[key] = np.concatenate(batches)
    scores = {name: {key: _summary(bootstrap, v) for key, v in table.items()} for name, table in values.items()}
    differences: dict[str, dict[str, Score]] = {}
    for name, table in values.items():
        if name == reference:
            continue
        scores[name]["skill"] = Score(*bootstrap.skill(table["mse"], values[reference]["mse"]))
        differences[name] = {key: Score(*bootstrap.difference(table[key], values[reference][key])) for key in chosen}
    definitions = {key: metric.definition for key, metric in chosen.items()}
    return ForecastScores(
        protocol=protocol,
        definitions={**definitions, "skill": SKILL.format(reference=reference), "diversity": DIVERSITY},
        better={**{key: metric.better for key, metric in chosen.items()}, "skill": "higher"},
        fingerprint=fingerprint,
        frame_size=frame_size,
        seed=seed,
        notes=_notes(bootstrap.num_sources),
        context=context,
        horizon=horizon,
        windows=len(sources),
        sources=bootstrap.num_sources,
        resamples=resamples,
        reference=reference,
        samples=samples,
        scores=scores,
        differences=differences,
        source_ids=sources,
        values=values,
    )


def score_folders(
    predictions: Mapping[str, Callable[[], ByteClip]],
    targets: Mapping[str, Callable[[], ByteClip]],
    *,
    groups: Mapping[str, str] | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    protocol: str = "folder",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
    workers: int | None = None,
) -> FolderScores:
    """Score predicted videos against the true ones of the same name, frame by frame.

    Args:
        predictions: name -> function that decodes that video to (T, C, H, W) uint8; called once, one at a time.
        targets: the same for the true videos.
        groups: name -> the source that a video was cut from, for the interval; default: each is its own.
        metrics, protocol, fingerprint, resamples, seed, workers: as in `score_forecast`.

    Raises:
        ValueError: the names differ, no video, or the two videos of a name differ in length or frame size (the message
            names it and gives both).
    """
    check_metrics(metrics)
    for there, here, folder in ((targets, predictions, "predicted"), (predictions, targets, "true")):
        if missing := sorted(there.keys() - here.keys()):
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise ValueError(f"no {folder} video named {', '.join(missing[:5])}{more}; videos are paired by name")
    groups = groups or {}
    values: dict[str, list[float]] = {name: [] for name in metrics}
    exact = dict.fromkeys(metrics, 0)
    by_video: dict[str, dict[str, float | None]] = {}
    frames = 0
    frame_sizes = set()
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for name in sorted(targets):
            prediction, target = predictions[name](), targets[name]()
            if prediction.shape != target.shape:
                raise ValueError(
                    f"{name}: the predicted video is {tuple(prediction.shape)} (T, C, H, W), the true one "
                    f"{tuple(target.shape)}; cut or resize them to one shape first"
                )
            by_video[name] = {}
            for key in metrics:
                table = _score(METRICS[key], prediction[None], target[None], pool)[0]  # (T,)
                finite = table[np.isfinite(table)]
                values[key].append(float(finite.mean()) if len(finite) else np.nan)
                by_video[name][key] = float(finite.mean()) if len(finite) else None
                exact[key] += len(table) - len(finite)
            frames += len(target)
            frame_sizes.add((target.shape[-2], target.shape[-1]))
    bootstrap = SourceBootstrap([groups.get(name, name) for name in sorted(targets)], resamples=resamples, seed=seed)
    notes = _notes(bootstrap.num_sources)
    if len(frame_sizes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(frame_sizes))
        notes.append(f"the videos have different frame sizes ({sizes}): frame sums of them do not compare")
    return FolderScores(
        protocol=protocol,
        definitions={key: METRICS[key].definition for key in metrics},
        better={key: METRICS[key].better for key in metrics},
        fingerprint=fingerprint,
        frame_size=max(frame_sizes),
        seed=seed,
        notes=notes,
        videos=len(by_video),
        sources=bootstrap.num_sources,
        frames=frames,
        resamples=resamples,
        scores={
            "prediction": {
                key: Score(bootstrap.mean(np.array(values[key])[:, None])[0], [], exact[key]) for key in metrics
            }
        },
        by_video=by_video,
    )


def copy_last(context: ByteClip, horizon: int) -> ByteClip:
    """The forecaster that every table needs: the last seen frame, K times. (B, T, C, H, W) -> (B, K, C, H, W)."""
    return context[:, -1:].expand(-1, horizon, -1, -1, -1)
