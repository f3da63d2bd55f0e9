"""Several results side by side: one table, paired differences on the same windows, and a refusal of what does not fit.

Two numbers share a table only if they come from the same protocol, the same data, the same windows and the same metric
definitions. Everything else is an error that says what differs, never a footnote.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vidgan.errors import ComparisonError
from vidgan.evaluation.folders import video_means
from vidgan.evaluation.protocols import ForecastProtocol, GenerationProtocol
from vidgan.evaluation.published import quoted_rows
from vidgan.evaluation.results import FolderScores, ForecastScores, LongerScores, Score, SynthesisScores
from vidgan.evaluation.rows import Rows, Values
from vidgan.metrics.frame import SEQUENCE_SUMS
from vidgan.metrics.statistics import MIN_RESAMPLES, Estimate, SourceBootstrap

Comparable = ForecastScores | SynthesisScores | LongerScores | FolderScores


@dataclass(frozen=True)
class Entry:
    """One result under a name of its own."""

    label: str
    result: Comparable


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
        protocol, metrics, better, definitions: shared by all.
        lines: measured rows, the shared baselines once, then quoted ones.
        differences: each entry's subject minus the first one's, on the same windows.
        notes: what a reader must know.
    """

    protocol: str
    metrics: list[str]
    better: dict[str, str]
    definitions: dict[str, str]
    lines: list[Line]
    differences: list[Line]
    notes: list[str] = field(default_factory=list)


def compare(
    entries: Sequence[Entry],
    *,
    published: ForecastProtocol | GenerationProtocol | None = None,
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """One table of all entries.

    Args:
        published: the protocol whose quoted rows are added below.
        resamples, seed: of the bootstrap over sources, for the differences.

    Raises:
        ComparisonError: entries that were not measured alike; the message says in what they differ.
    """
    if len({entry.label for entry in entries}) < len(entries):
        raise ComparisonError(f"two results are named alike: {', '.join(entry.label for entry in entries)}")
    first = entries[0]
    for other in entries[1:]:
        _check_alike(first, other)
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
    )


def quoted_lines(
    protocol: ForecastProtocol | GenerationProtocol | None, metrics: Sequence[str]
) -> tuple[list[Line], list[str]]:
    """The published rows that have one of the metrics, and where they stand.

    Raises:
        ComparisonError: there is none.
    """
    rows = [] if protocol is None else [row for _, row in quoted_rows(protocol) if row.values.keys() & set(metrics)]
    if not rows:
        raise ComparisonError("--published: nothing is quoted for this protocol and these metrics")
    lines = [
        Line(row.label, {m: Estimate(row.values[m], None, None) for m in metrics if m in row.values}, quoted=True)
        for row in rows
    ]
    return lines, sorted({f"quoted: {row.source}" for row in rows})


def _check_alike(first: Entry, other: Entry) -> None:
    """Refuse to compare what was not measured alike."""
    one, two = first.result, other.result
    facts = {"kind": "kind of result", "protocol": "protocol", "fingerprint": "data", "frame_size": "frame size"}
    facts |= {"context": "context", "horizon": "horizon", "clips": "number of clips", "frames": "clip length"}
    for name, told in facts.items():
        if getattr(one, name, None) != getattr(two, name, None):
            raise ComparisonError(
                f"{first.label} and {other.label} differ in {told}: {getattr(one, name, None)} and"
                f" {getattr(two, name, None)}; such numbers do not share a table"
            )
    drawn = [(getattr(result, "samples", {}), getattr(result, "best_by", None)) for result in (one, two)]
    if all(samples for samples, _ in drawn) and drawn[0] != drawn[1]:
        raise ComparisonError(
            f"{first.label} and {other.label} chose the best of other samples: {drawn[0][0]} by {drawn[0][1]} and"
            f" {drawn[1][0]} by {drawn[1][1]}"
        )
    for metric in one.definitions.keys() & two.definitions.keys():
        if one.definitions[metric] != two.definitions[metric]:
            raise ComparisonError(
                f"{first.label} and {other.label} define {metric} differently: {one.definitions[metric]!r} and"
                f" {two.definitions[metric]!r}"
            )
    hashes = [entry.result.provenance.get("metric_weights", {}) for entry in (first, other)]
    if differing := [name for name in hashes[0].keys() & hashes[1].keys() if hashes[0][name] != hashes[1][name]]:
        raise ComparisonError(f"{first.label} and {other.label} were scored with other weights of {differing[0]}")
    windows = [getattr(result, "rows", Rows()).windows for result in (one, two)]  # sets of clips have none
    if windows[0] != windows[1]:
        raise ComparisonError(f"{first.label} and {other.label} were scored on different windows")


def _metrics(result: Comparable) -> list[str]:
    return list(dict.fromkeys(metric for table in result.scores.values() for metric in table))


def _lines(entries: Sequence[Entry], metrics: Sequence[str]) -> list[Line]:
    """Every row once: those that all results share to the last digit are baselines and keep their plain name."""
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
                told = entry.label if len(entries) == 1 else f"{entry.label}: {name}"
                lines.append(Line(name if len(entries) == 1 else told, _estimates(table, metrics)))
    return lines + [Line(name, _estimates(first[name], metrics)) for name in shared]


def _same(table: dict[str, Score] | None, other: dict[str, Score], metrics: Sequence[str]) -> bool:
    return table is not None and all(table.get(m) == other.get(m) for m in metrics)


def _estimates(table: dict[str, Score], metrics: Sequence[str]) -> dict[str, Estimate]:
    return {m: table[m].mean for m in metrics if m in table}


def _differences(
    entries: Sequence[Entry], metrics: Sequence[str], resamples: int, seed: int
) -> tuple[list[Line], list[str]]:
    """Each subject minus the first one, paired by window; sets of clips have no windows to pair."""
    first = entries[0]
    if len(entries) < 2 or isinstance(first.result, SynthesisScores | LongerScores):
        return [], []
    bootstrap = SourceBootstrap(first.result.rows.sources, resamples=resamples, seed=seed)
    lines = []
    for other in entries[1:]:
        found = {}
        for metric in metrics:
            pair = [_measured(entry.result, metric) for entry in (other, first)]
            if pair[0] is not None and pair[1] is not None:
                found[metric] = bootstrap.difference(pair[0], pair[1])[0]
        lines.append(Line(f"{other.label} - {first.label}", found))
    return lines, ["differences are paired: the same windows, 95 % intervals over source videos"]


def _measured(result: Comparable, metric: str) -> Values | None:
    """(W, K) of the result's subject; (V, 1) of a folder, whose unit is the video."""
    if isinstance(result, ForecastScores):
        values = result.rows.values[result.subject]
        if metric in SEQUENCE_SUMS:
            return values[SEQUENCE_SUMS[metric][0]].sum(axis=1, keepdims=True)
        return values.get(metric)
    assert isinstance(result, FolderScores)
    frames = result.rows.values["prediction"].get(metric)
    return None if frames is None else np.asarray(video_means(frames)[:, None])
