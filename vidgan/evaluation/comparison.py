"""Compare several results: one table, and paired differences on the same windows.

Two numbers share a table only if they have the same protocol, data, windows and metric definitions. Otherwise an error
says what differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vidgan.errors import ComparisonError
from vidgan.evaluation.protocols import ForecastProtocol, GenerationProtocol
from vidgan.evaluation.published import quoted_rows
from vidgan.evaluation.results import (
    AnomalyScores,
    AnyResult,
    FolderScores,
    ForecastScores,
    LongClipScores,
    MappingScores,
    Score,
    SynthesisScores,
)
from vidgan.evaluation.rows import Rows, Values, video_means
from vidgan.metrics.frame import SEQUENCE_SUMS
from vidgan.metrics.statistics import MIN_RESAMPLES, Estimate, SourceBootstrap


@dataclass(frozen=True)
class Entry:
    """One result and its name in the table."""

    label: str
    result: AnyResult


@dataclass(frozen=True)
class Line:
    """One row: metric -> estimate. `quoted`: published elsewhere, not measured here."""

    name: str
    values: dict[str, Estimate]
    quoted: bool = False


@dataclass(frozen=True)
class Comparison:
    """A table of several results.

    Attributes:
        protocol, metrics, better, definitions: common to all results.
        lines: measured rows, with common baselines once, then quoted rows.
        differences: the subject of each further entry minus that of the first, on the same windows.
        notes: limits of the numbers, and sources of quoted rows.
        of_sets: whether sets of clips were compared.
    """

    protocol: str
    metrics: list[str]
    better: dict[str, str]
    definitions: dict[str, str]
    lines: list[Line]
    differences: list[Line]
    notes: list[str] = field(default_factory=list)
    of_sets: bool = False


def compare_results(
    entries: Sequence[Entry],
    *,
    published: ForecastProtocol | GenerationProtocol | None = None,
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare all entries in one table.

    Args:
        published: the protocol whose quoted rows are appended.
        resamples, seed: of the bootstrap over sources, for the differences.

    Raises:
        ComparisonError: entries with different conditions; the message says what differs.
    """
    if len({entry.label for entry in entries}) < len(entries):
        raise ComparisonError(f"two results have the same name: {', '.join(entry.label for entry in entries)}")
    first = entries[0]
    for other in entries[1:]:
        _check_comparable(first, other)
    metrics = [m for m in _metrics(first.result) if all(m in _metrics(entry.result) for entry in entries)]
    if not metrics:
        raise ComparisonError("the results have no metric in common")
    differences, notes = _differences(entries, metrics, resamples, seed)
    lines = _lines(entries, metrics)
    if published is not None:
        quoted, sources = quoted_lines(published, metrics)
        lines += quoted
        notes += sources
    result = first.result
    return Comparison(
        protocol=result.protocol,
        metrics=metrics,
        better={m: result.better[m] for m in metrics if m in result.better},
        definitions={m: result.definitions[m] for m in metrics if m in result.definitions},
        lines=lines,
        differences=differences,
        notes=list(dict.fromkeys([*(note for entry in entries for note in entry.result.notes), *notes])),
        of_sets=isinstance(result, SynthesisScores),
    )


def quoted_lines(
    protocol: ForecastProtocol | GenerationProtocol | None, metrics: Sequence[str]
) -> tuple[list[Line], list[str]]:
    """The published rows with at least one of the metrics, and their sources.

    Raises:
        ComparisonError: there are none.
    """
    rows = [] if protocol is None else [row for _, row in quoted_rows(protocol) if row.values.keys() & set(metrics)]
    if not rows:
        raise ComparisonError("--published: no rows are published for this protocol and these metrics")
    lines = [
        Line(row.label, {m: Estimate(row.values[m], None, None) for m in metrics if m in row.values}, quoted=True)
        for row in rows
    ]
    return lines, sorted({f"quoted: {row.source}" for row in rows})


def _check_comparable(first: Entry, other: Entry) -> None:
    """Raise ComparisonError if two results were measured under different conditions."""
    one, two = first.result, other.result
    conditions = {"kind": "kind of result", "protocol": "protocol", "fingerprint": "data", "frame_size": "frame size"}
    conditions |= {"context": "context", "horizon": "horizon", "clips": "number of clips", "frames": "clip length"}
    conditions |= {"scale": "scale", "border": "border"}
    for name, condition in conditions.items():
        if getattr(one, name, None) != getattr(two, name, None):
            raise ComparisonError(
                f"{first.label} and {other.label} differ in {condition}: {getattr(one, name, None)} and"
                f" {getattr(two, name, None)}; results with different conditions do not share a table"
            )
    drawn = [(getattr(result, "samples", {}), getattr(result, "best_by", None)) for result in (one, two)]
    if all(samples for samples, _ in drawn) and drawn[0] != drawn[1]:
        raise ComparisonError(
            f"{first.label} and {other.label} selected the best of different samples: {drawn[0][0]} by {drawn[0][1]}"
            f" and {drawn[1][0]} by {drawn[1][1]}"
        )
    for metric in one.definitions.keys() & two.definitions.keys():
        if one.definitions[metric] != two.definitions[metric]:
            raise ComparisonError(
                f"{first.label} and {other.label} define {metric} differently: {one.definitions[metric]!r} and"
                f" {two.definitions[metric]!r}"
            )
    hashes = [entry.result.provenance.get("metric_weights", {}) for entry in (first, other)]
    if differing := [name for name in hashes[0].keys() & hashes[1].keys() if hashes[0][name] != hashes[1][name]]:
        raise ComparisonError(f"{first.label} and {other.label} were scored with different weights of {differing[0]}")
    windows = [getattr(result, "rows", Rows()).windows for result in (one, two)]  # sets of clips have no windows
    if windows[0] != windows[1]:
        raise ComparisonError(f"{first.label} and {other.label} were scored on different windows")


def _metrics(result: AnyResult) -> list[str]:
    return list(dict.fromkeys(metric for table in result.scores.values() for metric in table))


def _lines(entries: Sequence[Entry], metrics: Sequence[str]) -> list[Line]:
    """All rows. Rows that are equal in all results are baselines: they appear once, without a label."""
    first = entries[0].result.scores
    shared = [
        name
        for name in first
        if len(entries) > 1 and all(_same(entry.result.scores.get(name), first[name], metrics) for entry in entries)
    ]
    lines = []
    for entry in entries:
        for name, table in entry.result.scores.items():
            if name not in shared:
                label = name if len(entries) == 1 else f"{entry.label}: {name}"
                lines.append(Line(label, _estimates(table, metrics)))
    return lines + [Line(name, _estimates(first[name], metrics)) for name in shared]


def _same(table: dict[str, Score] | None, other: dict[str, Score], metrics: Sequence[str]) -> bool:
    return table is not None and all(table.get(m) == other.get(m) for m in metrics)


def _estimates(table: dict[str, Score], metrics: Sequence[str]) -> dict[str, Estimate]:
    return {m: table[m].mean for m in metrics if m in table}


def _differences(
    entries: Sequence[Entry], metrics: Sequence[str], resamples: int, seed: int
) -> tuple[list[Line], list[str]]:
    """Each subject minus the first one, paired by window; sets of clips have no windows, and an AUC has no mean."""
    first = entries[0]
    if len(entries) < 2 or isinstance(first.result, SynthesisScores | LongClipScores | AnomalyScores):
        return [], []
    bootstrap = SourceBootstrap(first.result.rows.sources, resamples=resamples, seed=seed)
    lines = []
    for other in entries[1:]:
        values = {}
        for metric in metrics:
            pair = [_measurements(entry.result, metric) for entry in (other, first)]
            if pair[0] is not None and pair[1] is not None:
                values[metric] = bootstrap.difference(pair[0], pair[1])[0]
        lines.append(Line(f"{other.label} - {first.label}", values))
    return lines, ["differences are paired: the same windows, 95 % intervals over source videos"]


def _measurements(result: AnyResult, metric: str) -> Values | None:
    """(W, K) of the subject of a result; (V, 1) for folders, whose unit is the video."""
    if isinstance(result, ForecastScores):
        values = result.rows.values[result.subject]
        if metric in SEQUENCE_SUMS:
            return values[SEQUENCE_SUMS[metric][0]].sum(axis=1, keepdims=True)
        return values.get(metric)
    if isinstance(result, MappingScores):
        return result.rows.values[result.subject].get(metric)
    assert isinstance(result, FolderScores)
    frames = result.rows.values["prediction"].get(metric)
    return None if frames is None else np.asarray(video_means(frames)[:, None])
