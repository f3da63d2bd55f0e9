"""Scoring a folder of predicted videos against the folder of the true ones."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from vidgan.evaluation.protocols import DEFAULT_METRICS, check_metrics
from vidgan.evaluation.results import FolderScores, Score
from vidgan.evaluation.rows import Rows, Table, Values
from vidgan.metrics.frame import METRICS, FrameMetric, score_frames
from vidgan.metrics.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.metrics.values import count_exact, finite_mean, finite_or_none
from vidgan.types import ByteClip

Reader: TypeAlias = Callable[[], ByteClip]

COPIES = (
    "copy-last is the true frame before the first scored one, repeated; copy-previous the true frame before each scored"
    " one, for predictions of the next frame alone"
)


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
        start, stop: frames that are scored, stop exclusive; where start > 0, the true frame before them serves two
            baselines, copy-last and copy-previous.
        groups: name -> the source that a video was cut from, for the interval; default: each is its own.
        metrics, extra, protocol, resamples, seed, workers: as in `score_forecast`.

    Returns:
        Means over videos of the means over frames, and the curve over the frames (where videos differ in length, over
        those that reach so far); the fingerprint is of the true frames that were scored.

    Raises:
        ValueError: the names differ, no video, the two videos of a name differ in length or frame size, or one is too
            short for the frames asked for (the message names it and gives both).
    """
    known = METRICS | dict(extra or {})
    check_metrics(metrics, also=[*(extra or {})])
    _check_names(predictions, targets)
    names = sorted(targets)
    columns: dict[str, dict[str, list[Values]]] = {}  # row -> metric -> a (T,) for each video
    frame_sizes = set()
    digest = hashlib.blake2b(digest_size=16)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
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
    table: Table = {row: {key: _padded(parts) for key, parts in found.items()} for row, found in columns.items()}
    sources = [(groups or {}).get(name, name) for name in names]
    bootstrap = SourceBootstrap(sources, resamples=resamples, seed=seed)
    means = {row: {key: video_means(values) for key, values in found.items()} for row, found in table.items()}
    notes = bootstrap.notes() + ([COPIES] if start > 0 else [])
    if len(frame_sizes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(frame_sizes))
        notes.append(f"the videos have different frame sizes ({sizes}): frame sums of them do not compare")
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
                for key, values in found.items()
            }
            for row, found in means.items()
        },
        by_video={
            name: {key: finite_or_none(means["prediction"][key][n]) for key in metrics} for n, name in enumerate(names)
        },
        rows=Rows(names, sources, table),
    )


def _check_names(predictions: Mapping[str, Reader], targets: Mapping[str, Reader]) -> None:
    for there, here, folder in ((targets, predictions, "predicted"), (predictions, targets, "true")):
        if missing := sorted(there.keys() - here.keys()):
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise ValueError(f"no {folder} video named {', '.join(missing[:5])}{more}; videos are paired by name")


def _check_pair(name: str, prediction: ByteClip, target: ByteClip, start: int, stop: int | None) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"{name}: the predicted video is {tuple(prediction.shape)} (T, C, H, W), the true one "
            f"{tuple(target.shape)}; cut or resize them to one shape first"
        )
    if len(target) < (stop or 0) or len(target) <= start:
        raise ValueError(
            f"{name}: has {len(target)} frames, but frames {start}:{'' if stop is None else stop} are to be scored"
        )


def _padded(parts: Sequence[Values]) -> Values:
    """Videos of T frames -> (V, longest T), NaN beyond the end of a shorter one."""
    table = np.full((len(parts), max(map(len, parts))), np.nan)
    for row, values in zip(table, parts, strict=True):
        row[: len(values)] = values
    return table


def video_means(table: Values) -> Values:
    """(V, T) -> (V,): mean over the frames of each video."""
    return finite_mean(table, axis=1)
