"""The sections of a training run: overview, previews, scores, training curves, events and config.

Files read, each if it exists: ``journal.jsonl``, ``starts.jsonl``, ``previews/<name with a step number>.webp|gif|png``,
``scores/*.json`` (format: `vidgan.report.scores`) and ``config.yaml``.
"""

import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageSequence

from vidgan.files import open_regular, read_json
from vidgan.report.blocks import (
    Block,
    Cell,
    Code,
    KeyValues,
    Picture,
    Player,
    RunWarning,
    Section,
    Table,
    Text,
    Warnings,
)
from vidgan.report.charts import LineChart
from vidgan.report.clips import grid_clips
from vidgan.report.formatting import count, duration, heading, words
from vidgan.report.page import MEDIA, render_blocks
from vidgan.report.player import PlayerClip
from vidgan.report.scores import score_blocks
from vidgan.training.journal import read_journal, read_records
from vidgan.video.labels import read_labels
from vidgan.video.montage import untile

Record = Mapping[str, Any]
Series = dict[str, list[tuple[float, float | None]]]

MAX_PREVIEW_BYTES = 50_000_000
MAX_PREVIEW_PIXELS = 200_000_000  # of all frames of an animation
PREVIEW_FPS = 8.0  # of an animation without a frame rate
NUM_EARLIER = 3  # earlier previews of each kind, shown after the latest
_STEP = re.compile(r"\d+")


def run_sections(
    run_dir: Path,
    *,
    warnings: Sequence[RunWarning] | None = None,
    cases: Mapping[str, Sequence[Block]] | None = None,
) -> list[Section]:
    """The sections of a run's report; empty sections are left out.

    Args:
        run_dir: the run directory.
        warnings: from `vidgan.training.diagnostics.diagnose`; None leaves out the warnings block.
        cases: name of a file in `scores/` -> animations of that result, from `vidgan.report.cases.Cases`.
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


def event_blocks(records: Sequence[Record], starts: Sequence[Record]) -> list[Block]:
    """A table of starts, rollbacks and warnings in the order of steps; nothing for a run of one start without events.

    Args:
        records: the journal. ``{"warning": name, "holds": true, "message": text}`` marks the start of a warning,
            ``"holds": false`` its end; ``{"rollback": {"failed": step, "skipped": [...], "reason": text}}`` a rollback
            to the record's step.
        starts: of `starts.jsonl`: ``{"step": .., "time": text, "processes": ..}`` for each start of training.
    """
    rows: list[list[Cell]] = []
    for number, start in enumerate(starts):
        processes = count(start.get("processes", 1), "process", "processes")
        rows.append([start["step"], "Restarted" if number else "Started", f"{start.get('time', '')}, {processes}"])
    for record in records:
        if isinstance(rollback := record.get("rollback"), Mapping):
            skipped = count(len(rollback.get("skipped", ())), "batch", "batches")
            reason = f"Step {rollback.get('failed')} failed: {rollback.get('reason')}; {skipped} skipped"
            rows.append([record["step"], "Rolled back to this step", reason])
        elif "warning" in record:
            event = f"{words(str(record['warning'])).capitalize()} {'began' if record.get('holds') else 'ended'}"
            rows.append([record["step"], event, str(record.get("message", ""))])
    if len(rows) == len(starts) <= 1:
        return []
    rows.sort(key=lambda row: row[0] if isinstance(row[0], int) else 0)  # stable: a restart comes first at its step
    return [Table(["step", "event", "details"], rows)]


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
    """Series of all keys with this start and end, named by the part between, in the order of appearance."""
    series: Series = defaultdict(list)
    for record in records:
        for key, value in record.items():
            if key.startswith(start) and key.endswith(end) and isinstance(value, int | float):
                series[key[len(start) : len(key) - len(end)]].append((record["step"], value))
    return dict(series)


def _merged(series: Series) -> Series:
    """Join the names of equal series, whose lines would hide each other."""
    names: dict[tuple[tuple[float, float | None], ...], list[str]] = defaultdict(list)
    for name, points in series.items():
        names[tuple(points)].append(name)
    return {", ".join(same): list(points) for points, same in names.items()}


def _training(records: Sequence[Record]) -> list[Block]:
    """Losses of each network, accuracies, gradient norms, scores, learning rates and throughput."""
    losses: dict[str, Series] = defaultdict(dict)
    for name, points in _grouped(records, "loss/").items():
        net, _, term = name.partition("/")
        losses[net][term] = points
    discriminators = {name.partition("/")[0] for name in _grouped(records, "accuracy/", "/real")}
    blocks: list[Block] = []
    for net, series in losses.items():
        name = f"{words(net)} discriminator" if net in discriminators and "discriminator" not in net else words(net)
        blocks.append(LineChart(series, f"Losses of the {name}", y_label="unweighted terms", smooth=True))
    accuracy = {words(name.replace("/", ", ")): points for name, points in _grouped(records, "accuracy/").items()}
    if accuracy:
        caption = "Both stay near 1: the discriminator dominates. Near 0.5: it cannot tell real from generated."
        title = "Accuracy of the discriminators"
        blocks.append(LineChart(accuracy, title, y_label="accuracy", smooth=True, y_range=(0.0, 1.0), caption=caption))
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
    """Scores during training; all `evaluation/<name>/<metric>` of a metric share a chart."""
    metrics: dict[str, Series] = defaultdict(dict)
    for key, points in _grouped(records, "evaluation/").items():
        name, _, metric = key.rpartition("/")
        if key != "score":
            metrics[metric][words(name or metric)] = points
    return [
        LineChart(series, f"{heading(metric)} during training", y_label=words(metric))
        for metric, series in metrics.items()
    ]


def _samples(records: Sequence[Record]) -> list[Block]:
    blocks: list[Block] = []
    for name, title, caption in (
        ("diversity", "Diversity", "Mean distance between two clips. Far below that of real clips: mode collapse."),
        ("motion", "Motion", "Mean frame-to-frame difference. Far below that of real clips: frozen samples."),
        ("saturation", "Saturation", "Share of pixel values within 1 % of black or white."),
    ):
        series = _grouped(records, f"{name}/")
        if series:
            blocks.append(LineChart(series, title, y_label=name, caption=caption))
    masks = _grouped(records, "mask/")
    if masks:
        caption = "Mean of the mask, and its entropy in bits: 0 for an opaque foreground without soft edges."
        blocks.append(LineChart(masks, "Mask", y_label="share of the frame, bits", smooth=True, caption=caption))
    distance = _grouped(records, "ema_distance")
    if distance:
        caption = "Distance of the weights from their moving average, relative to their norm."
        blocks.append(LineChart({"distance": distance[""]}, "Distance from the averaged weights", caption=caption))
    return blocks


def _previews(folder: Path) -> list[Section]:
    """The latest preview of each kind, followed by up to `NUM_EARLIER` earlier ones."""
    kinds: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            number = _STEP.search(path.stem)
            if number and not path.name.startswith(".") and path.suffix in (".webp", ".gif", ".png"):
                label = words(_STEP.sub("", path.stem, count=1).replace("step", ""))
                kinds[label].append((int(number[0]), path))
    blocks: list[Block] = []
    for label, previews in sorted(kinds.items()):
        previews.sort()
        earlier = min(NUM_EARLIER, len(previews) - 1)
        chosen = [previews[number * (len(previews) - 1) // earlier] for number in range(earlier)]
        for step, path in [previews[-1], *reversed(chosen)]:
            caption = f"After {step:,} steps" + (f": {label}" if label else "")
            try:
                blocks.append(_preview(_read_image(path), caption))
            except (OSError, ValueError) as error:
                blocks.append(Text(f"{path.name} cannot be displayed: {error}"))
    return [Section("Previews", blocks)] if blocks else []


def _preview(data: bytes, caption: str) -> Picture | Player:
    """A still, or the clips of an animated grid."""
    with Image.open(io.BytesIO(data), formats=list(MEDIA)) as image:
        labels = read_labels(image)
        count = getattr(image, "n_frames", 1)
        if image.format == "PNG":
            return Picture(data, caption, rows=labels.rows, columns=labels.columns)
        if count * image.width * image.height > MAX_PREVIEW_PIXELS:
            raise ValueError(f"it has {count} frames of {image.width}x{image.height} pixels; too many to decode")
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        fps = 1000 / image.info["duration"] if image.info.get("duration") else PREVIEW_FPS
    clip = np.stack(frames)  # (T, H, W, 3)
    if not (labels.rows and labels.columns):
        return Player([PlayerClip("samples", clip)], caption, fps)
    cells = untile(clip, len(labels.rows), len(labels.columns), scale=labels.scale)
    clips = grid_clips(torch.from_numpy(cells).movedim(-1, 2), labels.rows, labels.columns)
    return Player(clips, caption, fps, rows=labels.rows, columns=labels.columns)


def _read_image(path: Path) -> bytes:
    with open_regular(path) as file:
        content = file.read(MAX_PREVIEW_BYTES + 1)
    if not 0 < len(content) <= MAX_PREVIEW_BYTES:
        raise ValueError(f"it has {len(content):,} bytes or more; accepted: 1 to {MAX_PREVIEW_BYTES:,}")
    return content


def _scores(folder: Path, cases: Mapping[str, Sequence[Block]]) -> list[Section]:
    sections = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            scores = read_json(path)
            render_blocks(score_blocks(scores))  # a value of a wrong type shows only now
            blocks = score_blocks(scores, cases.get(path.name, ()))
        except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
            blocks = [Text(f"{path.name} cannot be displayed: {type(error).__name__}: {error}")]
        sections.append(Section(f"Scores: {words(path.stem)}", blocks))
    return sections


def _config(path: Path) -> list[Block]:
    return [Code(path.read_text(encoding="utf-8", errors="replace"), path.name)] if path.is_file() else []
