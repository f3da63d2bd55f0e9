"""The benchmark runs, agrees with the other libraries, and writes its results."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "bench_metrics.py"


def test_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("bench_metrics", TOOL)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    out = tmp_path / "times.json"
    arguments = ["--quick", "--size", "24x32", "--metrics", "psnr,ssim", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments])
    assert tool.main() == 0  # no value differs from its definition
    rows = json.loads(out.read_text())["rows"]
    methods = {(row["metric"], row["method"]) for row in rows}
    assert {("psnr", "vidgan"), ("ssim", "scikit-image"), ("ssim", "vidgan batched, cpu")} <= methods
    for row in rows:
        # torchmetrics pads the border for SSIM.
        assert row["ms_per_frame"] > 0 and (row["differs"] < 1e-4 or row["method"] == "torchmetrics")
    assert "ssim       24x32     scikit-image" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        tool.main()  # the file exists
    assert f"{out} exists" in capsys.readouterr().err
