"""The evaluators: `score_forecast` here, `score_synthesis` and `score_folders` in files of their own.

An evaluator takes functions and clips, never a model or a data set.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidgan.evaluation.folders import score_folders
from vidgan.evaluation.measure import (
    Measures,
    Predictor,
    Sampler,
    WindowBatch,
    measure_forecasts,
)
from vidgan.evaluation.protocols import DEFAULT_METRICS, check_metrics
from vidgan.evaluation.results import ForecastScores
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.summary import COPY_LAST, summarise
from vidgan.metrics.frame import METRICS, SEQUENCE_SUMS, FrameMetric
from vidgan.metrics.masked import MASKED
from vidgan.metrics.statistics import MIN_RESAMPLES
from vidgan.types import ByteClip

__all__ = ["chosen_measures", "copy_last", "score_folders", "score_forecast", "score_synthesis"]


def score_forecast(
    predictors: Mapping[str, Predictor],
    windows: Iterable[WindowBatch | tuple[ByteClip, Sequence[str]]],
    *,
    context: int,
    horizon: int,
    samplers: Mapping[str, Sampler] | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    extra: Mapping[str, FrameMetric] | None = None,
    best_by: str | None = None,
    grey: bool = False,
    growing: bool = False,
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
        samplers: name -> the same for stochastic forecasters, which also take the windows' numbers (to key their draws
            by) and give (N, B, K, C, H, W), N >= 2 samples.
        metrics: names in `METRICS` or `extra`. MSE is always computed, for the skill.
        extra: metrics that need weights, by name.
        best_by: the metric by which best and worst samples are chosen; None: each metric by itself.
        grey: score one channel.
        growing: frame t is forecast from frames 0..t-1.
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
    measures = chosen_measures(metrics, extra=extra, best_by=best_by, grey=grey, growing=growing)
    predictors, samplers = dict(predictors), dict(samplers or {})
    predictors.setdefault(COPY_LAST, copy_last)
    if both := sorted(predictors.keys() & samplers.keys()):
        raise ValueError(f"forecasters given both as predictor and as sampler: {', '.join(both)}")
    if reference not in predictors:
        raise ValueError(f"the reference {reference!r} is not among the forecasters {', '.join(predictors)}")
    measured = measure_forecasts(
        predictors, samplers, windows, measures, context=context, horizon=horizon, workers=workers
    )
    return summarise(
        measured,
        measures,
        context=context,
        horizon=horizon,
        protocol=protocol,
        reference=reference,
        fingerprint=fingerprint,
        resamples=resamples,
        seed=seed,
    )


def chosen_measures(
    metrics: Sequence[str],
    *,
    extra: Mapping[str, FrameMetric] | None = None,
    **options: Any,
) -> Measures:
    """The metrics of those names, with MSE first; `options` are further fields of `Measures`.

    Raises:
        ValueError: a name that is in neither `METRICS` nor `extra`.
    """
    known = METRICS | dict(extra or {})
    check_metrics(metrics, also=[*(extra or {}), *SEQUENCE_SUMS, *MASKED])
    sums = [name for name in metrics if name in SEQUENCE_SUMS]
    masked = [name for name in metrics if name in MASKED]
    wanted = dict.fromkeys(("mse", *metrics, *(SEQUENCE_SUMS[name][0] for name in sums)))
    names = [name for name in wanted if name in known]
    if masked and options.get("mask") is None:
        raise ValueError(f"{masked[0]} needs masks of the pixels that move")
    best_by = options.get("best_by")
    if best_by is not None and best_by not in [*names, *masked]:
        raise ValueError(f"the best sample is to be chosen by {best_by}, which is not among {', '.join(names)}")
    return Measures(
        frame={name: known[name] for name in names},
        masked={name: MASKED[name] for name in masked},
        sums=sums,
        **options,
    )


def copy_last(context: ByteClip, horizon: int) -> ByteClip:
    """The forecaster that every table needs: the last seen frame, K times. (B, T, C, H, W) -> (B, K, C, H, W)."""
    return context[:, -1:].expand(-1, horizon, -1, -1, -1)
