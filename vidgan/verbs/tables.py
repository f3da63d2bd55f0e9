"""Scores as text tables and as the documents that reports show."""

from typing import Any

from vidgan.evaluation.results import ForecastScores, Result, SynthesisScores


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def header_and_rows(scores: Result) -> tuple[list[str], list[list[str]]]:
    """One row a forecaster (or set), one column a metric, each `mean [low, high]` with its 95 % interval."""
    table = scores.table()
    metrics = list(dict.fromkeys(row["metric"] for row in table))
    arrows = {"higher": " ↑", "lower": " ↓"}
    header = ["", *(f"{metric}{arrows.get(scores.better.get(metric, ''), '')}" for metric in metrics)]
    found = {(row["name"], row["metric"]): row for row in table}
    rows = []
    for name in dict.fromkeys(row["name"] for row in table):
        cells = [name]
        for metric in metrics:
            row = found.get((name, metric))
            if row is None:
                cells.append("")
            elif row["low"] is None:
                cells.append(_number(row["mean"]))
            else:
                cells.append(f"{_number(row['mean'])} [{_number(row['low'])}, {_number(row['high'])}]")
        rows.append(cells)
    return header, rows


def facts(scores: Result) -> str:
    """What the numbers are of, in a line."""
    size = f"{scores.frame_size[0]}x{scores.frame_size[1]}"
    if isinstance(scores, ForecastScores):
        return (
            f"{scores.protocol}: {scores.windows} windows of {scores.sources} sources at {size},"
            f" {scores.context} frames seen, {scores.horizon} forecast;"
            " mean over windows and steps, 95 % interval over sources"
        )
    if isinstance(scores, SynthesisScores):
        return (
            f"{scores.protocol}: {scores.clips} clips of {scores.frames} frames at {size} on each side; `real` is the"
            " real-versus-real floor, the other rows are damaged real clips"
        )
    return f"{scores.protocol} at {size}"


def text_table(scores: Result) -> str:
    """A table for a terminal."""
    header, rows = header_and_rows(scores)
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join([facts(scores), "", *lines, "", *(f"note: {note}" for note in scores.notes)]).rstrip()


def markdown_table(scores: Result) -> str:
    """The same as a Markdown table."""
    header, rows = header_and_rows(scores)
    lines = [f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join([facts(scores), "", *lines])


def score_document(scores: Result) -> dict[str, Any]:
    """The result with its table, as a run keeps it and the report shows it."""
    header, rows = header_and_rows(scores)
    curves: dict[str, dict[str, list[float]]] = {}
    intervals: dict[str, dict[str, list[list[float]]]] = {}
    if isinstance(scores, ForecastScores) and scores.horizon > 1:
        for name, metrics in scores.scores.items():
            for metric in ("psnr", "ssim"):
                steps = metrics[metric].horizon if metric in metrics else []
                if steps and all(step.mean is not None for step in steps):
                    curves.setdefault(metric, {})[name] = [step.mean for step in steps if step.mean is not None]
                if steps and all(step.low is not None and step.high is not None for step in steps):
                    bounds = [[step.low, step.high] for step in steps if step.low is not None and step.high is not None]
                    intervals.setdefault(metric, {})[name] = bounds
    return {
        "protocol": scores.protocol,
        "table": {"header": header, "rows": rows},
        "curves": curves,
        "intervals": intervals,
        "better": scores.better,
        "notes": [facts(scores), *(f"{name}: {text}" for name, text in scores.definitions.items()), *scores.notes],
        "result": scores.to_dict(),
    }
