"""Scoring a folder of predicted videos against the folder of the true ones."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vidgan.evaluation.frame import METRICS, score_frames
from vidgan.evaluation.protocols import DEFAULT_METRICS, check_metrics
from vidgan.evaluation.results import FolderScores, Score
from vidgan.evaluation.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.types import ByteClip


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
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for name in sorted(targets):
            prediction, target = predictions[name](), targets[name]()
            if prediction.shape != target.shape:
                raise ValueError(
                    f"{name}: the predicted video is {tuple(prediction.shape)} (T, C, H, W), the true one "
                    f"{tuple(target.shape)}; cut or resize them to one shape first"
                )
            by_video[name] = {}
            for key in metrics:
                table = score_frames(METRICS[key], prediction, target, pool)  # (T,)
                finite = table[np.isfinite(table)]
                values[key].append(float(finite.mean()) if len(finite) else np.nan)
                by_video[name][key] = float(finite.mean()) if len(finite) else None
                exact[key] += len(table) - len(finite)
            frames += len(target)
            frame_sizes.add((target.shape[-2], target.shape[-1]))
    bootstrap = SourceBootstrap([groups.get(name, name) for name in sorted(targets)], resamples=resamples, seed=seed)
    notes = bootstrap.notes()
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
