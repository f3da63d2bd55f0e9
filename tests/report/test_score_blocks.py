"""The blocks of a score file: bars with floor and controls, curves, difficulty and calibration."""

from typing import Any

from vidgan.report import BarChart, Block, LineChart, Picture, Table, Text, score_blocks


def estimate(mean: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"mean": {"mean": mean, "low": low, "high": high}, "horizon": [], "exact": 0, "skipped": 0}


def of_kind(blocks: list[Block], kind: type) -> list[Any]:
    return [block for block in blocks if isinstance(block, kind)]


def test_distances_are_drawn_with_floor_and_controls() -> None:
    scores = {
        "generated": {"frechet": estimate(9.0, 8.0, 11.0), "motion_energy": estimate(0.1), "nearest": estimate(1.0)},
        "real": {"frechet": estimate(2.0), "motion_energy": estimate(0.2)},
        "frozen": {"frechet": estimate(30.0), "motion_energy": estimate(0.0), "odd": estimate(None)},
    }
    result = {"kind": "synthesis", "scores": scores, "better": {"frechet": "lower"}}
    blocks = score_blocks({"result": result})
    frechet, motion = of_kind(blocks, BarChart)  # a measure of a single row has nothing to compare with
    assert frechet.bars == {"generated": (9.0, 8.0, 11.0), "real": (2.0, None, None), "frozen": (30.0, None, None)}
    assert (frechet.title, frechet.subject, frechet.reference) == ("Frechet", "generated", "real")
    assert frechet.note == "lower is better" and motion.note == "closer to real is better"


def forecast(**changes: Any) -> dict[str, Any]:
    return {"kind": "forecast", "subject": "fused P", "better": {"psnr": "higher", "skill": "higher"}} | changes


def test_the_subject_comes_first_with_its_baselines_and_its_parts_in_another_chart() -> None:
    names = ["copy-last", "warped W", "fused P", "context mean"]
    curves = {metric: {name: [2.0, 1.0] for name in names} for metric in ("psnr", "mae")}
    intervals = {"psnr": {name: [[1.5, 2.5], [0.5, None]] for name in names}}
    charts = of_kind(score_blocks({"curves": curves, "intervals": intervals, "result": forecast()}), LineChart)
    assert [chart.title for chart in charts] == [
        "PSNR over the horizon",
        "PSNR of the forecast's parts and samples",
        "MAE over the horizon",
    ]
    whole, parts, mae = charts
    assert list(whole.series) == ["fused P", "copy-last", "context mean"] and list(parts.series) == [
        "fused P",
        "warped W",
    ]
    assert whole.bands["copy-last"] == [(1.0, 1.5, 2.5)] and list(parts.bands) == ["fused P"]
    assert "95 %" in whole.caption and not mae.caption


def bin_of(windows: int, psnr: float | None) -> dict[str, Any]:
    scores = {"fused P": {"psnr": psnr, "skill": 0.5}, "odd": {"psnr": None}}
    return {"windows": windows, "sources": 1, "scores": scores if windows else {}}


def test_difficulty_needs_more_than_one_bin() -> None:
    bins = {"easy": bin_of(3, 30.0), "middle": bin_of(0, None), "hard": bin_of(1, 20.0)}
    cases = [{"metric": "psnr"}]
    (table,) = of_kind(score_blocks({"result": forecast(bins=bins, cases=cases)}), Table)
    assert table.header == ["", "PSNR ↑, easy", "PSNR ↑, hard", "Skill ↑, easy", "Skill ↑, hard"]
    assert table.rows == [["fused P", 30.0, 20.0, 0.5, 0.5]]
    assert "easy: 3 windows of 1 source; hard: 1 window of 1 source." in table.caption
    assert score_blocks({"result": forecast(bins={"easy": bin_of(3, 30.0), "hard": bin_of(0, None)})}) == []


def test_calibration_is_drawn_with_the_diagonal() -> None:
    calibration = {"sampled P": {"coverage": [[0.25, 0.1], [0.75, 0.5]]}}
    (chart,) = of_kind(score_blocks({"result": forecast(calibration=calibration)}), LineChart)
    assert chart.series == {
        "sampled P": [(0.0, 0.0), (0.25, 0.1), (0.75, 0.5)],
        "calibrated": [(0.0, 0.0), (1.0, 1.0)],
    }


def test_cases_come_before_the_notes() -> None:
    shown = Picture(b"", "the worst")
    assert score_blocks({"notes": ["a note"]}, [shown]) == [shown, Text("a note")]
