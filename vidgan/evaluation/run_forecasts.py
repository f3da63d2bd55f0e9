"""`vidgan evaluate` of a model that forecasts: preset or own windows, baselines beside, over one or many processes."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import Progress

from vidgan.data.store.index import Index, load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.evaluator import chosen_measures
from vidgan.evaluation.masks import motion_masks
from vidgan.evaluation.measure import Measured, WindowBatch, measure_forecasts
from vidgan.evaluation.networks import perceptual_metrics
from vidgan.evaluation.places import ALL, BATCH, Places
from vidgan.evaluation.presets import fitting
from vidgan.evaluation.protocols import DEFAULT_METRICS, ForecastProtocol
from vidgan.evaluation.results import ForecastScores
from vidgan.evaluation.scoring import FUSED, SAMPLED, forecasters, samplers
from vidgan.evaluation.settings import Settings
from vidgan.evaluation.subjects import Subject
from vidgan.evaluation.summary import COPY_LAST, summarise
from vidgan.metrics.frame_torch import metrics_on
from vidgan.metrics.masked import MASKED
from vidgan.tasks.forecasting.prediction import Forecaster
from vidgan.training.launcher import exit_with_launcher

FEWEST_SEEN = 2  # frames that a forecaster of motion must be given


@dataclass(frozen=True)
class Share:
    """Which of the processes of an evaluation this one is."""

    rank: int = 0
    processes: int = 1

    @classmethod
    def of_launcher(cls) -> "Share":
        """As torchrun or accelerate launch says; the processes then know each other."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if processes == 1:
            return cls()
        exit_with_launcher()
        if not dist.is_initialized():
            dist.init_process_group("gloo")
        return cls(dist.get_rank(), dist.get_world_size())


def plan_forecasts(subject: Subject, settings: Settings, processes: int) -> tuple[ForecastProtocol, Places]:
    """The protocol and the windows, checked before anything runs.

    Raises:
        ConfigError: an option without effect, data that the protocol is not about, a context the model cannot take, or
            more processes than batches. DataError: nothing is held out, or no clip is long enough.
    """
    settings.refuse("a model that forecasts", "clips", "frames", "seeds", "mcs", "flow_histograms")
    index = load_index(subject.data)
    _check_split(subject, settings, index)
    protocol = fitting(_protocol(subject, settings), index, settings)
    preset = settings.protocol is not None and protocol.preparation is not None
    time: dict[str, Any] = {"rule": protocol.windows} if preset else {"stride": subject.stride, "fps": subject.fps}
    length = protocol.context + protocol.horizon
    places = Places(subject.data, length, window=subject.window, split=settings.split, seed=settings.seed, **time)
    batches = -(-len(places) // BATCH)
    if processes > batches:
        raise ConfigError(
            f"--processes {processes}: {len(places)} windows are {batches} batches of {BATCH}; give at most as many"
            " processes"
        )
    return protocol, places


def evaluate_forecasts(subject: Subject, settings: Settings, share: Share) -> ForecastScores:
    """Score a forecaster; with several processes every one gives the same result.

    Raises:
        ConfigError, DataError: as `plan_forecasts`. WeightsError: weights of a metric are missing.
    """
    protocol, places = plan_forecasts(subject, settings, share.processes)
    device = settings.torch_device(int(os.environ.get("LOCAL_RANK", "0")))
    perceptual = perceptual_metrics(protocol.metrics, settings.weights, device)
    extra = perceptual if device.type == "cpu" else metrics_on(device) | perceptual
    samples = settings.samples or protocol.samples
    if protocol.growing and samples > 1:
        raise ConfigError(f"--samples has no effect on --protocol {protocol.name}, which forecasts each frame once")
    if settings.best_by is not None and samples == 1:
        raise ConfigError("--best-by has no effect on a single forecast; give --samples")
    mask, mask_note = motion_masks() if set(protocol.metrics) & MASKED.keys() else (None, "")
    measures = chosen_measures(
        tuple(dict.fromkeys((*protocol.metrics, *perceptual))),
        extra=extra,
        best_by=settings.best_by,
        mask=mask,
        grey=protocol.grey,
        growing=protocol.growing,
    )
    model = subject.model
    assert isinstance(model, Forecaster)
    model.to(device)  # type: ignore[attr-defined]
    batches = places.batches(rank=share.rank, processes=share.processes)
    measured = measure_forecasts(
        forecasters(model),
        samplers(model, samples, settings.seed),
        _shown(batches, -(-len(places) // (BATCH * share.processes)), quiet=share.rank > 0),
        measures,
        context=protocol.context,
        horizon=protocol.horizon,
    )
    if share.processes > 1:
        measured = gathered(measured, places)
    scores = summarise(
        measured,
        measures,
        context=protocol.context,
        horizon=protocol.horizon,
        protocol=protocol.name,
        subject=f"{SAMPLED}/mean" if samples > 1 else FUSED,
        reference=COPY_LAST,
        cumulative=protocol.cumulative,
        mask_note=mask_note,
        main=next((m for m in protocol.metrics if m in measures.frame), None),
        fingerprint=places.index.fingerprint,
        seed=settings.seed,
    )
    hashes = {name: digest for metric in extra.values() for name, digest in metric.weights.items()}
    counts = {"windows": len(places), "published_counts": list(protocol.expected)}
    return replace(
        scores,
        notes=[*scores.notes, *_notes(subject, protocol, len(places), places.index)],
        provenance={
            "counts": counts,
            "metric_weights": hashes,
            "device": str(device),
            # What it takes to forecast the cases once more, to look at them.
            "case_frames": {case.id: [int(n) for n in places.found[case.window].frames] for case in scores.cases},
            "growing": protocol.growing,
        },
    )


def gathered(measured: Measured, places: Places) -> Measured:
    """The measurements of all processes, in the order of the windows; every process gets the same."""
    total = len(places)

    def joined(values: np.ndarray, rows: list[int] = measured.rows, total: int = total) -> np.ndarray:
        table = np.zeros((total, *values.shape[1:]))
        table[rows] = values
        shared = torch.from_numpy(table)
        dist.all_reduce(shared)  # every other process holds zeros there, so that the sum is exact
        return shared.numpy()

    batches = [row // BATCH for row in measured.rows if row % BATCH == 0]

    return Measured(
        values={
            name: {key: joined(values) for key, values in table.items()} for name, table in measured.values.items()
        },
        similarity=joined(measured.similarity),
        rows=list(range(total)),
        sources=[place.entry.group for place in places.found],
        ids=[place.id for place in places.found],
        samples=measured.samples,
        ranks={name: joined(counts, batches, -(-total // BATCH)) for name, counts in measured.ranks.items()},
        frame_size=measured.frame_size,
    )


def _check_split(subject: Subject, settings: Settings, index: Index) -> None:
    """Raise ConfigError if clips that the model was trained on would be scored."""
    if settings.split not in ("test", ALL):
        raise ConfigError(f"--split {settings.split}: accepted are test, {ALL}")
    if settings.split == ALL and subject.trained_on in (None, index.fingerprint):
        raise ConfigError(
            f"--split {ALL} is for data that the model was not trained on; {subject.data} may be its training data"
        )


def _protocol(subject: Subject, settings: Settings) -> ForecastProtocol:
    """The preset, or one of our own from the model's context and horizon."""
    preset = settings.preset()
    if preset is None:
        if subject.context is None and settings.context is None:
            raise ConfigError(f"{subject.name}: its context is not known; give --context")
        context = settings.context or subject.context or 0
        horizon = settings.horizon or max(1, subject.frames - (subject.context or 0))
        clips, named = ("all", "all clips") if settings.split == ALL else ("held-out", "the test split")
        preset = ForecastProtocol(
            name=f"{clips}-{context}to{horizon}{'-growing' if settings.growing else ''}",
            context=context,
            horizon=horizon,
            growing=settings.growing,
            metrics=DEFAULT_METRICS,
            data=f"{named}, windows that do not overlap, from the front",
        )
    if not isinstance(preset, ForecastProtocol):
        raise ConfigError(f"--protocol {preset.name} is for models that generate clips; {subject.name} forecasts")
    if preset.context < FEWEST_SEEN and not preset.growing:
        raise ConfigError(
            f"--protocol {preset.name} gives {preset.context} frame, {subject.name} needs at least {FEWEST_SEEN}"
        )
    return replace(preset, metrics=settings.metrics or preset.metrics)


def _notes(subject: Subject, protocol: ForecastProtocol, windows: int, index: Index) -> list[str]:
    notes = [f"the protocol: {protocol.data}", *protocol.notes]
    if protocol.expected:
        counts = " or ".join(map(str, protocol.expected))
        other = (
            ""
            if windows in protocol.expected
            else ": another set of windows than theirs, so read quoted rows with care"
        )
        notes.insert(0, f"{windows} windows; publications count {counts}{other}")
    if subject.context is not None and not protocol.growing and protocol.context != subject.context:
        notes.append(
            f"{subject.name} was trained with {subject.context} frames of context, {protocol.context} are given"
        )
    if subject.trained_on != index.fingerprint:
        notes.append("other data than the model was trained on")
    return notes


def _shown(batches: Iterator[WindowBatch], total: int, *, quiet: bool) -> Iterator[WindowBatch]:
    """The same batches, with a progress bar on a terminal."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        yield from bar.track(batches, total=total, description="scoring")
