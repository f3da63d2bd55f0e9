"""Comparison of results: values, paired differences, and results that must not share a table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidgan.errors import ComparisonError
from vidgan.evaluation import ForecastScores, find_protocol, score_folders, score_forecast
from vidgan.evaluation.comparison import Entry, compare_results
from vidgan.evaluation.rows import Rows, load_rows, rows_bytes
from vidgan.evaluation.tables import FORMATS, comparison_tables, markdown_table
from vidgan.types import ByteClip

UNIT = 1 / 255**2


def windows() -> list[tuple[ByteClip, list[str]]]:
    """Six clips of constant level: a forecast that adds e has an error of e everywhere."""
    clips = torch.full((6, 4, 3, 12, 12), 100, dtype=torch.uint8)
    return [(clips, ["a", "a", "b", "b", "c", "c"])]


def scored(error: int, **options: Any) -> ForecastScores:
    def predict(context: ByteClip, horizon: int) -> ByteClip:
        return context[:, -1:].expand(-1, horizon, -1, -1, -1) + error

    metrics = options.pop("metrics", ["mse", "psnr"])
    return score_forecast(
        {"ours": predict}, windows(), context=2, horizon=2, metrics=metrics, protocol="caltech-10to1", **options
    )


def test_values_and_paired_differences() -> None:
    found = compare_results([Entry("one", scored(1)), Entry("two", scored(3))])
    rows = {line.name: line.values for line in found.lines}
    assert set(rows) == {"one: ours", "two: ours", "copy-last"}  # the baseline once
    assert rows["two: ours"]["mse"].mean == pytest.approx(9 * UNIT)
    assert rows["copy-last"]["mse"].mean == 0.0
    (line,) = found.differences
    assert line.name == "two - one"
    assert line.values["mse"].mean == line.values["mse"].low == pytest.approx(8 * UNIT)
    assert line.values["psnr"].mean == pytest.approx(-20 * np.log10(3))


def test_quoted_rows_are_appended_and_marked() -> None:
    found = compare_results([Entry("one", scored(1))], published=find_protocol("caltech-10to1"))
    last = found.lines[-1]
    assert last.quoted and "quoted, unverified: memory" in last.name
    tables = comparison_tables(found, "caltech: 5 windows")
    table = FORMATS["markdown"](tables)
    assert table.startswith("caltech: 5 windows")
    assert "| *Dual Motion GAN (quoted, unverified: second-hand)* | 0.0024 |" in table
    assert "\\textit{PredNet, re-run (quoted, unverified: second-hand)}" in FORMATS["latex"](tables)


def test_formats() -> None:
    tables = comparison_tables(compare_results([Entry("a_1", scored(1)), Entry("b", scored(2))]), "title")
    csv = FORMATS["csv"](tables).splitlines()
    assert csv[0] == "table,name,metric,better,mean,low,high,quoted"
    mean = next(line for line in csv if line.startswith("title,a_1: ours,mse")).split(",")
    assert float(mean[4]) == pytest.approx(UNIT) and mean[3] == "lower" and mean[-1] == "0"
    latex = FORMATS["latex"](tables)
    assert r"a\_1: ours &" in latex and latex.count(r"\begin{tabular}") == 2 and r"mse $\downarrow$" in latex
    assert "caltech-10to1: paired differences" in FORMATS["text"](tables)
    assert "| ours | 0.0000 [0.0000, 0.0000] | 48.13 [48.13, 48.13]" in markdown_table(scored(1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "kth-10to20"}, "one and two .*caltech-10to1 and kth-10to20"),
        ({"fingerprint": "other"}, "data: .*other"),
        ({"frame_size": (64, 64)}, "frame size"),
        ({"definitions": {"mse": "sum over everything"}}, "define mse differently"),
        ({"rows": Rows(["x"], ["x"], {})}, "windows"),
        ({"provenance": {"metric_weights": {"alex.pth": "1"}}}, "alex.pth"),
    ],
)
def test_results_with_different_conditions_are_refused(changes: dict[str, Any], message: str) -> None:
    one = replace(scored(1), provenance={"metric_weights": {"alex.pth": "0"}})
    with pytest.raises(ComparisonError, match=message):
        compare_results([Entry("one", one), Entry("two", replace(one, **changes))])


def test_the_best_of_ten_and_the_best_of_a_hundred_are_not_compared() -> None:
    ten, hundred = (replace(scored(1), samples={"p": number}) for number in (10, 100))
    with pytest.raises(ComparisonError, match="samples"):
        compare_results([Entry("ten", ten), Entry("hundred", hundred)])
    assert compare_results([Entry("ten", ten), Entry("one", scored(1))]).lines  # a single forecast can be compared


def test_results_without_a_common_metric_or_name_are_refused() -> None:
    with pytest.raises(ComparisonError, match="a, a"):
        compare_results([Entry("a", scored(1)), Entry("a", scored(2))])
    clip = torch.full((3, 3, 12, 12), 100, dtype=torch.uint8)
    folders = [
        score_folders({"v": lambda: clip + 2}, {"v": lambda: clip}, metrics=[metric], protocol="folder")
        for metric in ("mse", "psnr")
    ]
    with pytest.raises(ComparisonError, match="metric"):
        compare_results([Entry("a", folders[0]), Entry("b", folders[1])])


def test_folder_results_are_paired_by_video() -> None:
    clip = torch.full((3, 3, 12, 12), 100, dtype=torch.uint8)
    true = {name: (lambda: clip) for name in ("v", "w")}

    def folder(error: int) -> Entry:
        return Entry(str(error), score_folders({n: (lambda: clip + error) for n in true}, true, metrics=["mse"]))

    (line,) = compare_results([folder(1), folder(2)]).differences
    assert line.values["mse"].mean == pytest.approx(3 * UNIT)


def test_measurements_survive_the_file(tmp_path: Path) -> None:
    rows = scored(0).rows
    path = tmp_path / "r.rows.npz"
    path.write_bytes(rows_bytes(rows))
    again = load_rows(path)
    assert again.windows == rows.windows and again.sources == rows.sources
    for name, table in rows.values.items():
        for metric, values in table.items():
            np.testing.assert_array_equal(again.values[name][metric], values)
    assert np.isinf(again.values["ours"]["psnr"]).all()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"r\.rows\.npz: the measurements of a result cannot be read"):
        load_rows(path)
