"""The blocks of one score file: table, curves with intervals, bars of floor and controls, difficulty, animations.

A score file holds ``{"protocol": text or mapping, "table": {"header": [...], "rows": [[...]]}, "curves": {metric:
{predictor: [a value, or null, for each step of the horizon or each segment]}}, "intervals": {metric: {predictor:
[[low, high], ...]}}, "better": {metric: "higher" or "lower"}, "notes": [...], "result": {...}}``. Every key is
optional. ``result`` is the result of the evaluation as JSON: a forecast has difficulty bins and calibration, a set of
generated clips has a floor and controls.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidgan.report.blocks import Block, Cell, KeyValues, Notes, Table, Text
from vidgan.report.charts import Bar, BarChart, LineChart
from vidgan.report.formatting import count, heading, words

BASELINES = (
    "copy-last",
    "constant-velocity warp",
    "constant-velocity, carried",
    "constant-velocity warp, RIFE",
    "linear extrapolation",
    "context mean",
)
FLOOR, GENERATED = "real", "generated"
BINNED = ("psnr", "ssim", "skill")  # metrics by difficulty; without them, the metric that chose the cases
MAPPING_CURVES = {"psnr", "tof", "warp_error"}  # metrics whose course over a clip is drawn, for clip-to-clip models
HORIZON_INTERVAL = "Shaded: 95 % interval over source videos."
SEGMENT_INTERVAL = "Shaded: 95 % interval over clips; for the Fréchet distance, the range over random halvings."
SET_INTERVAL = "Whiskers: range over random halvings, or 95 % interval."


def score_blocks(scores: Mapping[str, Any], cases: Sequence[Block] = ()) -> list[Block]:
    """The blocks of one score file.

    Args:
        scores: the score file, in the format of this module's docstring.
        cases: animations to insert before the notes.
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
    if result.get("kind") == "anomaly":
        blocks += _normality(result)
    if result.get("kind") == "forecast":
        blocks += [*_difficulty(result), *_calibration(result)]
    blocks += cases
    notes = [str(note) for note in scores.get("notes", [])]
    blocks += [Text(note) for note in notes[:1]]
    if len(notes) > 1:
        blocks.append(Notes(notes[1:], "Definitions and notes"))
    return blocks


def _curves(scores: Mapping[str, Any]) -> Iterator[Block]:
    """A chart for each metric with the subject and its baselines, and a second one with its parts and samples."""
    subject = scores.get("result", {}).get("subject", "")
    intervals = scores.get("intervals", {})
    if scores.get("result", {}).get("kind") == "mapping":
        for metric in sorted(MAPPING_CURVES & scores.get("curves", {}).keys()):
            own = {name: pairs for name, pairs in intervals.get(metric, {}).items() if name == subject}
            yield _curve(scores, metric, scores["curves"][metric], own, "over the clip")
        return
    segmented = "stretch" in scores.get("result", {})
    over = "over the clip" if segmented else "over the lag" if "steps" in scores else "over the horizon"
    for metric, predictors in scores.get("curves", {}).items():
        named = dict(sorted(predictors.items(), key=lambda item: item[0] != subject))  # the subject first
        shown = {name: values for name, values in named.items() if name in (subject, *BASELINES)}
        others = {name: values for name, values in named.items() if name not in BASELINES}
        yield _curve(scores, metric, shown or named, intervals.get(metric, {}), over)
        if shown and len(others) > 1 and metric in BINNED:
            # Only the subject's interval, since several would hide each other.
            own = {name: pairs for name, pairs in intervals.get(metric, {}).items() if name == subject}
            yield _curve(scores, metric, others, own, "of the forecast's parts and samples")


def _curve(
    scores: Mapping[str, Any],
    metric: str,
    predictors: Mapping[str, Sequence[float | None]],
    intervals: Mapping[str, Sequence[tuple[float | None, float | None]]],
    title: str,
) -> LineChart:
    better = scores.get("better", {}).get(metric)
    result = scores.get("result", {})
    segment = result.get("stretch")  # frames per segment of clips longer than trained
    is_mapping = result.get("kind") == "mapping"
    x_label = f"segment of {segment} frames" if segment else "frame or step" if is_mapping else "forecast frame"
    steps: Sequence[float] = range(1, 1 + max(map(len, predictors.values()), default=0))
    if "steps" in scores:
        steps, x_label = scores["steps"], "lag between two frames of a clip, frames"
    bands = {
        name: [
            (float(x), low, high)
            for x, (low, high) in zip(steps, pairs, strict=False)
            if low is not None and high is not None
        ]
        for name, pairs in intervals.items()
    }
    return LineChart(
        {name: list(zip(steps, values, strict=False)) for name, values in predictors.items()},
        f"{heading(metric)} {title}",
        x_label=x_label,
        x_from_zero=False,
        y_label=f"{metric}, {better} is better" if better else metric,
        bands=bands,
        caption=(SEGMENT_INTERVAL if segment else HORIZON_INTERVAL) if any(bands.values()) else "",
    )


def _floors_and_controls(result: Mapping[str, Any]) -> Iterator[Block]:
    """A chart for each measure of the generated set, the floor of real clips and the damaged real clips."""
    measures: dict[str, dict[str, Bar]] = {}
    for name, metrics in result["scores"].items():
        for metric, score in metrics.items():
            mean = score["mean"]
            if mean["mean"] is not None:
                measures.setdefault(metric, {})[name] = mean["mean"], mean["low"], mean["high"]
    shown = {metric: bars for metric, bars in measures.items() if len(bars) > 1}
    if shown:
        yield Text(
            f"Each measure of the {GENERATED} clips, of other {FLOOR} clips (dashed: the floor, which a perfect model"
            " reaches) and of damaged real clips. A measure is informative only where it separates damaged clips from"
            " the floor."
        )
    for metric, bars in shown.items():
        better = result.get("better", {}).get(metric)
        yield BarChart(
            bars,
            heading(metric),
            subject=GENERATED,
            reference=FLOOR,
            note=f"{better} is better" if better else "closer to real is better",
            caption=SET_INTERVAL,
        )


def _normality(result: Mapping[str, Any]) -> Iterator[Block]:
    """The normalised PSNR of each frame of some videos, and which frames are anomalous."""
    subject = result["subject"]
    for video, curves in result["curves"].items():
        first = result["context"] + 1
        series = {
            subject: curves[subject],
            **{name: curves[name] for name in BASELINES[:1] if name in curves and name != subject},
            "anomalous": curves["label"],
        }
        yield LineChart(
            {name: list(enumerate(values, start=first)) for name, values in series.items()},
            f"Normality of the frames of {video}",
            x_label="frame, counted from 1",
            x_from_zero=False,
            y_label="normalised PSNR; anomalous: 1",
            y_range=(0.0, 1.0),
            caption="A detector is good if its curve is low where a frame is anomalous.",
        )


def _difficulty(result: Mapping[str, Any]) -> Iterator[Block]:
    """Means on the easy, middle and hard windows; nothing if all windows are in one bin."""
    bins = {name: entry for name, entry in result.get("bins", {}).items() if entry["windows"]}
    if len(bins) < 2:
        return
    measured = {metric for entry in bins.values() for table in entry["scores"].values() for metric in table}
    cases = [case["metric"] for case in result.get("cases", [])]
    metrics = [metric for metric in BINNED if metric in measured] or list(dict.fromkeys(cases))
    better = result.get("better", {})
    header = [""]
    for metric in metrics:
        arrow = {"higher": " ↑", "lower": " ↓"}.get(better.get(metric, ""), "")
        header += [f"{heading(metric)}{arrow}, {name}" for name in bins]
    rows: list[list[Cell]] = []
    for name in next(iter(bins.values()))["scores"]:
        row = [entry["scores"].get(name, {}).get(metric) for metric in metrics for entry in bins.values()]
        if any(value is not None for value in row):
            rows.append([name, *row])
    counts = "; ".join(
        f"{name}: {count(entry['windows'], 'window')} of {count(entry['sources'], 'source')}"
        for name, entry in bins.items()
    )
    caption = f"By difficulty: how much the first target frame differs from the last context frame. {counts}."
    yield Table(header, rows, caption=caption)


def _calibration(result: Mapping[str, Any]) -> Iterator[Block]:
    """Coverage of each sampler: observed against nominal."""
    for name, entry in result.get("calibration", {}).items():
        shares = [(0.0, 0.0), *((float(nominal), float(observed)) for nominal, observed in entry["coverage"])]
        yield LineChart(
            {name: shares, "calibrated": [(0.0, 0.0), (1.0, 1.0)]},
            f"Calibration of {words(name)}",
            x_label="central share of the samples",
            y_label="share of pixels whose true value lies within",
            y_range=(0.0, 1.0),
            caption="Below the diagonal: the samples vary too little (overconfident).",
        )


def _flat(value: Any) -> Cell:
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
