"""The benchmark of exported models: forms take turns, and ratios are those of the same round."""

import bench_export
import pytest


def test_forms_take_turns_and_are_compared_round_by_round() -> None:
    order: list[str] = []
    calls = {form: lambda form=form: order.append(form) for form in ("eager", "onnx")}
    seconds = bench_export.alternate(calls, rounds=2)
    assert order == ["eager", "onnx"] * 3 and [len(samples) for samples in seconds.values()] == [2, 2]
    generator = bench_export.rows_of("mocogan/shapes", {"eager": [2.0, 4.0], "onnx": [1.0, 1.0]}, generates=True)
    assert generator[1]["rate"]["median"] == bench_export.CLIPS and generator[1]["times_eager"]["median"] == 3.0
    forecaster = bench_export.rows_of("dual_motion/shapes", {"onnx": [1.0]}, generates=False)
    assert forecaster[0]["rate"]["median"] == pytest.approx(100.0) and forecaster[0]["times_eager"] is None
