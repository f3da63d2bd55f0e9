"""One score file of a run as blocks: table, bars beside floor and controls, curves with intervals, difficulty, cases.

A score file holds ``{"protocol": text or mapping, "table": {"header": [...], "rows": [[...]]}, "curves": {metric:
{predictor: [a value, or null, for each step of the horizon or each stretch]}}, "intervals": {metric: {predictor:
[[low, high], ...]}}, "better": {metric: "higher" or "lower"}, "notes": [...], "result": {...}}``, every key optional.
``result`` is what the evaluation returned, in JSON: a forecast's brings difficulty bins and calibration, a synthesis'
its floor and controls.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidgan.report.bars import Bar, BarChart
from vidgan.report.blocks import Block, Cell, KeyValues, Notes, Table, Text
from vidgan.report.chart import LineChart
from vidgan.report.words import heading, words

BASELINES = (
    "copy-last",
    "constant-velocity warp",
    "constant-velocity, carried",
    "linear extrapolation",
    "context mean",
)
FLOOR, GENERATED = "real", "generated"
BINNED = ("psnr", "ssim", "skill")  # shown by difficulty; without them, the metric that chose the cases
INTERVAL = "Shaded: 95 % interval over source videos."
BY_STRETCH = "Shaded: 95 % interval over clips; of the Fréchet distance, its range over random halvings."
BETWEEN_HALVES = "Whiskers: smallest and largest value over random halvings, or a 95 % interval."


def score_blocks(scores: Mapping[str, Any], cases: Sequence[Block] = ()) -> list[Block]:
    """All that is to be seen of one score file (its form: see this module's docstring).

    Args:
        cases: pictures of the best, median and worst window, shown after the curves.
    """
    blocks: list[Block] = []
    protocol = scores.get("protocol")
    if isinstance(protocol, Mapping):
        blocks.append(KeyValues({heading(key): _flat(value) for key, value in protocol.items()}))
    elif protocol is not None:
        blocks.append(Text(f"Protocol: {protocol}"))
    if "table" in scores:
        rows = [[_flat(value) for value in row] for row in scores["table"]["rows"]]
        blocks.append(Table([str(name) for name in scores["table"]["header"]], rows))
    blocks += _curves(scores)
    result = scores.get("result", {})
    if result.get("kind") == "synthesis":
        blocks += _floors_and_controls(result)
    if result.get("kind") == "forecast":
        blocks += [*_difficulty(result), *_calibration(result)]
    blocks += cases
    notes = [str(note) for note in scores.get("notes", [])]
    blocks += [Text(note) for note in notes[:1]]
    if len(notes) > 1:
        blocks.append(Notes(notes[1:], "Definitions and notes"))
    return blocks


def _curves(scores: Mapping[str, Any]) -> Iterator[Block]:
    """A chart a metric: the forecast beside its baselines; a second one for its parts and samples."""
    subject = scores.get("result", {}).get("subject", "")
    intervals = scores.get("intervals", {})
    over = "over the clip" if "stretch" in scores.get("result", {}) else "over the horizon"
    for metric, predictors in scores.get("curves", {}).items():
        named = dict(sorted(predictors.items(), key=lambda item: item[0] != subject))  # the subject first
        shown = {name: values for name, values in named.items() if name in (subject, *BASELINES)}
        others = {name: values for name, values in named.items() if name not in BASELINES}
        yield _curve(scores, metric, shown or named, intervals.get(metric, {}), over)
        if shown and len(others) > 1 and metric in BINNED:
            # Their intervals would hide each other.
            own = {name: pairs for name, pairs in intervals.get(metric, {}).items() if name == subject}
            yield _curve(scores, metric, others, own, "of the forecast's parts and samples")


def _curve(
    scores: Mapping[str, Any],
    metric: str,
    predictors: Mapping[str, Sequence[float | None]],
    intervals: Mapping[str, Sequence[tuple[float | None, float | None]]],
    of: str,
) -> LineChart:
    better = scores.get("better", {}).get(metric)
    stretch = scores.get("result", {}).get("stretch")  # of longer clips
    bands = {
        name: [(float(x), low, high) for x, (low, high) in enumerate(pairs, 1) if low is not None and high is not None]
        for name, pairs in intervals.items()
    }
    return LineChart(
        {name: list(enumerate(values, start=1)) for name, values in predictors.items()},
        f"{heading(metric)} {of}",
        x_label=f"stretch of {stretch} frames" if stretch else "frame of the forecast",
        x_from_zero=False,
        y_label=f"{metric}, {better} is better" if better else metric,
        bands=bands,
        caption=(BY_STRETCH if stretch else INTERVAL) if any(bands.values()) else "",
    )


def _floors_and_controls(result: Mapping[str, Any]) -> Iterator[Block]:
    """A chart a measure: the generated set between the floor of real clips and damaged real clips."""
    measures: dict[str, dict[str, Bar]] = {}
    for name, metrics in result["scores"].items():
        for metric, score in metrics.items():
            mean = score["mean"]
            if mean["mean"] is not None:
                measures.setdefault(metric, {})[name] = mean["mean"], mean["low"], mean["high"]
    shown = {metric: bars for metric, bars in measures.items() if len(bars) > 1}
    if shown:
        yield Text(
            f"Each measure of the {GENERATED} clips beside other {FLOOR} clips (the floor: what a perfect model could"
            " expect, dashed) and damaged real clips. A measure tells something only where it sees that damage."
        )
    for metric, bars in shown.items():
        better = result.get("better", {}).get(metric)
        yield BarChart(
            bars,
            heading(metric),
            subject=GENERATED,
            reference=FLOOR,
            note=f"{better} is better" if better else "like real is better",
            caption=BETWEEN_HALVES,
        )


def _difficulty(result: Mapping[str, Any]) -> Iterator[Block]:
    """Means on the easy, middle and hard windows; nothing where all are of one kind."""
    bins = {name: found for name, found in result.get("bins", {}).items() if found["windows"]}
    if len(bins) < 2:
        return
    measured = {metric for found in bins.values() for table in found["scores"].values() for metric in table}
    cases = [case["metric"] for case in result.get("cases", [])]
    metrics = [metric for metric in BINNED if metric in measured] or list(dict.fromkeys(cases))
    better = result.get("better", {})
    header = [""]
    for metric in metrics:
        arrow = {"higher": " ↑", "lower": " ↓"}.get(better.get(metric, ""), "")
        header += [f"{heading(metric)}{arrow}, {name}" for name in bins]
    rows: list[list[Cell]] = []
    for name in next(iter(bins.values()))["scores"]:
        row = [found["scores"].get(name, {}).get(metric) for metric in metrics for found in bins.values()]
        if any(value is not None for value in row):
            rows.append([name, *row])
    counts = "; ".join(f"{name}: {_count(found)}" for name, found in bins.items())
    yield Table(
        header, rows, caption=f"By difficulty: how little the first target frame is like the last seen. {counts}."
    )


def _count(found: Mapping[str, Any]) -> str:
    windows, sources = found["windows"], found["sources"]
    return f"{windows} window{'s' * (windows != 1)} of {sources} source{'s' * (sources != 1)}"


def _calibration(result: Mapping[str, Any]) -> Iterator[Block]:
    """Does the truth lie among the samples as often as they claim?"""
    for name, found in result.get("calibration", {}).items():
        shares = [(0.0, 0.0), *((float(claimed), float(observed)) for claimed, observed in found["coverage"])]
        yield LineChart(
            {name: shares, "calibrated": [(0.0, 0.0), (1.0, 1.0)]},
            f"Calibration of {words(name)}",
            x_label="central share of the samples",
            y_label="share of pixels whose truth lies within",
            y_range=(0.0, 1.0),
            caption="Below the diagonal: the samples differ too little (overconfident).",
        )


def _flat(value: Any) -> Cell:
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
