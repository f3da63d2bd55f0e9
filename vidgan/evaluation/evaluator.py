"""The evaluators: `score_forecast` here, `score_synthesis` and `score_folders` in files of their own.

An evaluator takes functions and clips, never a model or a data set. It keeps one number a frame and metric, not the
frames, so the number of windows is not limited by memory.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from vidgan.evaluation.folders import score_folders
from vidgan.evaluation.frame import METRICS, FrameMetric, Values, score_frames
from vidgan.evaluation.protocols import DEFAULT_METRICS, check_metrics
from vidgan.evaluation.results import ForecastScores, Score
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.types import ByteClip

__all__ = ["copy_last", "score_folders", "score_forecast", "score_synthesis"]

Predictor: TypeAlias = Callable[[ByteClip, int], ByteClip]

COPY_LAST = "copy-last"
DIVERSITY = "mean squared difference between the samples of a forecaster, RGB in [0, 1]"
SKILL = "1 - MSE-pix / MSE-pix of {name}, of the means over windows; 1 is perfect, 0 as good as {name}"


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
    tables: dict[str, dict[str, list[Values]]] = {}  # forecaster -> metric -> batches of (B, K)
    sources: list[str] = []
    samples: dict[str, int] = {}
    frame_size = (0, 0)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for clips, names in windows:
            _check_windows(clips, names, context + horizon)
            seen, truth = clips[:, :context], clips[:, context:].cpu()
            for name, predict in predictors.items():
                forecast = _checked_answer(name, predict(seen, horizon), tuple(truth.shape))
                for key, metric in chosen.items():
                    _append(tables, name, key, score_frames(metric, forecast, truth, pool))
            for name, sample in samplers.items():
                futures = _checked_answer(name, sample(seen, horizon), tuple(truth.shape), stochastic=True)
                if samples.setdefault(name, len(futures)) != len(futures):
                    raise ValueError(f"{name}: the number of samples changed from {samples[name]} to {len(futures)}")
                for key, metric in chosen.items():
                    table = np.stack([score_frames(metric, future, truth, pool) for future in futures])  # (N, B, K)
                    for label, curves in _over_samples(table, metric).items():
                        _append(tables, f"{name}/{label}", key, curves)
                _append(tables, f"{name}/mean", "diversity", _diversity(futures))
            sources.extend(str(entry) for entry in names)
            frame_size = (clips.shape[-2], clips.shape[-1])
    bootstrap = SourceBootstrap(sources, resamples=resamples, seed=seed)
    values = {name: {key: np.concatenate(parts) for key, parts in table.items()} for name, table in tables.items()}
    scores = {name: {key: _summary(bootstrap, v) for key, v in table.items()} for name, table in values.items()}
    differences: dict[str, dict[str, Score]] = {}
    baseline = values[reference]
    for name, measured in values.items():
        if name != reference:
            scores[name]["skill"] = Score(*bootstrap.skill(measured["mse"], baseline["mse"]))
            differences[name] = {key: Score(*bootstrap.difference(measured[key], baseline[key])) for key in chosen}
    definitions = {key: metric.definition for key, metric in chosen.items()} | {"skill": SKILL.format(name=reference)}
    return ForecastScores(
        protocol=protocol,
        definitions=definitions | ({"diversity": DIVERSITY} if samplers else {}),
        better={**{key: metric.better for key, metric in chosen.items()}, "skill": "higher"},
        fingerprint=fingerprint,
        frame_size=frame_size,
        seed=seed,
        notes=bootstrap.notes(),
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


def copy_last(context: ByteClip, horizon: int) -> ByteClip:
    """The forecaster that every table needs: the last seen frame, K times. (B, T, C, H, W) -> (B, K, C, H, W)."""
    return context[:, -1:].expand(-1, horizon, -1, -1, -1)


def _append(tables: dict[str, dict[str, list[Values]]], name: str, metric: str, values: Values) -> None:
    tables.setdefault(name, {}).setdefault(metric, []).append(values)


def _check_windows(clips: ByteClip, names: Sequence[str], length: int) -> None:
    if clips.dtype != torch.uint8 or clips.dim() != 5 or clips.shape[1] != length:
        raise ValueError(
            f"evaluation windows are uint8 (B, {length}, C, H, W), context and horizon together, "
            f"got {clips.dtype} of shape {tuple(clips.shape)}"
        )
    if len(names) != len(clips):
        raise ValueError(f"every window needs the name of its source: {len(clips)} windows, {len(names)} names")


def _checked_answer(name: str, answer: Tensor, shape: tuple[int, ...], *, stochastic: bool = False) -> ByteClip:
    found = tuple(answer.shape[1:] if stochastic else answer.shape)
    if answer.dtype != torch.uint8 or found != shape:
        wanted = f"(N, {', '.join(map(str, shape))})" if stochastic else str(shape)
        raise ValueError(
            f"the forecaster {name!r} must give uint8 {wanted}, got {answer.dtype} of shape {tuple(answer.shape)}"
        )
    if stochastic and len(answer) < 2:
        raise ValueError(f"the stochastic forecaster {name!r} must give at least 2 samples, got {len(answer)}")
    return answer.cpu()


def _over_samples(table: Values, metric: FrameMetric) -> dict[str, Values]:
    """(N, B, K) of one metric -> mean score of the samples, and the curves of the best and the worst one, (B, K)."""
    finite = np.isfinite(table)
    count = finite.sum(axis=0)
    mean = np.where(count > 0, np.where(finite, table, 0).sum(axis=0) / np.maximum(count, 1), np.inf)
    quality = table.mean(axis=2) * (1 if metric.better == "higher" else -1)  # (N, B)
    windows = np.arange(table.shape[1])
    return {
        "mean": mean,
        "best": table[quality.argmax(axis=0), windows],
        "worst": table[quality.argmin(axis=0), windows],
    }


def _diversity(futures: ByteClip) -> Values:
    """(N, B, K, C, H, W) -> (B, K): mean squared difference over pairs of samples, twice the unbiased variance."""
    number = len(futures)
    total, squares = torch.zeros(2, *futures.shape[1:], dtype=torch.int64)
    for future in futures:  # one at a time: a hundred samples in float64 would not fit
        total += future
        squares += future.long().square()
    variance = (squares - total.double().square() / number) / (number - 1)
    return 2 * variance.mean(dim=(-3, -2, -1)).numpy() / 255**2


def _summary(bootstrap: SourceBootstrap, values: Values) -> Score:
    return Score(*bootstrap.mean(values), int(np.isinf(values).sum()))
