"""The benchmark runs and reports plausible measurements."""

import importlib.util
import json
from pathlib import Path

import pytest
from video.video_files import encode, textured_frames

TOOL = Path(__file__).resolve().parents[2] / "tools" / "bench_storage.py"


def test_all_stores_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("bench_storage", TOOL)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    (tmp_path / "in").mkdir()
    encode(tmp_path / "in" / "a.mp4", textured_frames(40))
    options = ["--quick", "--workers", "0", "--step-seconds", "0.02", "--out", str(tmp_path / "out")]
    assert tool.main([str(tmp_path / "in"), *options]) == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"].values()
    assert (case["size"], case["frames"], case["batch"]) == ([64, 64], 16, 16)
    assert [(row["store"], row["workers"]) for row in case["reading"]] == [("frames", 0), ("shards", 0), ("video", 0)]
    assert all(0 < row["low"] <= row["median"] <= row["high"] for row in case["reading"])
    assert all(0 < row["share"] < 1 and row["step_seconds"] == 0.02 for row in case["waiting"])
    megabytes = {store: cost["megabytes"] for store, cost in case["prepared"].items()}
    pixels = 40 * 64 * 64 * 3 / 1e6
    assert megabytes["video"] < pixels < min(megabytes["frames"], megabytes["shards"])
