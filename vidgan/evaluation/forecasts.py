"""Evaluation of forecasts: settings, protocol and windows, measurements, result.

`evaluate_forecasts` scores a trained model, in one process or several. `score_forecast` scores any functions on any
windows. `forecast_scores` is the short evaluation during training.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from vidgan.data.dataset import ClipDataset
from vidgan.data.store.index import Index, load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.baselines import copy_last
from vidgan.evaluation.masks import motion_masks
from vidgan.evaluation.measure import Measured, Measures, Predictor, Sampler, WindowBatch, measure_forecasts
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.networks import PEERS, peer_predictors, perceptual_metrics
from vidgan.evaluation.outside_models import OutsideForecaster
from vidgan.evaluation.predictors import model_predictors, model_samplers, sampled_name
from vidgan.evaluation.progress import with_progress
from vidgan.evaluation.protocols import DEFAULT_METRICS, ForecastProtocol, check_metrics
from vidgan.evaluation.protocols.fitting import fit_to_data
from vidgan.evaluation.results import ForecastScores
from vidgan.evaluation.settings import ALL, ForecastSettings
from vidgan.evaluation.share import Share
from vidgan.evaluation.summary import COPY_LAST, summarise
from vidgan.evaluation.windows import BATCH, WindowSet, dataset_windows
from vidgan.files import file_hash
from vidgan.metrics.frame import METRICS, SEQUENCE_SUMS, FrameMetric
from vidgan.metrics.frame_torch import metrics_on
from vidgan.metrics.masked import MASKED
from vidgan.metrics.statistics import MIN_RESAMPLES
from vidgan.tasks.base import ForecastModel
from vidgan.types import ByteClip

SHORTEST_CONTEXT = 2  # frames; motion needs two


def plan_forecasts(
    trained: TrainedModel, settings: ForecastSettings, processes: int
) -> tuple[ForecastProtocol, WindowSet]:
    """The protocol and the windows.

    Raises:
        ConfigError: data that do not fit the protocol, a context that is too short for the model, or more processes
            than batches. DataError: nothing is held out, or no clip is long enough.
    """
    index = load_index(trained.data)
    if settings.split == ALL:
        trained.refuse_training_data(index)
    protocol = fit_to_data(
        _protocol(trained, settings), index, allow_deviation=settings.allow_deviation, split=settings.split
    )
    preset = settings.protocol is not None and protocol.preparation is not None
    sampling: dict[str, Any] = {"rule": protocol.windows} if preset else {
        "stride": trained.facts.stride, "fps": trained.facts.sampled_fps,
    }  # fmt: skip
    length = protocol.context + protocol.horizon
    windows = WindowSet(trained.data, length, crop=trained.crop, split=settings.split, seed=settings.seed, **sampling)
    batches = -(-len(windows) // BATCH)
    if processes > batches:
        raise ConfigError(
            f"--processes {processes}: {len(windows)} windows are {batches} batches of {BATCH}; accepted are 1 to"
            f" {batches} processes"
        )
    return protocol, windows


def evaluate_forecasts(trained: TrainedModel, settings: ForecastSettings, share: Share) -> ForecastScores:
    """Score a forecasting model; each of several processes returns the same result.

    Raises:
        ConfigError, DataError: as `plan_forecasts`. WeightsError: weights of a metric are missing.
    """
    protocol, windows = plan_forecasts(trained, settings, share.processes)
    device = settings.torch_device()
    peers = {name: path for name, path in settings.weights.items() if name in PEERS}
    others = {name: path for name, path in settings.weights.items() if name not in PEERS}
    perceptual = perceptual_metrics(protocol.metrics, others, device)
    extra = perceptual if device.type == "cpu" else metrics_on(device) | perceptual
    mask, mask_note = motion_masks() if set(protocol.metrics) & MASKED.keys() else (None, "")
    measures = choose_measures(
        tuple(dict.fromkeys((*protocol.metrics, *perceptual))),
        extra=extra,
        best_by=settings.best_by,
        mask=mask,
        grey=protocol.grey,
        growing=protocol.growing,
    )
    model = trained.forecast_model
    if isinstance(model, nn.Module):
        model.to(device)
    if isinstance(model, OutsideForecaster):
        model.check(
            windows.read_all(windows.windows[:1])[:, : protocol.context], 1 if protocol.growing else protocol.horizon
        )
    measured = measure_forecasts(
        model_predictors(model) | peer_predictors(peers, device),
        model_samplers(model, settings.num_samples, settings.seed),
        with_progress(
            windows.batches(rank=share.rank, processes=share.processes),
            total=-(-len(windows) // (BATCH * share.processes)),
            quiet=share.rank > 0,
        ),
        measures,
        context=protocol.context,
        horizon=protocol.horizon,
    )
    if share.processes > 1:
        measured = gather(measured, windows, share)
    scores = summarise(
        measured,
        measures,
        context=protocol.context,
        horizon=protocol.horizon,
        protocol=protocol.name,
        subject=f"{sampled_name(model)}/mean" if settings.num_samples > 1 else model.forecast_name,
        reference=COPY_LAST,
        cumulative=protocol.cumulative,
        mask_note=mask_note,
        main=next((m for m in protocol.metrics if m in measures.frame), None),
        fingerprint=windows.index.fingerprint,
        seed=settings.seed,
    )
    return replace(
        scores,
        notes=[*scores.notes, *_notes(trained, protocol, len(windows), windows.index)],
        provenance={
            "counts": {"windows": len(windows), "published_counts": list(protocol.expected)},
            "metric_weights": {
                **{name: digest for metric in extra.values() for name, digest in metric.weights.items()},
                **{name: file_hash(path) for name, path in peers.items()},
            },
            "device": str(device),
            # The report repeats the forecasts of these frames to display the cases.
            "case_frames": {case.id: [int(n) for n in windows.windows[case.window].frames] for case in scores.cases},
            "growing": protocol.growing,
        },
    )


def gather(measured: Measured, windows: WindowSet, share: Share) -> Measured:
    """The measurements of all processes in the order of the windows; each process receives the same."""
    total = len(windows)

    def join(values: np.ndarray, rows: list[int] = measured.rows, total: int = total) -> np.ndarray:
        table = np.zeros((total, *values.shape[1:]))
        table[rows] = values
        return share.total(table)  # exact: all other processes hold zeros in these rows

    batches = [row // BATCH for row in measured.rows if row % BATCH == 0]
    return Measured(
        values={name: {key: join(values) for key, values in table.items()} for name, table in measured.values.items()},
        similarity=join(measured.similarity),
        rows=list(range(total)),
        sources=[window.entry.group for window in windows.windows],
        ids=[window.id for window in windows.windows],
        samples=measured.samples,
        ranks={name: join(counts, batches, -(-total // BATCH)) for name, counts in measured.ranks.items()},
        frame_size=measured.frame_size,
    )


def forecast_scores(
    model: ForecastModel,
    dataset: ClipDataset,
    *,
    context: int,
    horizon: int,
    limit: int | None = None,
    brief: bool = False,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> ForecastScores:
    """Score a model on non-overlapping windows of `dataset`, with copy-last.

    Args:
        limit: maximum number of windows.
        brief: score only the forecast and copy-last; default: also its parts and the other baselines.
    """
    measures = choose_measures(metrics)
    measured = measure_forecasts(
        model_predictors(model, brief=brief),
        {},
        dataset_windows(dataset, context + horizon).batches(limit=limit),
        measures,
        context=context,
        horizon=horizon,
    )
    fingerprint = dataset.index.fingerprint
    return summarise(measured, measures, context=context, horizon=horizon, protocol="held-out", fingerprint=fingerprint)


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
    """Score forecasters on the same windows; copy-last is always one of them.

    Args:
        predictors: name -> function of (context (B, T, C, H, W) uint8, horizon K) that returns (B, K, C, H, W) uint8.
        windows: batches of clips (B, T+K, C, H, W) uint8 with the name of the source video of each clip.
        context: T, frames given to a forecaster.
        horizon: K, frames forecast.
        samplers: name -> the same for stochastic forecasters, which also take the numbers of the windows (to key their
            draws) and return (N, B, K, C, H, W), N >= 2 samples.
        metrics: names in `METRICS` or `extra`. MSE is always computed, for the skill.
        extra: metrics that need weights, by name.
        best_by: the metric that selects the best and the worst sample; None: each metric selects its own.
        grey: score one channel.
        growing: frame t is forecast from frames 0..t-1.
        protocol: recorded in the result.
        reference: the forecaster that `skill` and `differences` are relative to.
        fingerprint: of the data, recorded in the result.
        resamples: of the bootstrap over sources, at least 1000.
        seed: of the bootstrap.
        workers: threads that score frames; default: one per CPU core. The result does not depend on it.

    Returns:
        Means, 95 % intervals over sources, curves over the horizon, skill and paired differences.

    Raises:
        ValueError: unknown metric or reference, no window, windows of another length, or a forecaster whose answer is
            not uint8 of the right shape (the message names it).
    """
    measures = choose_measures(metrics, extra=extra, best_by=best_by, grey=grey, growing=growing)
    predictors, samplers = dict(predictors), dict(samplers or {})
    predictors.setdefault(COPY_LAST, copy_last)
    if both := sorted(predictors.keys() & samplers.keys()):
        raise ValueError(f"forecasters in both predictors and samplers: {', '.join(both)}")
    if reference not in predictors:
        raise ValueError(f"reference {reference!r}: accepted are {', '.join(predictors)}")
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


def choose_measures(
    metrics: Sequence[str], *, extra: Mapping[str, FrameMetric] | None = None, **options: Any
) -> Measures:
    """The metrics of these names, with MSE first; `options` are further fields of `Measures`.

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
        raise ValueError(f"{masked[0]} needs masks of the moving pixels")
    best_by = options.get("best_by")
    if best_by is not None and best_by not in [*names, *masked]:
        raise ValueError(f"best_by {best_by}: accepted are the chosen metrics, {', '.join([*names, *masked])}")
    return Measures(
        frame={name: known[name] for name in names},
        masked={name: MASKED[name] for name in masked},
        sums=sums,
        **options,
    )


def _protocol(trained: TrainedModel, settings: ForecastSettings) -> ForecastProtocol:
    """The preset, or a protocol made from the context and horizon of the model."""
    protocol = settings.protocol
    trained_context = trained.facts.context
    if protocol is None:
        if trained.is_outside and None in (settings.context, settings.horizon):
            raise ConfigError("--model needs --context and --horizon, or --protocol, which fixes both")
        if trained_context is None and settings.context is None:
            raise ConfigError(f"{trained.name}: its context is unknown; give --context")
        context = settings.context or trained_context or 0
        horizon = settings.horizon or max(1, trained.facts.frames - (trained_context or 0))
        clips, data = ("all", "all clips") if settings.split == ALL else ("held-out", "the test split")
        protocol = ForecastProtocol(
            name=f"{clips}-{context}to{horizon}{'-growing' if settings.growing else ''}",
            context=context,
            horizon=horizon,
            growing=settings.growing,
            metrics=DEFAULT_METRICS,
            data=f"{data}, windows that do not overlap, from the front",
        )
    if protocol.context < SHORTEST_CONTEXT and not protocol.growing:
        raise ConfigError(
            f"--protocol {protocol.name} gives {protocol.context} frame, {trained.name} needs at least"
            f" {SHORTEST_CONTEXT}"
        )
    return replace(protocol, metrics=settings.metrics or protocol.metrics)


def _notes(trained: TrainedModel, protocol: ForecastProtocol, windows: int, index: Index) -> list[str]:
    notes = [f"the protocol: {protocol.data}", *protocol.notes]
    if protocol.expected:
        counts = " or ".join(map(str, protocol.expected))
        warning = (
            "" if windows in protocol.expected else "; the window sets differ, so quoted rows compare only roughly"
        )
        notes.insert(0, f"{windows} windows; publications count {counts}{warning}")
    context = trained.facts.context
    if context is not None and not protocol.growing and protocol.context != context:
        notes.append(f"{trained.name} was trained with {context} context frames and is given {protocol.context}")
    if trained.is_outside:
        notes.append(f"what {trained.name} was trained on is not known; make sure that it has not seen these clips")
    elif trained.facts.fingerprint != index.fingerprint:
        notes.append("scored on data other than the training data set")
    return notes
