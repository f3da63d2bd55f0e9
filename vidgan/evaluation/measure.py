"""Measure forecasts: one number per (forecaster, metric, window, step), without taking means.

Frames are not kept, so that memory does not limit the number of windows. The numbers do not depend on how windows are
batched or divided among processes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vidgan.cores import usable_cores
from vidgan.evaluation.rows import Table, Values
from vidgan.metrics.calibration import rank_counts, spread_terms
from vidgan.metrics.frame import METRICS, FrameMetric, score_frames, to_grey
from vidgan.metrics.local_statistics import GAUSSIAN_WINDOW
from vidgan.metrics.masked import MaskedMetric
from vidgan.metrics.values import finite_mean
from vidgan.types import ByteClip

Predictor: TypeAlias = Callable[[ByteClip, int], ByteClip]
Sampler: TypeAlias = Callable[[ByteClip, int, Sequence[int]], ByteClip]
MaskFunction: TypeAlias = Callable[[ByteClip, ByteClip], Tensor]

SPREAD = ("spread_variance", "mean_sample_error")  # of a sampler's mean row, for its calibration
OF_SAMPLES = ("diversity", *SPREAD)  # metrics of a sampler's mean row alone


class WindowBatch(NamedTuple):
    """Windows that are forecast together."""

    clips: ByteClip  # (B, T+K, C, H, W)
    sources: Sequence[str]  # source video of each window: the unit of the bootstrap
    ids: Sequence[str]  # name of each window
    rows: Sequence[int]  # number of each window in the whole evaluation; keys a sampler's draws
    captions: Sequence[str] = ()  # the first caption of each window's clip, "" for a clip without; () if unknown


@dataclass
class Measured:
    """Measurements of one process; `rows` are the numbers of its windows in the whole evaluation."""

    values: Table = field(default_factory=dict)  # forecaster -> metric -> (W, K)
    similarity: Values = field(default_factory=lambda: np.zeros(0))  # (W,) SSIM of last context, first target
    rows: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    samples: dict[str, int] = field(default_factory=dict)
    ranks: dict[str, Values] = field(default_factory=dict)  # sampler -> (batches, N+1) counts of the truth's rank
    frame_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The metrics of each forecast.

    Attributes:
        frame: name -> metric of a frame.
        masked: name -> metric of a frame and a mask; `mask`(context, truth) returns the mask, (B, K, 1, H, W) bool.
        sums: names in `SEQUENCE_SUMS`, computed from frame metrics.
        best_by: the metric that selects a sampler's best and worst sample; None: each metric its own.
        grey: score one channel, the luma.
        growing: frame t is forecast from frames 0..t-1 instead of from the first `context` frames.
    """

    frame: dict[str, FrameMetric]
    masked: dict[str, MaskedMetric] = field(default_factory=dict)
    mask: MaskFunction | None = None
    sums: Sequence[str] = ()
    best_by: str | None = None
    grey: bool = False
    growing: bool = False


def measure_forecasts(
    predictors: Mapping[str, Predictor],
    samplers: Mapping[str, Sampler],
    windows: Iterable[WindowBatch | tuple[ByteClip, Sequence[str]]],
    measures: Measures,
    *,
    context: int,
    horizon: int,
    workers: int | None = None,
) -> Measured:
    """Score every forecaster on every window; arguments as in `vidgan.evaluation.forecasts.score_forecast`.

    Raises:
        ValueError: windows of another length, or a forecaster whose answer is not uint8 of the right shape.
    """
    measured = Measured()
    parts: dict[tuple[str, str], list[Values]] = {}
    ranks: dict[str, list[Values]] = {}
    similarities: list[Values] = [measured.similarity]
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        score = partial(_scores, measures=measures, pool=pool)
        for entry in windows:
            batch = _complete(entry, len(measured.rows))
            _check_windows(batch, context + horizon)
            clips = batch.clips
            first, future = clips[:, :context], clips[:, context:].cpu()
            truth = _reduced(future, measures)
            mask = None if measures.mask is None else measures.mask(first, future)
            for name, forecast in _forecasts(predictors, clips, context, horizon, growing=measures.growing):
                for key, values in score(_reduced(forecast, measures), truth, mask).items():
                    parts.setdefault((name, key), []).append(values)
            for name, sample in samplers.items():
                drawn = sample(first, horizon, batch.rows)
                futures = _checked_answer(name, drawn, tuple(future.shape), stochastic=True)
                if measured.samples.setdefault(name, len(futures)) != len(futures):
                    before = measured.samples[name]
                    raise ValueError(f"{name}: the number of samples changed from {before} to {len(futures)}")
                ranks.setdefault(name, []).append(rank_counts(futures, future))
                variance, error = spread_terms(futures, future)
                # Twice the unbiased variance is the mean squared difference over pairs.
                for key, values in zip(OF_SAMPLES, (2 * variance, variance, error), strict=True):
                    parts.setdefault((f"{name}/mean", key), []).append(values)
                for label, table in _of_samples(futures, truth, mask, measures, score).items():
                    for key, values in table.items():
                        parts.setdefault((f"{name}/{label}", key), []).append(values)
            similarities.append(_similarity(_reduced(first[:, -1].cpu(), measures), truth[:, 0]))
            measured.rows.extend(batch.rows)
            measured.sources.extend(str(source) for source in batch.sources)
            measured.ids.extend(str(name) for name in batch.ids)
            measured.frame_size = (clips.shape[-2], clips.shape[-1])
    for (name, key), columns in parts.items():
        measured.values.setdefault(name, {})[key] = np.concatenate(columns)
    measured.ranks = {name: np.stack(counts) for name, counts in ranks.items()}
    measured.similarity = np.concatenate(similarities)
    return measured


def _forecasts(
    predictors: Mapping[str, Predictor], clips: ByteClip, context: int, horizon: int, *, growing: bool
) -> Iterable[tuple[str, ByteClip]]:
    """(name, checked forecast (B, K, C, H, W)) of each predictor."""
    shape = (len(clips), horizon, *clips.shape[2:])
    if not growing:
        first = clips[:, :context]
        for name, predict in predictors.items():
            yield name, _checked_answer(name, predict(first, horizon), shape)
        return
    steps: dict[str, list[ByteClip]] = {name: [] for name in predictors}
    for t in range(context, context + horizon):
        # Motion needs two frames: a single one is repeated, as in a static scene.
        before = clips[:, :t] if t > 1 else clips[:, :1].expand(-1, 2, -1, -1, -1)
        for name, predict in predictors.items():
            steps[name].append(_checked_answer(name, predict(before, 1), (shape[0], 1, *shape[2:])))
    for name, frames in steps.items():
        yield name, torch.cat(frames, dim=1)


def _scores(
    forecast: ByteClip, truth: ByteClip, mask: Tensor | None, *, measures: Measures, pool: Executor
) -> dict[str, Values]:
    """metric -> (B, K)."""
    scores = {}
    for key, metric in measures.frame.items():
        pair = forecast, truth
        if metric.weights and truth.shape[-3] == 1:  # a network reads RGB
            pair = forecast.expand(-1, -1, 3, -1, -1), truth.expand(-1, -1, 3, -1, -1)
        scores[key] = score_frames(metric, *pair, pool)
    for key, masked in measures.masked.items():
        assert mask is not None, "masked metrics come with a mask function"
        values, counted = masked.function(forecast, truth, mask)
        scores[key] = np.where(counted, values, np.nan)
    return scores


def _of_samples(
    futures: ByteClip,
    truth: ByteClip,
    mask: Tensor | None,
    measures: Measures,
    score: Callable[[ByteClip, ByteClip, Tensor | None], dict[str, Values]],
) -> dict[str, dict[str, Values]]:
    """(N, B, K, C, H, W) -> "mean", "best", "worst", "average" -> metric -> (B, K)."""
    each = [score(_reduced(future, measures), truth, mask) for future in futures]
    tables = {key: np.stack([scores[key] for scores in each]) for key in each[0]}  # (N, B, K)
    quality = {
        key: _quality(table, (measures.frame | measures.masked)[key].better == "higher")
        for key, table in tables.items()
    }  # (N, B)
    rows: dict[str, dict[str, Values]] = {"mean": {}, "best": {}, "worst": {}}
    windows = np.arange(len(truth))
    for key, table in tables.items():
        ranking = quality[measures.best_by or key]
        rows["mean"][key] = finite_mean(table, axis=0)
        rows["best"][key] = table[ranking.argmax(axis=0), windows]
        rows["worst"][key] = table[ranking.argmin(axis=0), windows]
    rows["average"] = score(_reduced(_average(futures), measures), truth, mask)
    return rows


def _quality(table: Values, higher: bool) -> Values:
    """(N, B, K) -> (N, B), larger is better; excluded steps (NaN) are ignored."""
    counted = ~np.isnan(table)
    total = np.where(counted, table, 0).sum(axis=2) / np.maximum(counted.sum(axis=2), 1)
    return total if higher else -total


def _average(futures: ByteClip) -> ByteClip:
    """(N, ...) -> (...): the pixel mean of the samples, rounded."""
    total = torch.zeros(futures.shape[1:], dtype=torch.int64)
    for future in futures:  # one at a time: all samples as floats may exceed memory
        total += future
    return (total.double() / len(futures)).round().to(torch.uint8)


def _reduced(frames: ByteClip, measures: Measures) -> ByteClip:
    """The frames as they are scored: (..., C, H, W) -> (..., 1, H, W) if `grey` is set."""
    if not measures.grey or frames.shape[-3] == 1:
        return frames
    return to_grey(frames)


def _similarity(last_context: ByteClip, first_target: ByteClip) -> Values:
    """Two frames (B, C, H, W) -> (B,) SSIM-G; NaN if frames are smaller than its Gaussian window."""
    if min(last_context.shape[-2:]) < GAUSSIAN_WINDOW:
        return np.full(len(last_context), np.nan)
    return METRICS["ssim"].function(last_context, first_target)


def _complete(batch: WindowBatch | tuple[ByteClip, Sequence[str]], first: int) -> WindowBatch:
    """Number the windows of a batch that has no names."""
    if isinstance(batch, WindowBatch):
        return batch
    clips, sources = batch
    rows = range(first, first + len(clips))
    return WindowBatch(clips, sources, [f"{source}#{row}" for source, row in zip(sources, rows, strict=False)], rows)


def _check_windows(batch: WindowBatch, length: int) -> None:
    clips = batch.clips
    if clips.dtype != torch.uint8 or clips.dim() != 5 or clips.shape[1] != length:
        raise ValueError(
            f"evaluation windows are uint8 (B, {length}, C, H, W), context and horizon together, "
            f"got {clips.dtype} of shape {tuple(clips.shape)}"
        )
    if len(batch.sources) != len(clips):
        raise ValueError(f"one source per window is needed, got {len(clips)} windows, {len(batch.sources)} sources")


def _checked_answer(name: str, answer: Tensor, shape: tuple[int, ...], *, stochastic: bool = False) -> ByteClip:
    actual = tuple(answer.shape[1:] if stochastic else answer.shape)
    if answer.dtype != torch.uint8 or actual != shape:
        expected = f"(N, {', '.join(map(str, shape))})" if stochastic else str(shape)
        raise ValueError(
            f"the forecaster {name!r} must return uint8 {expected}, got {answer.dtype} of shape {tuple(answer.shape)}"
        )
    if stochastic and len(answer) < 2:
        raise ValueError(f"the stochastic forecaster {name!r} must return at least 2 samples, got {len(answer)}")
    return answer.cpu()
