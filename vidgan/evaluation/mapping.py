"""Evaluation of models that map clips to clips: fidelity to the true output, and coherence in time.

`evaluate_mapping` scores a trained model. `mapping_scores` scores any functions on any windows, and is the short
evaluation during training.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.cores import usable_cores
from vidgan.data.dataset import ClipDataset
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.measure import WindowBatch
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.networks import perceptual_metrics
from vidgan.evaluation.progress import with_progress
from vidgan.evaluation.protocols import check_metrics
from vidgan.evaluation.results import MappingScores, Score
from vidgan.evaluation.rows import Rows, Table, Values
from vidgan.evaluation.settings import ALL, MappingSettings
from vidgan.evaluation.summary import choose_cases, score_of
from vidgan.evaluation.windows import BATCH, dataset_windows
from vidgan.metrics.flow import end_point_error
from vidgan.metrics.frame import METRICS, FrameMetric, score_frames
from vidgan.metrics.statistics import MIN_RESAMPLES, Estimate, SourceBootstrap
from vidgan.metrics.temporal import (
    DEFINITIONS,
    ClipMetric,
    gradient_energy,
    step_energy,
    visible_pixels,
    warp_errors,
)
from vidgan.nn.warp import warp
from vidgan.tasks.base import ClipFunction, ClipMapper, ClipPair
from vidgan.types import ByteClip, Flow
from vidgan.video.optical_flow import MIN_SIDE, clip_flow, default_method

FRAME_METRICS = ("psnr", "ssim", "psnr_y", "ssim_y")
REAL = "real"  # row of the clip that temporal measures refer to: the target, or without one the input
RATIOS = {"warp_ratio": "warp_error", "motion_ratio": "motion", "sharpness_ratio": "sharpness"}
ENERGIES = ("motion", "sharpness")  # measured for the ratios alone
PairFunction: TypeAlias = Callable[[ByteClip, Sequence[int]], ClipPair]  # (clips, numbers of the windows)


@dataclass
class _Measured:
    values: Table = field(default_factory=dict)  # row -> metric -> (W, K)
    sources: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    frames: int = 0
    frame_size: tuple[int, int] = (0, 0)
    has_target: bool = True


def evaluate_mapping(trained: TrainedModel, settings: MappingSettings) -> MappingScores:
    """Score a model that maps clips to clips on whole frames, beside its baselines.

    Raises:
        ConfigError: settings that do not fit the model or its data. DataError: nothing is held out, or no clip is long
            enough. WeightsError: weights of a metric are missing.
    """
    index = load_index(trained.data)
    if settings.split == ALL:
        trained.refuse_training_data(index)
    device = settings.torch_device()
    model = trained.clip_mapper
    if isinstance(model, nn.Module):
        model.to(device)
    perceptual = perceptual_metrics(settings.metrics, settings.weights, device)
    frames = settings.frames or trained.facts.frames
    windows = trained.windows(frames, split=settings.split, crop=None)
    scores = mapping_scores(
        model,
        with_progress(windows.batches(), total=-(-len(windows) // BATCH)),
        metrics=tuple(dict.fromkeys((*(settings.metrics or FRAME_METRICS), *perceptual))),
        extra=perceptual,
        protocol=f"{'all-clips' if settings.split == ALL else 'held-out'}-{frames}-frames",
        fingerprint=index.fingerprint,
        seed=settings.seed,
    )
    entries = {window.id: [int(number) for number in window.frames] for window in windows.windows}
    return replace(
        scores,
        provenance={
            "metric_weights": {name: digest for m in perceptual.values() for name, digest in m.weights.items()},
            "device": str(device),
            # The report repeats the outputs of these frames to display the cases.
            "case_frames": {case.id: entries[case.id] for case in scores.cases},
        },
    )


def short_mapping_scores(model: ClipMapper, dataset: ClipDataset, *, limit: int) -> MappingScores:
    """Score a model on at most `limit` windows of a data set's frames, without temporal measures."""
    windows = dataset_windows(dataset, dataset.frames).batches(limit=limit)
    return mapping_scores(
        model, windows, metrics=("psnr", "ssim"), temporal=False, fingerprint=dataset.index.fingerprint
    )


def mapping_scores(
    model: ClipMapper,
    windows: Iterable[WindowBatch],
    *,
    metrics: Sequence[str] = FRAME_METRICS,
    extra: Mapping[str, FrameMetric] | None = None,
    temporal: bool = True,
    protocol: str = "custom",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> MappingScores:
    """Score a model and its baselines on the same windows.

    Args:
        windows: of prepared clips, from which the model makes pairs; with captions for a model that reads them.
        metrics: frame metrics, names in `METRICS` or `extra`; they need a target.
        extra: metrics that need weights, by name.
        temporal: also measure tOF, warp error, motion and sharpness.
        protocol, fingerprint: recorded in the result.
        resamples, seed: of the bootstrap over sources; the seed also keys inputs that are made at random.

    Raises:
        ValueError: an unknown metric, no window, or an output that is not uint8 of the right shape.
        DataError: a clip without a caption, for a model that reads them.
    """
    known = METRICS | dict(extra or {})
    check_metrics(metrics, also=[*(extra or {})])
    baselines = list(model.baselines())
    own = dict(model.own_metrics())
    measured = _measure(
        lambda batch: mapping_functions(model, batch.captions, batch.ids),
        lambda clips, rows: model.pair(clips, seed=seed, rows=rows),
        windows,
        {name: known[name] for name in metrics},
        own,
        border=model.border,
        scale=model.scale,
        temporal=temporal,
    )
    reference = baselines[0]
    bootstrap = SourceBootstrap(measured.sources, resamples=resamples, seed=seed)
    scores: dict[str, dict[str, Score]] = {}
    differences: dict[str, dict[str, Score]] = {}
    for name, table in measured.values.items():
        scores[name] = {key: score_of(bootstrap, values) for key, values in table.items() if key not in ENERGIES}
        if name == REAL:
            continue
        if temporal:
            for ratio, key in RATIOS.items():
                scores[name][ratio] = _ratio(bootstrap, table[key], measured.values[REAL][key])
        if name != reference:
            pairs = {key: (table[key], measured.values[reference][key]) for key in scores[name] if key in table}
            differences[name] = {key: Score(*bootstrap.difference(*pair)) for key, pair in pairs.items()}
    definitions = {name: _with_border(known[name].definition, model.border) for name in metrics}
    better: dict[str, str] = {name: known[name].better for name in metrics}
    definitions |= {name: metric.definition for name, metric in own.items()}
    better |= {name: metric.better for name, metric in own.items() if metric.better is not None}
    if temporal:
        called = "the target" if measured.has_target else "the input"
        used = f" ({default_method()} flow)"
        definitions |= {name: text.format(reference=called) for name, text in DEFINITIONS.items()}
        definitions["tof"] += used
        better["tof"] = "lower"
        if not measured.has_target:
            del definitions["tof"], better["tof"]
    present = {key for table in scores.values() for key in table}
    main = next((name for name in metrics if name in present), next(iter(scores[model.mapping_name])))
    return MappingScores(
        protocol=protocol,
        definitions={name: text for name, text in definitions.items() if name in present},
        better={name: direction for name, direction in better.items() if name in present},
        fingerprint=fingerprint,
        frame_size=measured.frame_size,
        seed=seed,
        scores=scores,
        notes=bootstrap.notes(),
        windows=len(measured.ids),
        sources=bootstrap.num_sources,
        frames=measured.frames,
        scale=model.scale,
        border=model.border,
        resamples=resamples,
        subject=model.mapping_name,
        reference=reference,
        baselines=baselines,
        differences=differences,
        cases=choose_cases(
            measured.values[model.mapping_name][main],
            measured.ids,
            model.mapping_name,
            main,
            higher=better.get(main) == "higher",
        ),
        rows=Rows(measured.ids, measured.sources, measured.values),
    )


def mapping_functions(model: ClipMapper, captions: Sequence[str], ids: Sequence[str]) -> dict[str, ClipFunction]:
    """The model and its baselines by row name, for clips with these captions.

    Args:
        captions: of the clips; "" for a clip without.
        ids: names of the clips, for messages.

    Raises:
        DataError: a clip without a caption, for a model that reads them.
    """
    if not getattr(model, "reads_captions", False):
        return {model.mapping_name: model.map_clips, **model.baselines()}
    for name, caption in zip(ids, captions, strict=True):
        if not caption:
            raise DataError(f"{name}: no caption, which the model reads; see docs/guide_captions.md for adding one")
    told: Any = {"text": list(captions)}
    return {model.mapping_name: partial(model.map_clips, **told), **model.baselines(**told)}


def _measure(
    functions: Callable[[WindowBatch], Mapping[str, ClipFunction]],
    pair: PairFunction,
    windows: Iterable[WindowBatch],
    metrics: Mapping[str, FrameMetric],
    own: Mapping[str, ClipMetric],
    *,
    border: int,
    scale: int,
    temporal: bool,
) -> _Measured:
    measured = _Measured()
    parts: dict[tuple[str, str], list[Values]] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        for batch in windows:
            given, target = pair(batch.clips, batch.rows)
            measured.has_target = target is not None
            real = given if target is None else target
            size = (given.shape[-2] * scale, given.shape[-1] * scale)
            motion = Motion(real, size) if temporal else None
            if motion is not None:
                for key, values in motion.of(real, None).items():
                    parts.setdefault((REAL, key), []).append(values)
            for name, function in functions(batch).items():
                output = _checked(name, function(given), (*given.shape[:2], 3, *size))
                table: dict[str, Values] = {}
                if target is not None:
                    inner, truth = (_without_border(clip, border) for clip in (output, target))
                    table = {key: score_frames(metric, inner, truth, pool) for key, metric in metrics.items()}
                table |= {key: metric.function(given, output, target) for key, metric in own.items()}
                if motion is not None:
                    table |= motion.of(output, None if target is None else motion.backward)
                for key, values in table.items():
                    parts.setdefault((name, key), []).append(values)
            measured.sources.extend(batch.sources)
            measured.ids.extend(batch.ids)
            measured.frames, measured.frame_size = given.shape[1], size
    # The real row last: tables begin with the model.
    for name, key in sorted(parts, key=lambda column: column[0] == REAL):
        measured.values.setdefault(name, {})[key] = np.concatenate(parts[name, key])
    return measured


class Motion:
    """Flow and visible pixels of a real clip, and the temporal measures of clips that should move like it."""

    def __init__(self, real: ByteClip, size: tuple[int, int]) -> None:
        if min(size) < MIN_SIDE:
            raise ConfigError(
                f"frames of {size[0]}x{size[1]} pixels are too small for temporal measures, which need"
                f" {MIN_SIDE}x{MIN_SIDE}"
            )
        self.backward = _flow(real)
        forward = _flow(real.flip(1)).flip(1)
        self.visible = visible_pixels(self.backward, forward, warp)

    def of(self, clips: ByteClip, flow: Flow | None) -> dict[str, Values]:
        """Metric -> (N, T-1 or T) of clips; tOF only if the flow of the target is given."""
        table: dict[str, Values] = {}
        if flow is not None:
            table["tof"] = end_point_error(_flow(clips), flow)
        table["warp_error"] = warp_errors(clips, self.backward, self.visible, warp)
        return table | {"motion": step_energy(clips), "sharpness": gradient_energy(clips)}


def _flow(clips: ByteClip) -> Flow:
    """Backward flow of every frame but the first, (N, T-1, 2, H, W)."""
    frames = rearrange(clips.expand(-1, -1, 3, -1, -1).cpu(), "n t c h w -> n t h w c").contiguous().numpy()
    return torch.from_numpy(np.stack([clip_flow(clip, default_method()) for clip in frames]))


def _checked(name: str, output: Tensor, shape: tuple[int, ...]) -> ByteClip:
    if output.dtype != torch.uint8 or tuple(output.shape) != shape:
        raise ValueError(f"{name}: returned {output.dtype} {tuple(output.shape)}, expected torch.uint8 {shape}")
    return output.cpu()


def _without_border(clips: ByteClip, border: int) -> ByteClip:
    height, width = clips.shape[-2:]
    return clips[..., border : height - border, border : width - border]


def _with_border(definition: str, border: int) -> str:
    return f"{definition}; {border} border pixels left out" if border else definition


def _ratio(bootstrap: SourceBootstrap, values: Values, reference: Values) -> Score:
    """Ratio of the means, with its interval: 1 minus the skill."""
    whole, steps = bootstrap.skill(values, reference)
    return Score(_one_minus(whole), [_one_minus(step) for step in steps])


def _one_minus(skill: Estimate) -> Estimate:
    low, high = (None if bound is None else 1 - bound for bound in (skill.high, skill.low))
    return Estimate(None if skill.mean is None else 1 - skill.mean, low, high)
