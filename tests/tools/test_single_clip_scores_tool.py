"""tools/single_clip_scores.py on a rendered clip: the rows, and what a copy scores."""

import json
import sys
from pathlib import Path

import pytest

from vidgan.data.synthetic.shapes import render_shapes

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import single_clip_scores

    render_shapes(tmp_path / "videos", clips=1, frames=8, size=32, seed=0)
    video = next((tmp_path / "videos").rglob("*.mp4"))
    out = tmp_path / "scores.json"
    monkeypatch.setattr(
        sys, "argv", ["single_clip_scores.py", f"one={video}@0:6@24", "--out", str(out), "--clips", "2"]
    )
    single_clip_scores.main()
    rows = json.loads(out.read_text())["scores"]["one"]
    assert list(rows) == ["patch", "copy", "frozen", "shuffled", "reversed", "noise"]
    assert rows["copy"]["nearest_patch"] == rows["copy"]["rearranged"] == rows["copy"]["spread"] == 0
    assert rows["patch"]["spread"] > 0 and rows["patch"]["cpu_seconds_per_second"] > 0
    assert "| one | copy | 0.000 | 0.000 | 0.000 |" in capsys.readouterr().out
