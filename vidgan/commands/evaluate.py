"""`vidgan evaluate`: scores of a model on held-out data, of two folders of videos, or a table of earlier results."""

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vidgan.commands.launch import run_processes
from vidgan.errors import ConfigError
from vidgan.evaluation.folder_scoring import FolderSettings, evaluate_folders, evaluate_pairs, evaluate_sets
from vidgan.evaluation.nearest_clips import neighbour_sheet
from vidgan.evaluation.results import FolderScores, ForecastScores, LongerScores, Result, SynthesisScores
from vidgan.evaluation.rows import rows_bytes, rows_path
from vidgan.evaluation.run_forecasts import Share, evaluate_forecasts, plan_forecasts
from vidgan.evaluation.run_longer import evaluate_longer
from vidgan.evaluation.run_sets import evaluate_samples
from vidgan.evaluation.settings import Settings
from vidgan.evaluation.subjects import Subject, data_facts, find_subject
from vidgan.evaluation.tables import FORMATS, render, score_document
from vidgan.files import write_bytes, write_text
from vidgan.hub import find_shipped
from vidgan.runs import write_scores
from vidgan.training.launcher import num_launched

__all__ = ["evaluate", "evaluate_command", "evaluate_folders"]


def evaluate(path: Path | str, **options: Any) -> ForecastScores | SynthesisScores | LongerScores:
    """Score a trained model on the test split of its data; the result is kept in its run's `scores/`.

    Args:
        path: a run, one of its checkpoints, `RUN/best`, or (with `data`) a folder written by save_pretrained or the
            name of shipped weights.
        options: the fields of `vidgan.evaluation.settings.Settings`, such as data, protocol, horizon, samples, seed.

    Returns:
        `ForecastScores` of a model that forecasts, `SynthesisScores` of one that generates, or with
        `frames` `LongerScores`.

    Raises:
        ConfigError: no model there, or an option that has no effect on it or does not fit the data.
        DataError: nothing is held out, or no clip is long enough. WeightsError: weights of a measure are missing.
    """
    settings = Settings(**options)
    shipped = find_shipped(path) if isinstance(path, str) and not Path(path).exists() else None
    subject = find_subject(shipped or Path(path), data=settings.data, best=settings.best)
    share = Share.of_launcher()
    scores: ForecastScores | SynthesisScores | LongerScores
    if subject.forecasts:
        scores = evaluate_forecasts(subject, settings, share)
    elif share.processes > 1:
        raise ConfigError("--processes has no effect on a model that generates clips")
    elif settings.frames is not None:
        scores = evaluate_longer(subject, settings)
    else:
        scores = evaluate_samples(subject, settings)
    scores = replace(scores, provenance=_provenance(subject, settings) | scores.provenance)
    if subject.run is not None and share.rank == 0:
        written = write_scores(subject.run, _result_name(scores.protocol, path, settings), score_document(scores))
        _write_rows(written, scores)
        if "nearest" in scores.provenance:
            write_bytes(written.with_suffix(".nearest.png"), neighbour_sheet(subject, scores.provenance["nearest"]))
    return scores


def evaluate_command(
    subjects: Sequence[Path],
    settings: Settings,
    folders: FolderSettings,
    *,
    table: bool,
    published: bool,
    form: str | None,
    processes: int,
    out: Path | None,
) -> str | int:
    """What the command prints: a table or JSON; or the exit code of the processes that it started."""
    if form is not None and form not in (*FORMATS, "json"):
        raise ConfigError(f"--format {form}: accepted are {', '.join([*FORMATS, 'json'])}")
    if published and form == "json":
        raise ConfigError("--published has no effect on JSON, which holds what was measured")
    if published and not table and not getattr(settings.preset(), "published", ()):
        raise ConfigError("--published shows quoted rows beside a --protocol; none are known for this evaluation")
    if out is not None and out.exists():
        raise FileExistsError(f"{out} exists; choose another --out")
    if table:
        return _table(subjects, settings, folders, published=published, form=form, processes=processes, out=out)
    if len(subjects) > 2:
        raise ConfigError(f"{len(subjects)} paths were given; one is a model, two are folders; results need --table")
    if len(subjects) == 2:
        if processes > 1:
            raise ConfigError("--processes has no effect on two folders")
        if settings.frames is not None:
            raise ConfigError(f"--frames {settings.frames}: of two folders write FIRST:END, such as 2:10 or 2:")
        score: Callable[..., Result] = evaluate_sets if folders.unpaired else evaluate_pairs
        scores = score(subjects[0], subjects[1], folders, settings)
        told = {"predicted": subjects[0].name, "true": subjects[1].name, **_circumstances(settings)}
        scores = replace(scores, provenance=told | scores.provenance)
    else:
        if folders.frames is not None:
            raise ConfigError("--frames FIRST:END is for two folders; of a model that generates write a number")
        folders.refuse("one model")
        if processes > 1 and num_launched() is None:
            subject = find_subject(subjects[0], data=settings.data, best=settings.best)
            if not subject.forecasts:
                raise ConfigError("--processes has no effect on a model that generates clips")
            plan_forecasts(subject, settings, processes)  # mistakes are told before any process starts
            return run_processes(processes)
        scores = evaluate(subjects[0], **vars(settings))
        rank = Share.of_launcher().rank
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if rank > 0:
            return 0
    if out is not None:
        write_text(out, scores.to_json() + "\n")
        _write_rows(out, scores)
    return render(scores, form or "text", published=published)


def _write_rows(result: Path, scores: Result) -> None:
    """The single measurements, beside the result's file."""
    if isinstance(scores, ForecastScores | FolderScores):
        write_bytes(rows_path(result), rows_bytes(scores.rows))


def _table(
    paths: Sequence[Path],
    settings: Settings,
    folders: FolderSettings,
    *,
    published: bool,
    form: str | None,
    processes: int,
    out: Path | None,
) -> str:
    from vidgan.commands.table import compare_results

    folders.refuse("--table")
    idle = [name for name, value in vars(settings).items() if value != getattr(Settings(), name)]
    if [name for name in idle if name not in ("protocol", "seed")] or processes > 1 or form == "json":
        raise ConfigError("--table reads earlier results: only --protocol, --published, --format, --seed, --out apply")
    text = compare_results(paths, protocol=settings.protocol, published=published, form=form, seed=settings.seed)
    if out is not None:
        write_text(out, text + "\n")
    return text


def _result_name(protocol: str, path: Path | str, settings: Settings) -> str:
    """The result's file name in a run's `scores/`: what was asked for beyond the protocol."""
    told: dict[str, object] = {"at": Path(path).name if Path(path).parent.name == "checkpoints" else None}
    told |= {"data": settings.data and settings.data.name, "best": settings.best or None}
    told |= {"split": None if settings.split == "test" else settings.split}
    told |= {"samples": settings.samples, "clips": settings.clips, "seed": settings.seed or None}
    told |= {"seeds": settings.seeds if settings.seeds > 1 else None, "by": settings.best_by}
    told |= {"metrics": "+".join(settings.metrics) or None, "mcs": settings.mcs or None}
    told |= {"flow": settings.flow_histograms or None, "weights": "+".join(settings.weights) or None}
    return "-".join([protocol, *(f"{key}-{value}" for key, value in told.items() if value)])


def _provenance(subject: Subject, settings: Settings) -> dict[str, Any]:
    return {
        "subject": subject.name,
        "step": subject.step,
        "weights": subject.weights,
        "data": data_facts(subject.data),
        **_circumstances(settings),
    }


def _circumstances(settings: Settings) -> dict[str, Any]:
    """What a result needs beside its subject to be made again."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "seeds": [settings.seed + n for n in range(settings.seeds)],
        "command": ["vidgan", *sys.argv[1:]],
        "hardware": {"machine": platform.machine(), "system": platform.system(), "gpu": gpu},
    }
