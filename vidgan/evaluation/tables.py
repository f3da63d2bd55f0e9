"""Results as tables (text, Markdown, LaTeX, CSV, JSON) and as documents for the report."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidgan.evaluation.comparison import Comparison, Line, quoted_lines
from vidgan.evaluation.protocols import PROTOCOLS
from vidgan.evaluation.results import (
    AnomalyScores,
    FolderScores,
    ForecastScores,
    LongClipScores,
    MappingScores,
    Result,
    SynthesisScores,
)
from vidgan.evaluation.sensitivity import NOT_SEEING, REWARDING, sensitivity_marks
from vidgan.metrics.appearance import lags
from vidgan.metrics.statistics import Estimate

FEW_VIDEOS = 20  # at most this number of videos is listed individually
SIGNS = {"higher": " ↑", "lower": " ↓", NOT_SEEING: NOT_SEEING, REWARDING: REWARDING}
LATEX_SIGNS = {
    "higher": r" $\uparrow$",
    "lower": r" $\downarrow$",
    NOT_SEEING: r"$^\dagger$",
    REWARDING: r"$^\ddagger$",
}


@dataclass(frozen=True)
class Table:
    """Rows of metric -> estimate, with a title and notes.

    `of_sets`: measures of sets of clips. They are many, so they become the rows, and those that failed the tests of
    docs/sensitivity.md are marked.
    """

    title: str
    metrics: list[str]
    better: Mapping[str, str]
    lines: Sequence[Line]
    notes: list[str] = field(default_factory=list)
    of_sets: bool = False


def result_tables(scores: Result, *, published: bool = False) -> list[Table]:
    """The table of a result (for long clips one row per segment), and those of its easy, middle and hard windows.

    Args:
        published: append the published rows of its protocol.

    Raises:
        ValueError: no rows are published for its protocol.
    """
    metrics = list(dict.fromkeys(metric for table in scores.scores.values() for metric in table))
    lines = [
        Line(name, {metric: score.mean for metric, score in table.items()}) for name, table in scores.scores.items()
    ]
    if isinstance(scores, LongClipScores):
        lines = [
            Line(f"{name}, frames {span}", {metric: score.horizon[at] for metric, score in table.items()})
            for name, table in scores.scores.items()
            for at, span in enumerate(scores.spans(name))
        ]
    notes = [f"note: {note}" for note in scores.notes]
    if published:
        quoted, sources = quoted_lines(PROTOCOLS.get(scores.protocol), metrics)
        lines += quoted
        notes += sources
    of_sets = isinstance(scores, SynthesisScores)
    tables = [Table(describe_result(scores), metrics, scores.better, lines, notes, of_sets)]
    if isinstance(scores, FolderScores) and 1 < scores.videos <= FEW_VIDEOS:
        by_video = [
            Line(video, {metric: Estimate(value, None, None) for metric, value in means.items()})
            for video, means in scores.by_video.items()
        ]
        tables.append(Table("the prediction, video by video", metrics, scores.better, by_video))
    if isinstance(scores, AnomalyScores) and 1 < scores.videos <= FEW_VIDEOS:
        forecasters = [name for name in scores.scores if any(name in table for table in scores.by_video.values())]
        aucs = [
            Line(video, {name: Estimate(table.get(name), None, None) for name in forecasters})
            for video, table in scores.by_video.items()
        ]
        tables.append(Table("auc, video by video", forecasters, {}, aucs))
    if isinstance(scores, ForecastScores) and sum(one.windows > 0 for one in scores.bins.values()) > 1:
        for name, difficulty in scores.bins.items():
            if difficulty.windows:
                title = f"{name}: {difficulty.windows} windows of {difficulty.sources} sources"
                rows = [
                    Line(row, {m: Estimate(v, None, None) for m, v in means.items()})
                    for row, means in difficulty.scores.items()
                ]
                tables.append(Table(title, metrics, scores.better, rows))
    return tables


def comparison_tables(comparison: Comparison, title: str) -> list[Table]:
    """The table of several results with this title, and the table of their paired differences."""
    notes = [f"note: {note}" for note in comparison.notes]
    tables = [Table(title, comparison.metrics, comparison.better, comparison.lines, notes, comparison.of_sets)]
    if comparison.differences:
        paired = [m for m in comparison.metrics if any(m in line.values for line in comparison.differences)]
        tables.append(Table(f"{comparison.protocol}: paired differences", paired, {}, comparison.differences))
    return tables


def describe_result(scores: Result) -> str:
    """One line that says what was scored, and how means and intervals are taken."""
    size = f"{scores.frame_size[0]}x{scores.frame_size[1]}"
    if isinstance(scores, ForecastScores):
        task = f"{scores.context} context frames, {scores.horizon} forecast"
        if scores.samples:
            number = max(scores.samples.values())
            by = f"by {scores.best_by}" if scores.best_by else "by each metric separately"
            task += f", {number} samples, best and worst selected with the ground truth {by}"
        return (
            f"{scores.protocol}: {scores.windows} windows of {scores.sources} sources at {size}, {task};"
            " mean over windows and steps, 95 % interval over sources"
        )
    if isinstance(scores, SynthesisScores):
        truncated = any(row.startswith("truncation ") for row in scores.scores)
        return (
            f"{scores.protocol}: {scores.clips} clips of {scores.frames} frames at {size} on each side; `real` is the"
            " real-versus-real floor, further rows are damaged real clips"
            f"{' and generated clips with truncation' if truncated else ''}"
        )
    if isinstance(scores, LongClipScores):
        return (
            f"{scores.protocol}: {scores.clips} clips of {scores.frames} frames at {size}, trained on {scores.stretch},"
            f" segment by segment; `real`: {scores.real_clips} clips of {scores.real_frames} frames"
        )
    if isinstance(scores, MappingScores):
        enlarged = f" from {scores.frame_size[0] // scores.scale}x{scores.frame_size[1] // scores.scale}"
        return (
            f"{scores.protocol}: {scores.windows} windows of {scores.frames} frames of {scores.sources} sources at"
            f" {size}{enlarged if scores.scale > 1 else ''}, {scores.border} border pixels left out of frame metrics;"
            " mean over windows and frames, 95 % interval over sources"
        )
    if isinstance(scores, AnomalyScores):
        return (
            f"{scores.protocol}: {scores.frames} frames of {scores.videos} test videos at {size}, {scores.anomalous}"
            f" anomalous, each forecast from {scores.context} frames; 95 % interval over videos"
        )
    assert isinstance(scores, FolderScores)
    return (
        f"{scores.protocol}: {scores.videos} videos, {scores.frames} frames at {size}; mean over videos of the mean"
        " over frames, 95 % interval over videos"
    )


def render(scores: Result, form: str, *, published: bool = False) -> str:
    """A result in one of `FORMATS`, or as JSON."""
    return scores.to_json() if form == "json" else FORMATS[form](result_tables(scores, published=published))


def markdown_table(scores: Result) -> str:
    """A result as Markdown."""
    return as_markdown(result_tables(scores))


def as_text(tables: Sequence[Table]) -> str:
    """Aligned columns for a terminal."""
    parts = []
    for table in tables:
        rows = _grid(table)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts.append("\n".join([table.title, "", *text, *(["", *table.notes] if table.notes else [])]))
    return "\n\n".join(parts)


def as_markdown(tables: Sequence[Table]) -> str:
    """Markdown tables; quoted rows in italics."""
    parts = []
    for table in tables:
        header, *rows = _grid(table, quoted="*{}*")
        text = [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
        notes = [f"- {note}" for note in table.notes]
        parts.append("\n".join([table.title, "", *text, *(["", *notes] if notes else [])]))
    return "\n\n".join(parts)


def as_latex(tables: Sequence[Table]) -> str:
    """LaTeX `tabular` environments for use inside a `table`; quoted rows in italics, notes as comments."""
    parts = []
    for table in tables:
        header, *rows = _grid(table, quoted=r"\textit{{{}}}", escape=_escape, signs=LATEX_SIGNS)
        body_rows = [f"{' & '.join(row)} \\\\" for row in rows]
        columns = "l" + "r" * (len(header) - 1)
        comments = [f"% {note}" for note in (table.title, *table.notes)]
        body = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", f"{' & '.join(header)} \\\\", r"\hline", *body_rows]
        parts.append("\n".join([*comments, *body, r"\hline", r"\end{tabular}"]))
    return "\n\n".join(parts)


def as_csv(tables: Sequence[Table]) -> str:
    """One row per (table, name, metric), with full precision and bounds in separate columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "name", "metric", "better", "mean", "low", "high", "quoted"])
    for table in tables:
        for line in table.lines:
            for metric, value in line.values.items():
                row = [table.title, line.name, metric, table.better.get(metric, "")]
                writer.writerow([*row, value.mean, value.low, value.high, int(line.quoted)])
    return text.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
}


def score_document(scores: Result) -> dict[str, Any]:
    """The result with its table and curves, as saved in `scores/` of a run for the report."""
    table = result_tables(scores)[0]
    curves: dict[str, dict[str, list[float | None]]] = {}
    intervals: dict[str, dict[str, list[list[float | None]]]] = {}
    has_curves = isinstance(scores, LongClipScores | MappingScores | SynthesisScores)
    if has_curves or (isinstance(scores, ForecastScores) and scores.horizon > 1):
        for name, metrics in scores.scores.items():
            for metric, score in metrics.items():
                steps = score.horizon
                if any(step.mean is not None for step in steps):
                    curves.setdefault(metric, {})[name] = [step.mean for step in steps]
                if any(step.low is not None for step in steps):
                    intervals.setdefault(metric, {})[name] = [[step.low, step.high] for step in steps]
    header, *rows = _grid(table)
    return {
        "protocol": scores.protocol,
        "table": {"header": header, "rows": rows},
        "curves": curves,
        "intervals": intervals,
        **({"steps": lags(scores.frames)} if curves and isinstance(scores, SynthesisScores) else {}),
        "better": scores.better,
        "notes": [
            describe_result(scores),
            *(f"{name}: {text}" for name, text in scores.definitions.items()),
            *scores.notes,
        ],
        "result": scores.to_dict(),
    }


def _grid(
    table: Table, *, quoted: str = "{}", escape: Callable[[str], str] = str, signs: Mapping[str, str] = SIGNS
) -> list[list[str]]:
    """All cells, names included: the first row is the header.

    Args:
        quoted: format of the names of quoted rows.
        escape: makes a text safe in the output format.
        signs: the arrows and marks of the output format.
    """
    rows = [["", *(_heading(metric, table, escape, signs) for metric in table.metrics)]]
    for line in table.lines:
        name = quoted.format(escape(line.name)) if line.quoted else escape(line.name)
        rows.append([name, *map(escape, _cells(line, table))])
    return [list(column) for column in zip(*rows, strict=True)] if table.of_sets else rows


def _heading(metric: str, table: Table, escape: Callable[[str], str], signs: Mapping[str, str]) -> str:
    marks = "".join(signs[mark] for mark in sensitivity_marks(metric)) if table.of_sets else ""
    return f"{escape(metric)}{marks}{signs.get(table.better.get(metric, ''), '')}"


def _cells(line: Line, table: Table) -> list[str]:
    """`mean [low, high]` of each metric; empty if it was not measured, a dash if it has no finite value."""
    cells = []
    for metric in table.metrics:
        value = line.values.get(metric)
        if value is None:
            cells.append("")
        elif value.low is None or value.high is None:
            cells.append(_number(value.mean))
        else:
            cells.append(f"{_number(value.mean)} [{_number(value.low)}, {_number(value.high)}]")
    return cells


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _escape(text: str) -> str:
    """Escape the special characters of LaTeX."""
    return "".join(f"\\{c}" if c in "&%$#_{}" else c for c in text)
