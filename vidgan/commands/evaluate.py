"""`vidgan evaluate`: score a model on held-out data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from vidgan.commands.launch import run_processes
from vidgan.errors import ConfigError
from vidgan.evaluation.anomaly import evaluate_anomalies
from vidgan.evaluation.clips import evaluate_clips
from vidgan.evaluation.forecasts import evaluate_forecasts, plan_forecasts
from vidgan.evaluation.long_clips import evaluate_long_clips
from vidgan.evaluation.mapping import evaluate_mapping
from vidgan.evaluation.models import TrainedModel, data_facts, find_model
from vidgan.evaluation.nearest_clips import nearest_sheet
from vidgan.evaluation.networks import shares_features
from vidgan.evaluation.output import Output, circumstances, write_measurements
from vidgan.evaluation.requests import KEY, EvaluationRequest
from vidgan.evaluation.results import AnomalyScores, ForecastScores, LongClipScores, MappingScores, SynthesisScores
from vidgan.evaluation.settings import (
    AnomalySettings,
    ForecastSettings,
    LongClipSettings,
    MappingSettings,
    ModelSettings,
    settings_for_model,
)
from vidgan.evaluation.share import Share
from vidgan.evaluation.tables import score_document
from vidgan.files import write_bytes
from vidgan.own_code import own_code
from vidgan.runs import write_scores
from vidgan.tasks.base import ClipModel
from vidgan.training.launcher import num_launched

WITH_NETWORKS = "; with fetched networks (--weights efficientnet-lite2) it has, on models that generate clips"


def evaluate(
    run: Path | str | None = None,
    *,
    model: str | Callable[..., Any] | None = None,
    data: Path | None = None,
    best: bool = False,
    split: str = "test",
    protocol: str | None = None,
    allow_deviation: bool = False,
    context: int | None = None,
    horizon: int | None = None,
    growing: bool = False,
    metrics: Sequence[str] = (),
    samples: int | None = None,
    best_by: str | None = None,
    clips: int | None = None,
    frames: int | None = None,
    labels: Path | None = None,
    seeds: int = 1,
    mcs: bool = False,
    truncation: Sequence[float] = (),
    flow_histograms: bool = False,
    weights: Mapping[str, Path] | None = None,
    seed: int = 0,
    device: str = "auto",
    allow_own_code: bool = False,
    networks: Mapping[str, nn.Module] | None = None,
) -> ForecastScores | SynthesisScores | LongClipScores | MappingScores | AnomalyScores:
    """Score a model on held-out data; the result of a run is saved in its `scores/`.

    Args:
        run: a run, one of its checkpoints (`RUN/checkpoints/step-...`), `RUN/best`, a folder written by
            save_pretrained, or the name of shipped weights. The last two need `data`.
        model: instead of a run, a model that vidgan did not train: a function `predict(context, horizon)` or
            `sample(clips, frames, seed)` (`vidgan.evaluation.outside_models`), or its name: `my.py:predict`,
            `my_module:predict`, `FILE.onnx`, or an entry point of the group `vidgan.models`. Needs `data`, and
            forecasts need `protocol`, or `context` and `horizon`.
        data: prepared data; default: the data of the run.
        best: of a run, the weights of its best evaluation instead of the newest.
        split: "test", or "all" clips of data that the model was not trained on. Not for models that generate clips.
        protocol: name of a preset (`vidgan.evaluation.PROTOCOLS`); default: the windows and metrics of this project.
        allow_deviation: score data that were not prepared as the protocol requires. The name of the result says so.
        context, horizon: frames given and frames forecast; default: as trained. Forecasting models only.
        growing: forecast each frame from all true frames before it. Forecasting models only.
        metrics: names that replace the default frame metrics. Not for models that generate clips.
        samples: forecasts drawn per window; default: 1, or the protocol's number. Forecasting models only.
        best_by: the metric that selects the best sample; default: each metric selects its own.
        clips: clips compared on each side; default 256, or the protocol's number. Models that generate clips only.
        frames: length of generated clips, a multiple of the training length, or of the windows of a model that maps
            clips to clips; default: as trained. Of a `model`, any length; default: 16.
        labels: folder with labels of single frames (`vidgan.data.frame_labels`), for the protocol "anomaly".
        seeds: number of evaluation seeds, for mean and interval. Models that generate clips only.
        mcs: also measure whether clips show the requested category, and how diverse the clips of each category are.
            Models with categories only.
        truncation: also score clips whose styles are pulled toward their mean, psi from 0 to 1: a row for each. Models
            with frame.kind=modulated only.
        flow_histograms: also compare how clips move. Models that generate clips only.
        weights: name of a metric network -> file of its weights.
        seed: of random draws and of the bootstrap.
        device: "auto", "cpu" or "cuda".
        allow_own_code: follow the import paths of own parts of the model, or of `model`; importing runs the module.
        networks: objects for parts that were passed from Python in training, as in `vidgan.train`.

    Returns:
        `ForecastScores` of a forecasting model, or `AnomalyScores` with the protocol "anomaly". `SynthesisScores` of a
        model that generates clips, or `LongClipScores` if `frames` is set. `MappingScores` of a model that maps clips
        to clips.

    Raises:
        ConfigError: no model at `run`, or an option that does not apply to it or to the data.
        DataError: nothing is held out, or no clip is long enough. WeightsError: weights of a metric are missing.
    """
    options = {
        "split": split, "protocol": protocol, "allow_deviation": allow_deviation, "context": context,
        "horizon": horizon, "growing": growing, "metrics": tuple(metrics), "samples": samples, "best_by": best_by,
        "clips": clips, "frames": frames, "labels": labels, "seeds": seeds, "mcs": mcs, "truncation": tuple(truncation),
        "flow_histograms": flow_histograms,
        "weights": dict(weights or {}), "seed": seed, "device": device,
    }  # fmt: skip
    with own_code(allowed=allow_own_code, objects=networks):
        trained = find_model(run, model, data=data, best=best)
    share = Share.of_launcher()
    scores, settings = evaluate_model(trained, options, share)
    request = EvaluationRequest.of_call(run, model, data, best, options)
    scores = replace(scores, provenance={**scores.provenance, KEY: request.to_json()})
    if trained.run is not None and run is not None and share.rank == 0:
        name = _result_name(scores.protocol, run, settings, data, best)
        written = write_scores(trained.run, name, score_document(scores))
        write_measurements(written, scores)
        if "nearest" in scores.provenance:
            write_bytes(written.with_suffix(".nearest.png"), nearest_sheet(trained, scores.provenance["nearest"]))
    return scores


def evaluate_model(
    trained: TrainedModel, options: Mapping[str, Any], share: Share = Share()
) -> tuple[ForecastScores | SynthesisScores | LongClipScores | MappingScores | AnomalyScores, ModelSettings]:
    """Score a model that was found, and write nothing.

    Args:
        trained: the model and its data.
        options: the keyword arguments of `evaluate` that are settings.
        share: the position among several processes.

    Returns:
        The result and the settings that the options stand for.

    Raises:
        ConfigError, DataError, WeightsError: as in `evaluate`.
    """
    trained, settings = _settle(trained, options, share.processes)
    scores: ForecastScores | SynthesisScores | LongClipScores | MappingScores | AnomalyScores
    if isinstance(settings, ForecastSettings):
        scores = evaluate_forecasts(trained, settings, share)
    elif isinstance(settings, AnomalySettings):
        scores = evaluate_anomalies(trained, settings)
    elif isinstance(settings, MappingSettings):
        scores = evaluate_mapping(trained, settings)
    elif isinstance(settings, LongClipSettings):
        scores = evaluate_long_clips(trained, settings, share)
    else:
        scores = evaluate_clips(trained, settings, share)
    provenance = {
        "subject": trained.name,
        "step": trained.facts.step,
        "weights": trained.weights,
        "data": data_facts(trained.data),
        **circumstances(seed=settings.seed, seeds=getattr(settings, "seeds", 1)),
    }
    return replace(scores, provenance=provenance | scores.provenance), settings


def evaluate_command(
    run: Path | str | None, options: Mapping[str, Any], output: Output, *, processes: int = 1
) -> str | int:
    """Run `evaluate` in one or several processes of this machine.

    Args:
        options: keyword arguments of `evaluate`.
        processes: of a forecasting model, the number of processes that share its windows; of a model that generates
            clips, those that share the features of fetched networks.

    Returns:
        The text to print, or the exit code of the processes.
    """
    output.check(options["protocol"])
    if processes > 1 and num_launched() is None:
        with own_code(allowed=options["allow_own_code"]):
            trained = find_model(run, options["model"], data=options["data"], best=options["best"])
        loading = ("model", "data", "best", "allow_own_code")
        # Reports user errors before any process starts.
        trained, settings = _settle(trained, {k: v for k, v in options.items() if k not in loading}, processes)
        if isinstance(settings, ForecastSettings):
            plan_forecasts(trained, settings, processes)
        return run_processes(processes)
    scores = evaluate(run, **options)
    share = Share.of_launcher()
    share.leave()
    return 0 if share.rank > 0 else output.show(scores)


def _settle(trained: TrainedModel, options: Mapping[str, Any], processes: int) -> tuple[TrainedModel, ModelSettings]:
    """The settings that the options stand for, and the model with the clip length that they give it.

    An outside generator has no training length: `frames` sets the length of its clips, unless a protocol fixes it.

    Raises:
        ConfigError: options that do not fit the model or each other, or several processes without common work.
    """
    frames = options["frames"]
    if frames is not None and trained.is_outside and isinstance(trained.model, ClipModel):
        if options["protocol"] is not None:
            raise ConfigError(f"--frames is fixed by --protocol {options['protocol']}; omit it")
        trained = replace(trained, facts=replace(trained.facts, frames=frames))
        options = {**options, "frames": None}
    settings = settings_for_model(trained.model, options)
    if processes > 1 and not (isinstance(settings, ForecastSettings) or shares_features(settings)):
        raise ConfigError(f"--processes has no effect on {settings.scored}{WITH_NETWORKS}")
    return trained, settings


def _result_name(protocol: str, run: Path | str, settings: ModelSettings, data: Path | None, best: bool) -> str:
    """File name of a result in `scores/`: the protocol and all settings that differ from their defaults."""
    split, seeds = getattr(settings, "split", "test"), getattr(settings, "seeds", 1)
    parts: dict[str, object] = {
        "at": Path(run).name if Path(run).parent.name == "checkpoints" else None,
        "data": data and data.name,
        "best": best or None,
        "split": None if split == "test" else split,
        "samples": getattr(settings, "samples", None),
        "clips": getattr(settings, "clips", None),
        "seed": settings.seed or None,
        "seeds": seeds if seeds > 1 else None,
        "by": getattr(settings, "best_by", None),
        "metrics": "+".join(getattr(settings, "metrics", ())) or None,
        "mcs": getattr(settings, "mcs", False) or None,
        "flow": getattr(settings, "flow_histograms", False) or None,
        "weights": "+".join(getattr(settings, "weights", {})) or None,
    }
    return "-".join([protocol, *(f"{key}-{value}" for key, value in parts.items() if value)])
