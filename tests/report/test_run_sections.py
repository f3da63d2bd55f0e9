"""The sections of a run directory; a missing or damaged file does not affect the rest."""

import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.report import (
    Code,
    KeyValues,
    LineChart,
    Notes,
    Picture,
    Player,
    Section,
    Table,
    Text,
    Warnings,
    run_sections,
    write_report,
)
from vidgan.report.page import render_page
from vidgan.report.run import event_blocks
from vidgan.report.scores import score_blocks
from vidgan.video.encode import png_bytes, tile, webp_bytes
from vidgan.video.labels import Labels


class Problem(NamedTuple):
    name: str
    step: int
    message: str


def picture(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, form)
    return buffer.getvalue()


def journal(steps: int = 100) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for step in range(10, steps + 1, 10):
        record: dict[str, Any] = {"step": step, "seconds": 2.0, "clips_per_second": 8.0, "data_wait_share": 0.05}
        for net in ("generator", "frame"):
            record |= {f"loss/{net}/adversarial": 1.0 / step, f"grad_norm/{net}": 0.5, f"lr/{net}": 2e-4 / step}
        record |= {"loss/frame/r1": 0.1, "accuracy/frame/real": 0.8, "accuracy/frame/fake": 0.7}
        records.append(record)
        if step % 50 == 0:
            records.append({"step": step, "diversity/fake": 0.3, "diversity/real": 0.4, "ema_distance": 0.2})
            records.append(
                {
                    "step": step,
                    "evaluation/score": 1.0,
                    "evaluation/forecast/psnr": 25.0,
                    "evaluation/copy_last/psnr": 20.0,
                }
            )
    return records


@pytest.fixture
def run(tmp_path: Path) -> Path:
    lines = [json.dumps(record) for record in journal()]
    (tmp_path / "journal.jsonl").write_text("\n".join([*lines, '{"step": 110, "loss/gen']))
    (tmp_path / "previews").mkdir()
    for step in range(10, 101, 10):
        (tmp_path / "previews" / f"step-{step:08d}.webp").write_bytes(picture("WEBP"))
    (tmp_path / "previews" / "step-00000100-forecast.png").write_bytes(picture("PNG"))
    (tmp_path / "previews" / ".step-00000110.tmp").write_bytes(b"half")
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "held-out.json").write_text(
        json.dumps({"protocol": "p", "table": {"header": ["name", "psnr"], "rows": [["P", 30.0]]}})
    )
    (tmp_path / "config.yaml").write_text("name: x\n")
    return tmp_path


def by_title(sections: list[Section]) -> dict[str, Section]:
    return {section.title: section for section in sections}


def charts(section: Section) -> dict[str, LineChart]:
    return {block.title: block for block in section.blocks if isinstance(block, LineChart)}


def test_an_empty_directory_has_no_sections(tmp_path: Path) -> None:
    assert run_sections(tmp_path) == []
    assert run_sections(tmp_path / "absent") == []
    (only,) = run_sections(tmp_path, warnings=[])
    assert only.title == "Overview" and only.blocks == [Warnings([])]


def test_all_sections_in_order(run: Path) -> None:
    sections = run_sections(run, warnings=[Problem("mode_collapse", 50, "alike")])
    assert [section.title for section in sections] == [
        "Overview",
        "Previews",
        "Scores: held out",
        "Training",
        "Samples against real clips",
        "Config",
    ]
    assert write_report(run / "report.html", title="x", sections=sections).stat().st_size > 10_000


def test_key_facts_and_warnings(run: Path) -> None:
    facts, warnings = by_title(run_sections(run, warnings=[Problem("mode_collapse", 50, "alike")]))["Overview"].blocks
    assert isinstance(facts, KeyValues)
    assert facts.items == {
        "Steps": 100,
        "Training time": "3 min 20 s",
        "Clips per second": "8",
        "Waiting for data": "5.0%",
        "Last forecast/psnr": 25.0,
        "Last copy last/psnr": 20.0,
    }
    assert warnings == Warnings([Problem("mode_collapse", 50, "alike")])


def test_the_curves_show_the_journal(run: Path) -> None:
    sections = by_title(run_sections(run))
    training = charts(sections["Training"])
    assert list(training) == [
        "Losses of the generator",
        "Losses of the frame discriminator",
        "Accuracy of the discriminators",
        "Gradient norms",
        "PSNR during training",
        "Learning rates",
        "Throughput",
    ]
    steps = range(10, 101, 10)
    assert training["Losses of the generator"].series == {"adversarial": [(step, 1 / step) for step in steps]}
    assert list(training["Losses of the frame discriminator"].series) == ["adversarial", "r1"]
    assert list(training["Accuracy of the discriminators"].series) == ["frame, real", "frame, fake"]
    assert training["Gradient norms"].log_y
    assert training["PSNR during training"].series == {
        "forecast": [(50, 25.0), (100, 25.0)],
        "copy last": [(50, 20.0), (100, 20.0)],
    }
    assert list(training["Learning rates"].series) == ["generator, frame"]  # equal lines would hide each other
    samples = charts(sections["Samples against real clips"])
    assert samples["Diversity"].series == {"fake": [(50, 0.3), (100, 0.3)], "real": [(50, 0.4), (100, 0.4)]}


def test_a_constant_learning_rate_has_no_chart(run: Path) -> None:
    (run / "journal.jsonl").write_text('{"step": 1, "lr/g": 0.1}\n{"step": 2, "lr/g": 0.1}\n')
    assert "Training" not in by_title(run_sections(run))


def test_the_latest_preview_first_then_earlier_ones(run: Path) -> None:
    blocks = by_title(run_sections(run))["Previews"].blocks
    assert [(type(block), block.caption) for block in blocks if isinstance(block, Player | Picture)] == [
        (Player, "After 100 steps"),
        (Player, "After 70 steps"),
        (Player, "After 40 steps"),
        (Player, "After 10 steps"),
        (Picture, "After 100 steps: forecast"),
    ]


def test_a_labelled_grid_becomes_one_clip_per_cell(run: Path) -> None:
    """A grid of two rows and three columns, enlarged twice: each cell plays under its labels, in its own size."""
    clips = torch.arange(6 * 4, dtype=torch.uint8).view(6, 4, 1, 1, 1).mul(10).expand(-1, -1, 3, 8, 8).contiguous()
    labels = Labels(("up", "down"), ("a", "b", "c"))
    data = webp_bytes(tile(clips, columns=3), fps=5, scale=2, labels=labels, lossless=True)
    (run / "previews" / "step-00000101.webp").write_bytes(data)
    (run / "previews" / "step-00000101-strip.png").write_bytes(png_bytes(clips[0, 0], labels=labels))
    blocks = by_title(run_sections(run))["Previews"].blocks
    player = blocks[0]
    assert isinstance(player, Player) and player.fps == 5
    assert (player.rows, player.columns) == (labels.rows, labels.columns)
    assert [clip.label for clip in player.clips] == ["up, a", "up, b", "up, c", "down, a", "down, b", "down, c"]
    np.testing.assert_array_equal(np.stack([clip.frames for clip in player.clips]), clips.permute(0, 1, 3, 4, 2))
    (strip,) = (block for block in blocks if isinstance(block, Picture) and "strip" in block.caption)
    assert (strip.rows, strip.columns) == (labels.rows, labels.columns)


def test_a_preview_that_cannot_be_played_is_reported(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((2, 30, 30, 3), np.uint8)
    pixels[1] = 255
    wrong = webp_bytes(pixels, labels=Labels(("a", "b", "c"), ("d",)))
    latest = run / "previews" / "step-00000101.webp"

    def message() -> str:
        text = by_title(run_sections(run))["Previews"].blocks[0]
        assert isinstance(text, Text)
        return text.text

    latest.write_bytes(b"RIFF")
    assert "step-00000101.webp cannot be displayed" in message()
    latest.write_bytes(wrong)
    assert "cannot be displayed: 30x30 pixels are no grid of 3 x 1" in message()
    monkeypatch.setattr("vidgan.report.run.MAX_PREVIEW_PIXELS", 2 * 30 * 30 - 1)
    assert "2 frames of 30x30 pixels; too many" in message()


def test_previews_are_ordered_by_step_not_by_name(run: Path) -> None:
    (run / "previews" / "step-1000000000.webp").write_bytes(picture("WEBP"))
    first = by_title(run_sections(run))["Previews"].blocks[0]
    assert isinstance(first, Player) and first.caption == "After 1,000,000,000 steps"


def test_a_damaged_score_file_is_reported_and_the_rest_rendered(run: Path) -> None:
    (run / "scores" / "broken.json").write_text('{"table": {"rows": ')
    (run / "scores" / "wrong.json").write_text('{"table": {"rows": []}}')
    sections = by_title(run_sections(run))
    for name in ("broken", "wrong"):
        (text,) = sections[f"Scores: {name}"].blocks
        assert isinstance(text, Text) and f"{name}.json cannot be displayed" in text.text
    assert any(isinstance(block, Table) for block in sections["Scores: held out"].blocks)


def test_scores_become_a_table_curves_and_notes() -> None:
    blocks = score_blocks(
        {
            "protocol": {"context": 2, "frame_size": [64, 64]},
            "table": {"header": ["name", "psnr"], "rows": [["P", 30.0], ["copy", None]]},
            "curves": {"psnr": {"P": [31.0, None, 29.0], "copy": [20.0, 19.0, 18.0]}},
            "intervals": {"psnr": {"P": [[30.0, 32.0], [None, None], [28.0, 30.0]]}},
            "better": {"psnr": "higher"},
            "notes": ["first", "second", "third"],
        }
    )
    facts, table, chart, note, notes = blocks
    assert facts == KeyValues({"Context": 2, "Frame size": "[64, 64]"})
    assert table == Table(["name", "psnr"], [["P", 30.0], ["copy", None]])
    assert isinstance(chart, LineChart)
    assert chart.title == "PSNR over the horizon" and chart.y_label == "psnr, higher is better"
    assert chart.series == {"P": [(1, 31.0), (2, None), (3, 29.0)], "copy": [(1, 20.0), (2, 19.0), (3, 18.0)]}
    assert chart.bands == {"P": [(1, 30.0, 32.0), (3, 28.0, 30.0)]}
    assert note == Text("first") and notes == Notes(["second", "third"], "Definitions and notes")
    assert score_blocks({}) == []


def test_the_config_is_included_verbatim(run: Path) -> None:
    assert by_title(run_sections(run))["Config"].blocks == [Code("name: x\n", "config.yaml")]


def test_events_are_listed_in_the_order_of_their_steps() -> None:
    records: list[dict[str, Any]] = [
        {"step": 1, "loss/g": 1.0},
        {"step": 10, "warning": "mode_collapse", "holds": True, "since": 6, "message": "All samples look alike."},
        {"step": 12, "rollback": {"failed": 15, "skipped": [14], "reason": "loss g is NaN"}},
        {"step": 30, "warning": "mode_collapse", "holds": False},
    ]
    starts = [{"step": 0, "time": "then", "processes": 1}, {"step": 20, "time": "later", "processes": 2}]
    (table,) = event_blocks(records, starts)
    assert isinstance(table, Table)
    assert table.rows == [
        [0, "Started", "then, 1 process"],
        [10, "Mode collapse began", "All samples look alike."],
        [12, "Rolled back to this step", "Step 15 failed: loss g is NaN; 1 batch skipped"],
        [20, "Restarted", "later, 2 processes"],
        [30, "Mode collapse ended", ""],
    ]


def test_a_single_start_is_not_listed() -> None:
    assert event_blocks([{"step": 1, "loss/g": 1.0}], [{"step": 0, "time": "then"}]) == []
    assert event_blocks([], []) == []


def test_an_unreadable_preview_does_not_prevent_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "previews"
    folder.mkdir()
    (folder / "step-00000001.png").write_bytes(png_bytes(torch.zeros(3, 4, 4, dtype=torch.uint8)))
    (folder / "step-00000002.png").mkdir()
    os.mkfifo(folder / "step-00000003.png")
    (folder / "step-00000004.png").symlink_to("missing")
    (folder / "step-00000005.png").write_bytes(b"")
    page = render_page(title="run", sections=run_sections(tmp_path))
    assert "step-00000005.png cannot be displayed" in page and "step-00000003.png cannot be displayed" in page
    assert "data:image/png" in page
