"""Evaluation of two folders of videos: paired by name, or as two sets of clips. No model is needed.

`evaluate_pairs` and `evaluate_sets` read folders; `score_folders` scores functions that decode videos.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from einops import rearrange

from vidgan.cores import usable_cores
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.sources.source import Source
from vidgan.data.unprepared import list_clips, read_clip
from vidgan.errors import ConfigError
from vidgan.evaluation.clip_streams import Fingerprint, cut_clips, random_order
from vidgan.evaluation.networks import perceptual_metrics, set_networks
from vidgan.evaluation.protocol_scores import ClipStream, merge_seeds, require_weights, score_by_protocol, weight_hashes
from vidgan.evaluation.protocols import DEFAULT_METRICS, GenerationProtocol, check_metrics
from vidgan.evaluation.protocols.fitting import mark_deviations
from vidgan.evaluation.results import FolderScores, Score, SynthesisScores
from vidgan.evaluation.rows import Rows, Table, Values, video_means
from vidgan.evaluation.set_scores import CLIPS, background_level, score_synthesis
from vidgan.evaluation.settings import PairSettings, SetSettings
from vidgan.evaluation.share import Share
from vidgan.metrics.frame import METRICS, FrameMetric, score_frames
from vidgan.metrics.frame_torch import metrics_on
from vidgan.metrics.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.metrics.values import count_exact, finite_or_none
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow

Reader: TypeAlias = Callable[[], ByteClip]

COPIES = (
    "copy-last repeats the true frame before the first scored one; copy-previous is the true frame before each scored"
    " one, for predictions of the next frame alone"
)


def evaluate_pairs(predicted: Path, true: Path, settings: PairSettings) -> FolderScores:
    """Score the videos of one folder (or pattern) against those of another, frame by frame.

    A path with `*` in its last part selects the videos that match it. They are paired by the text that replaces the
    `*`: `out/*_forecast.png` and `data/*_true.png`. Two files are a pair whatever their names.

    Raises:
        DataError: there are no clips. ConfigError, ValueError: they do not pair up in name, length or frame size.
    """
    metrics = settings.metrics or DEFAULT_METRICS
    device = settings.torch_device()
    perceptual = perceptual_metrics(metrics, settings.weights, device)
    predictions, targets = (find_videos(path, settings.strip_frame) for path in (predicted, true))
    if predicted.is_file() and true.is_file() and len(predictions) == len(targets) == 1:
        predictions = dict(zip(targets, predictions.values(), strict=True))
    start, stop = settings.frames or (0, None)
    protocol = "folder" if settings.frames is None else f"folder-frames-{start}to{'end' if stop is None else stop - 1}"
    return score_folders(
        predictions,
        targets,
        start=start,
        stop=stop,
        metrics=tuple(dict.fromkeys((*metrics, *perceptual))),
        extra=perceptual if device.type == "cpu" else metrics_on(device) | perceptual,
        protocol=protocol,
        seed=settings.seed,
    )


def evaluate_sets(generated: Path, real: Path, settings: SetSettings, share: Share = Share()) -> SynthesisScores:
    """Compare two folders as sets of clips, equally many on each side, with the real-versus-real floor.

    Args:
        share: the position of this process among those that share the features of fetched networks; each process
            returns the same result.

    Raises:
        DataError: there are no clips, or too few. ConfigError, ValueError: clips of different sizes.
        WeightsError: weights of a measure are missing.
    """
    readers = [_shuffled(find_videos(path, settings.strip_frame), settings.seed) for path in (generated, real)]
    counts = len(readers[0]), len(readers[1])
    generated_clips, real_clips = (partial(_cut, side, settings.frames) for side in readers)
    if settings.protocol is not None:
        return _sets_by_protocol(generated_clips, real_clips, counts, settings.protocol, settings)
    number = min(counts[0], settings.clips or CLIPS)
    return _sets_by_own_measures(
        list(islice(generated_clips(), number)), list(islice(real_clips(), 2 * number)), settings, share
    )


def _sets_by_protocol(
    generated: ClipStream,
    real: ClipStream,
    counts: tuple[int, int],
    protocol: GenerationProtocol,
    settings: SetSettings,
) -> SynthesisScores:
    require_weights(protocol, settings.weights)
    height, width = next(real()).shape[-2:]
    wrong = protocol.frame_size is not None and protocol.frame_size != (height, width)
    deviations = [f"frames are {height}x{width}"] if wrong else []
    protocol = mark_deviations(protocol, deviations, allow_deviation=settings.allow_deviation)

    def cut() -> Iterator[ByteClip]:
        return cut_clips(real(), protocol.frames, settings.seed)

    return score_by_protocol(generated, cut, protocol, settings, settings.seed, counts=counts)


def _sets_by_own_measures(
    generated: Sequence[ByteClip], real: Sequence[ByteClip], settings: SetSettings, share: Share
) -> SynthesisScores:
    """The measures without weights and those of the user's networks, for clips cut to the shortest of all."""
    length = min(len(clip) for clip in (*generated, *real))
    for clip in (*generated, *real):
        if clip.shape[1:] != real[0].shape[1:]:
            raise ValueError(
                f"clips of one size are needed, got {tuple(clip.shape[1:])} and {tuple(real[0].shape[1:])} (C, H, W)"
            )
    networks = set_networks(settings.weights, settings.torch_device(), share=share)
    fingerprint = Fingerprint()
    real = list(fingerprint.add(real))
    sides = [torch.stack([clip[:length] for clip in side]) for side in (real, generated)]
    results = [
        score_synthesis(
            *sides,
            background=background_level(sides[0]),
            protocol=f"sets-{length}-frames",
            fingerprint=fingerprint.hexdigest(),
            seed=settings.seed + n,
            features=networks,
            flow=partial(estimate_flow, method=default_method()) if settings.flow_histograms else None,
        )
        for n in range(settings.seeds)
    ]
    return replace(merge_seeds(results), provenance=weight_hashes(networks))


def score_folders(
    predictions: Mapping[str, Reader],
    targets: Mapping[str, Reader],
    *,
    start: int = 0,
    stop: int | None = None,
    groups: Mapping[str, str] | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    extra: Mapping[str, FrameMetric] | None = None,
    protocol: str = "folder",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
    workers: int | None = None,
) -> FolderScores:
    """Score predicted videos against the true ones of the same name, frame by frame.

    Args:
        predictions: name -> function that decodes that video to (T, C, H, W) uint8; called once, one at a time.
        targets: the same for the true videos.
        start, stop: frames that are scored, stop exclusive. With start > 0 there are two baselines, copy-last and
            copy-previous, which use the true frames before the scored ones.
        groups: name -> source of a video, for the interval; default: each video has its own.
        metrics, extra, protocol, resamples, seed, workers: as in `vidgan.evaluation.forecasts.score_forecast`.

    Returns:
        Means over videos of the means over frames, and the curve over the frames (each frame over the videos that are
        long enough). The fingerprint identifies the scored true frames.

    Raises:
        ValueError: the names differ, there is no video, the two videos of a name differ in length or frame size, or one
            is too short (the message names it).
    """
    known = METRICS | dict(extra or {})
    check_metrics(metrics, also=[*(extra or {})])
    _check_names(predictions, targets)
    names = sorted(targets)
    columns: dict[str, dict[str, list[Values]]] = {}  # row -> metric -> (T,) of each video
    frame_sizes = set()
    digest = hashlib.blake2b(digest_size=16)
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        for name in names:
            prediction, target = predictions[name](), targets[name]()
            _check_pair(name, prediction, target, start, stop)
            end = len(target) if stop is None else stop
            truth = target[start:end]
            rows = {"prediction": prediction[start:end]}
            if start > 0:
                rows["copy-last"] = target[start - 1 : start].expand_as(truth)
                rows["copy-previous"] = target[start - 1 : end - 1]
            for row, frames in rows.items():
                for key in metrics:
                    values = score_frames(known[key], frames, truth, pool)  # (T,)
                    columns.setdefault(row, {}).setdefault(key, []).append(values)
            digest.update(repr((name, tuple(truth.shape))).encode() + truth.contiguous().numpy().tobytes())
            frame_sizes.add((target.shape[-2], target.shape[-1]))
    table: Table = {
        row: {key: _padded(parts) for key, parts in metrics_of.items()} for row, metrics_of in columns.items()
    }
    sources = [(groups or {}).get(name, name) for name in names]
    bootstrap = SourceBootstrap(sources, resamples=resamples, seed=seed)
    means = {row: {key: video_means(values) for key, values in metrics_of.items()} for row, metrics_of in table.items()}
    notes = bootstrap.notes() + ([COPIES] if start > 0 else [])
    if len(frame_sizes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(frame_sizes))
        notes.append(f"the videos have different frame sizes ({sizes}), so that sums over a frame are not comparable")
    any_metric = next(iter(metrics))
    return FolderScores(
        protocol=protocol,
        definitions={key: known[key].definition for key in metrics},
        better={key: known[key].better for key in metrics},
        fingerprint=digest.hexdigest(),
        frame_size=max(frame_sizes),
        seed=seed,
        notes=notes,
        videos=len(names),
        sources=bootstrap.num_sources,
        frames=int((~np.isnan(table["prediction"][any_metric])).sum()),
        resamples=resamples,
        scores={
            row: {
                key: Score(
                    bootstrap.mean(values[:, None])[0],
                    bootstrap.mean(table[row][key])[1],
                    count_exact(table[row][key]),
                )
                for key, values in metrics_of.items()
            }
            for row, metrics_of in means.items()
        },
        by_video={
            name: {key: finite_or_none(means["prediction"][key][n]) for key in metrics} for n, name in enumerate(names)
        },
        rows=Rows(names, sources, table),
    )


def _check_names(predictions: Mapping[str, Reader], targets: Mapping[str, Reader]) -> None:
    for needed, available, folder in ((targets, predictions, "predicted"), (predictions, targets, "true")):
        if missing := sorted(needed.keys() - available.keys()):
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise ValueError(f"no {folder} video named {', '.join(missing[:5])}{more}; videos are paired by name")


def _check_pair(name: str, prediction: ByteClip, target: ByteClip, start: int, stop: int | None) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"{name}: the predicted video is {tuple(prediction.shape)} (T, C, H, W), the true one"
            f" {tuple(target.shape)}; cut or resize them to one shape first"
        )
    if len(target) < (stop or 0) or len(target) <= start:
        raise ValueError(f"{name}: has {len(target)} frames, --frames asks for {start}:{'' if stop is None else stop}")


def _padded(parts: Sequence[Values]) -> Values:
    """(T,) of each video -> (V, longest T), NaN after the end of a shorter video."""
    table = np.full((len(parts), max(map(len, parts))), np.nan)
    for row, values in zip(table, parts, strict=True):
        row[: len(values)] = values
    return table


def _shuffled(readers: Mapping[str, Reader], seed: int) -> list[Reader]:
    ordered = list(readers.values())
    return [ordered[position] for position in random_order(len(ordered), seed)]


def _cut(readers: Sequence[Reader], frames: tuple[int, int | None] | None) -> Iterator[ByteClip]:
    """The clips one at a time, (T, 3, H, W), cut to the range `frames`."""
    start, stop = frames or (0, None)
    for read in readers:
        yield read()[start:stop]


def find_videos(path: Path, strip_frame: tuple[int, int] | None) -> dict[str, Reader]:
    """Name -> function that decodes that video to (T, 3, H, W) uint8.

    Args:
        path: a folder, a file, or a pattern with `*` in the last part, whose replacement is the name.
        strip_frame: (H, W) of one frame of strip images; None: square frames.

    Raises:
        DataError: there are no clips. ConfigError: none has such a name, or two have one name.
    """
    pattern = None
    if "*" in path.name and not path.exists():
        path, pattern = path.parent, path.name
    root, sources = list_clips(path, strip_frame=strip_frame)
    named = [(_pair_name(source, pattern), source) for source in sources]
    matches = [(name, source) for name, source in named if name is not None]
    if not matches:
        hint = f"there are {', '.join(source.name for source in sources[:3])}, ..."
        if any(source.name == "." for source in sources):
            hint = (
                "the images are read as the frames of one video; if each is a strip of frames, give --strip-frame HxW"
            )
        raise ConfigError(f"{path / (pattern or '')}: no video has such a name; {hint}")
    names = [name for name, _ in matches]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{path}: two videos are named {repeated}; videos are paired by name")

    def read(source: Source) -> ByteClip:
        frames = torch.from_numpy(read_clip(root, source, ReadSettings(strip_frame=strip_frame)).frames)
        return rearrange(frames, "t h w c -> t c h w").contiguous()

    return {name: partial(read, source) for name, source in matches}


def _pair_name(source: Source, pattern: str | None) -> str | None:
    """Name that pairs a video: its path without suffix, or the text that replaces the stars; None: no match."""
    if pattern is None:
        return Path(source.name).with_suffix("").as_posix()
    expression = "(.*)".join(re.escape(part) for part in pattern.split("*"))
    match = re.fullmatch(expression, source.name)
    return None if match is None else "*".join(match.groups())
