"""A training run read back from its directory: journal, previews, scores and config, each shown if it is there.

Files read: ``journal.jsonl``, ``starts.jsonl``, ``previews/<name with a step number>.webp|gif|png``, ``scores/*.json``
(their form: `vidgan.report.scores`), ``config.yaml``.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidgan.report.blocks import (
    Animation,
    Block,
    Cell,
    Code,
    KeyValues,
    Picture,
    Section,
    Text,
    Warned,
    Warnings,
)
from vidgan.report.chart import LineChart
from vidgan.report.events import event_blocks
from vidgan.report.scores import score_blocks
from vidgan.report.words import duration, heading, words
from vidgan.training.journal import read_journal, read_records

Record = Mapping[str, Any]
Series = dict[str, list[tuple[float, float | None]]]

EARLIER = 3  # previews of each kind shown beside the latest
_STEP = re.compile(r"\d+")


def run_sections(
    run_dir: Path,
    *,
    warnings: Sequence[Warned] | None = None,
    cases: Mapping[str, Sequence[Block]] | None = None,
) -> list[Section]:
    """The sections of a run's report; what the run has not made yet has no section.

    Args:
        warnings: what `vidgan.training.diagnostics.diagnose` found; None leaves the verdict out.
        cases: name of a file in `scores/` -> pictures of the best, median and worst window of that result.
    """
    records, starts = (
        read_journal(run_dir, skip_invalid=True),
        read_records(run_dir / "starts.jsonl", skip_invalid=True),
    )
    overview: list[Block] = []
    if records:
        overview.append(KeyValues(_facts(records)))
    if warnings is not None:
        overview.append(Warnings(warnings))
    sections = [
        Section("Overview", overview),
        *_previews(run_dir / "previews"),
        *_scores(run_dir / "scores", cases or {}),
        Section("Training", _training(records)),
        Section("Events", event_blocks(records, starts)),
        Section("Samples against real clips", _samples(records)),
        Section("Config", _config(run_dir / "config.yaml")),
    ]
    return [section for section in sections if section.blocks]


def _facts(records: Sequence[Record]) -> dict[str, Cell]:
    facts: dict[str, Cell] = {"Steps": records[-1]["step"]}
    timed = [record for record in records if "seconds" in record]
    if timed:
        before = [0, *(record["step"] for record in timed)]
        total = sum(record["seconds"] * (record["step"] - start) for record, start in zip(timed, before, strict=False))
        facts["Training time"] = duration(total)
    recent = timed[-50:]
    for key, name, form in (
        ("clips_per_second", "Clips per second", "{:.3g}"),
        ("data_wait_share", "Waiting for data", "{:.1%}"),
    ):
        values = [record[key] for record in recent if key in record]
        if values:
            facts[name] = form.format(sum(values) / len(values))
    for key, values in _grouped(records, "evaluation/").items():
        if key != "score":
            facts[f"Last {key.replace('_', ' ')}"] = values[-1][1]
    return facts


def _grouped(records: Sequence[Record], start: str, end: str = "") -> Series:
    """Series of all keys that begin and end so, by what stands between, in the order of appearance."""
    series: Series = defaultdict(list)
    for record in records:
        for key, value in record.items():
            if key.startswith(start) and key.endswith(end) and isinstance(value, int | float):
                series[key[len(start) : len(key) - len(end)]].append((record["step"], value))
    return dict(series)


def _merged(series: Series) -> Series:
    """Equal series under one name, for lines that would hide each other."""
    names: dict[tuple[tuple[float, float | None], ...], list[str]] = defaultdict(list)
    for name, points in series.items():
        names[tuple(points)].append(name)
    return {", ".join(same): list(points) for points, same in names.items()}


def _training(records: Sequence[Record]) -> list[Block]:
    """Losses of each network, accuracies, gradients, scores on the way, rates."""
    losses: dict[str, Series] = defaultdict(dict)
    for name, points in _grouped(records, "loss/").items():
        net, _, term = name.partition("/")
        losses[net][term] = points
    judges = {name.partition("/")[0] for name in _grouped(records, "accuracy/", "/real")}
    blocks: list[Block] = []
    for net, series in losses.items():
        name = f"{words(net)} discriminator" if net in judges and "discriminator" not in net else words(net)
        blocks.append(LineChart(series, f"Losses of the {name}", y_label="unweighted terms", smooth=True))
    accuracy = {words(name.replace("/", ", ")): points for name, points in _grouped(records, "accuracy/").items()}
    if accuracy:
        caption = "Real and fake near 1 for long: the discriminator wins. Near 0.5: it cannot tell them apart."
        title = "Accuracy of the discriminators"
        blocks.append(
            LineChart(accuracy, title, y_label="share right", smooth=True, y_range=(0.0, 1.0), caption=caption)
        )
    norms = _grouped(records, "grad_norm/")
    if norms:
        blocks.append(LineChart(norms, "Gradient norms", y_label="norm", log_y=True, smooth=True))
    blocks += _evaluations(records)
    rates = _merged(_grouped(records, "lr/"))
    if any(len({rate for _, rate in points}) > 1 for points in rates.values()):
        blocks.append(LineChart(rates, "Learning rates", y_label="rate"))
    speed = _grouped(records, "clips_per_second")
    if speed:
        blocks.append(LineChart({"clips per second": speed[""]}, "Throughput", y_label="clips/s", smooth=True))
    return blocks


def _evaluations(records: Sequence[Record]) -> list[Block]:
    """Scores taken while training; `evaluation/<name>/<metric>` share a chart of the metric."""
    metrics: dict[str, Series] = defaultdict(dict)
    for key, points in _grouped(records, "evaluation/").items():
        name, _, metric = key.rpartition("/")
        if key != "score":
            metrics[metric][words(name or metric)] = points
    return [
        LineChart(series, f"{heading(metric)} while training", y_label=words(metric))
        for metric, series in metrics.items()
    ]


def _samples(records: Sequence[Record]) -> list[Block]:
    blocks: list[Block] = []
    for name, title, caption in (
        ("diversity", "Diversity", "Mean distance between two clips. Far below the real clips': mode collapse."),
        ("motion", "Motion", "Mean change from frame to frame. Far below the real clips': frozen samples."),
        ("saturation", "Saturation", "Share of pixel values within 1 % of black or white."),
    ):
        series = _grouped(records, f"{name}/")
        if series:
            blocks.append(LineChart(series, title, y_label=name, caption=caption))
    distance = _grouped(records, "ema_distance")
    if distance:
        caption = "How far the weights move about their average, relative to their size."
        blocks.append(LineChart({"distance": distance[""]}, "Weights and their average", caption=caption))
    return blocks


def _previews(folder: Path) -> list[Section]:
    """The latest preview of each kind, and earlier ones to see it come about."""
    kinds: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            number = _STEP.search(path.stem)
            if number and not path.name.startswith(".") and path.suffix in (".webp", ".gif", ".png"):
                label = words(_STEP.sub("", path.stem, count=1).replace("step", ""))
                kinds[label].append((int(number[0]), path))
    blocks: list[Block] = []
    for label, found in sorted(kinds.items()):
        found.sort()
        count = min(EARLIER, len(found) - 1)
        chosen = [found[number * (len(found) - 1) // count] for number in range(count)] if count else []
        for step, path in [found[-1], *reversed(chosen)]:
            caption = f"After {step:,} steps" + (f": {label}" if label else "")
            image = Picture if path.suffix == ".png" else Animation
            blocks.append(image(path.read_bytes(), caption))
    return [Section("Previews", blocks)] if blocks else []


def _scores(folder: Path, cases: Mapping[str, Sequence[Block]]) -> list[Section]:
    sections = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            blocks = score_blocks(json.loads(path.read_text(encoding="utf-8")), cases.get(path.name, ()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            blocks = [Text(f"{path.name} cannot be shown: {type(error).__name__}: {error}")]
        sections.append(Section(f"Scores: {words(path.stem)}", blocks))
    return sections


def _config(path: Path) -> list[Block]:
    return [Code(path.read_text(encoding="utf-8", errors="replace"), path.name)] if path.is_file() else []
