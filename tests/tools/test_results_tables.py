"""The tables of the results page agree with the result files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import results_tables

from vidgan.evaluation.results import ForecastScores, Score
from vidgan.metrics.statistics import Estimate


def forecast(psnr: float, *, horizon: int = 1, copy: float = 18.25) -> ForecastScores:
    """A result with two rows: the PSNR of P falls by one per frame, its SSIM is 0.5."""

    def score(value: float, fall: float) -> Score:
        curve = [Estimate(value - fall * step, None, None) for step in range(horizon)]
        return Score(Estimate(float(np.mean([e.mean for e in curve])), value - 2, value + 2), curve)

    return ForecastScores(
        protocol="held-out-4to1", definitions={}, better={"psnr": "higher", "mse": "lower"}, fingerprint="f",
        frame_size=(64, 64), seed=0, context=4, horizon=horizon, windows=9, sources=3, resamples=1000,
        subject="fused P", reference="copy-last", samples={}, best_by=None, differences={}, calibration={}, bins={},
        cases=[],
        scores={
            "fused P": {"psnr": score(psnr, 1.0), "ssim": score(0.5, 0.0)},
            "copy-last": {"psnr": score(copy, 0.0), "ssim": score(0.25, 0.0)},
        },
        notes=["three sources only"],
        provenance={"command": ["vidgan", "evaluate", "runs/kitti", "--out", "x.json"], "step": 70},
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, result in {"one": forecast(30.0), "two": forecast(32.0), "five": forecast(28.0, horizon=5)}.items():
        (tmp_path / f"{name}.json").write_text(result.to_json())
    table = {"kind": "table", "title": "A study.", "columns": ["run", "steps", "one", "said"], "notes": ["one seed"]}
    rows = [["r0", 500, 0.8, "blurred"], ["r1", 600, 12.345, None]]
    (tmp_path / "study.json").write_text(json.dumps(table | {"rows": rows}))
    return tmp_path


def table_of(asked: str, root: Path) -> list[str]:
    page = f"before\n\n<!-- table: {asked} -->\nan older table\n<!-- end -->\n\nafter\n"
    made = results_tables.filled(page, root)
    assert results_tables.filled(made, root) == made, "not idempotent"
    begin, _, rest = made.partition(f"<!-- table: {asked} -->\n")
    table, _, end = rest.partition("\n<!-- end -->\n")
    assert (begin, end) == ("before\n\n", "\nafter\n")
    return list(table.splitlines())


def test_one_result(root: Path) -> None:
    title, _, *table = table_of("one.json", root)
    assert title.startswith("held-out-4to1: 9 windows of 3 sources at 64x64, 4 context frames, 1 forecast")
    assert table == [
        "|  | psnr ↑ | ssim |",
        "| --- | --- | --- |",
        "| fused P | 30.00 [28.00, 32.00] | 0.5000 [-1.5000, 2.5000] |",
        "| copy-last | 18.25 [16.25, 20.25] | 0.2500 [-1.7500, 2.2500] |",
        "",
        "- three sources only",
        "- made by: `vidgan evaluate runs/kitti --out x.json`, step 70",
    ]


def test_rows_columns_and_steps_are_selected(root: Path) -> None:
    asked = 'five.json rows="copy-last,fused P:forecast" columns=psnr:PSNR,psnr@1,psnr@5 title=no notes=no intervals=no'
    assert table_of(asked, root) == [
        "|  | PSNR ↑ | psnr@1 ↑ | psnr@5 ↑ |",
        "| --- | --- | --- | --- |",
        "| copy-last | 18.25 | 18.25 | 18.25 |",
        "| forecast | 26.00 | 28.00 | 24.00 |",
    ]


def test_a_name_may_contain_commas() -> None:
    known = ["copy-last", "constant-velocity, carried", "fused P"]
    asked = "constant-velocity, carried:steady, fused P"
    assert results_tables.chosen(asked, known) == {"constant-velocity, carried": "steady", "fused P": "fused P"}
    with pytest.raises(ValueError, match="constant-velocity,carried"):
        results_tables.chosen("constant-velocity,carried", known)


def test_results_side_by_side(root: Path) -> None:
    asked = '"next frame=one.json" "5 frames=five.json" columns=psnr title=no notes=no intervals=no'
    assert table_of(asked, root) == [
        "|  | next frame psnr ↑ | 5 frames psnr ↑ |",
        "| --- | --- | --- |",
        "| fused P | 30.00 | 26.00 |",
        "| copy-last | 18.25 | 18.25 |",
    ]


def test_one_row_per_run(root: Path) -> None:
    asked = (
        'plain=one.json more=two.json each=row below="copy-last:copying" columns=psnr title=no notes=no intervals=no'
    )
    assert table_of(asked, root)[2:] == ["| plain | 30.00 |", "| more | 32.00 |", "| copying | 18.25 |"]
    with pytest.raises(ValueError, match="1 forecast.*5 forecast"):
        table_of("plain=one.json more=five.json each=row", root)


def test_a_file_that_holds_a_table(root: Path) -> None:
    assert table_of("study.json", root) == [
        "A study.",
        "",
        "| run | steps | one | said |",
        "| --- | --- | --- | --- |",
        "| r0 | 500 | 0.800 | blurred |",
        "| r1 | 600 | 12.35 |  |",
        "",
        "- one seed",
    ]
    assert table_of("study.json rows=r1 columns=one:count title=no notes=no", root)[2:] == ["| r1 | 12.35 |"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("one.json rows=W", "W .*accepted: fused P, copy-last"),
        ("one.json columns=lpips", "lpips .*accepted: psnr, ssim"),
        ("five.json columns=psnr@6", "psnr@6: .*5 frames"),
        ("none.json", "none.json"),
        ("one.json two.json", "LABEL=FILE"),
    ],
)
def test_errors_name_what_is_missing(root: Path, asked: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_of(asked, root)
    with pytest.raises(ValueError, match="<!-- end -->"):
        results_tables.filled("<!-- table: one.json -->\nno end\n", root)


def test_a_result_is_added_without_paths_of_this_machine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_tables, "RESULTS", root / "docs")
    words = ["vidgan", "evaluate", "/somewhere/of/mine/runs/kitti", "--out", "/elsewhere/x.json"]
    far = replace(forecast(30.0), provenance={"command": words, "step": 70})
    (root / "far.json").write_text(json.dumps({"table": "of a run's scores/", "result": far.to_dict()}))
    path = results_tables.add(root / "far.json", "kitti-1")
    content = json.loads(path.read_text())
    assert content["provenance"]["command"] == ["vidgan", "evaluate", "runs/kitti", "--out", "x.json"]
    assert table_of("docs/kitti-1.json", root) == table_of("one.json", root)
    (root / "broken.json").write_text("{}")
    with pytest.raises(ValueError, match=r"broken\.json"):
        results_tables.add(root / "broken.json", "broken")


def test_a_summary_takes_values_from_other_files(root: Path) -> None:
    row = {
        "id": "A", "section": "First", "measured": "driving: PSNR", "file": "one", "row": "fused P",
        "metrics": ["psnr", "ssim", "absent"], "beside": {"copy": "copy-last", "other": "two#fused P"},
        "config": "dual_motion/kitti", "seeds": 1, "hardware": "1 core", "train": "vidgan train x",
    }  # fmt: skip
    ratio = row | {"id": "B", "section": "Second", "metrics": ["psnr"], "over": "copy-last", "train": ""}
    (root / "all.json").write_text(json.dumps({"kind": "summary", "rows": [row, ratio]}))
    assert table_of("all.json section=First", root)[2:] == [
        "| A | driving: PSNR | 30.00 / 0.500 | copy 18.25 / 0.250; other 32.00 / 0.500 |"
    ]
    assert table_of("all.json section=First show=made", root)[2:] == [
        "| A | `dual_motion/kitti` | 70 | 1 | 1 core |",
        "",
        "```sh",
        "# A",
        "vidgan train x",
        "vidgan evaluate runs/kitti --out x.json",
        "```",
    ]
    assert table_of("all.json section=Second", root)[2:] == [
        "| B | driving: PSNR | 1.6 | copy 1.0; other 1.8 |"  # 30 / 18.25, 18.25 / 18.25, 32 / 18.25
    ]
    with pytest.raises(ValueError, match="Third"):
        table_of("all.json section=Third", root)


def test_a_stale_page_is_detected(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_tables, "ROOT", root)
    page = root / "page.md"
    page.write_text("<!-- table: one.json -->\n<!-- end -->\n")
    assert results_tables.main(["--page", str(page), "--check"]) == 1
    assert results_tables.main(["--page", str(page)]) == 0
    assert results_tables.main(["--page", str(page), "--check"]) == 0
    (root / "one.json").write_text(forecast(31.0).to_json())
    assert results_tables.main(["--page", str(page), "--check"]) == 1
    (root / "one.json").unlink()
    assert results_tables.main(["--page", str(page), "--check"]) == 2


def test_the_results_page_agrees_with_its_files() -> None:
    assert results_tables.main(["--check"]) == 0
    kept = sorted(path.relative_to(results_tables.ROOT).as_posix() for path in results_tables.RESULTS.glob("*.json"))
    pages = "".join(page.read_text() for page in results_tables.RESULTS.parent.glob("*.md"))
    assert [name for name in kept if name not in pages] == [], "results without a table"
    for name in kept:
        assert (results_tables.ROOT / name).stat().st_size < 200_000
        content = json.loads((results_tables.ROOT / name).read_text())
        assert results_tables.portable(content) == content, f"{name} contains paths of one machine"
