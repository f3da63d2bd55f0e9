"""tools/single_clip_scores.py on a rendered clip: the rows, and what a copy scores."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

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


def test_continuations_are_compared_with_hidden_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import single_clip_scores

    shown = []

    def trained(clip: Path, out: Path, *, extend_by: int, **options: object) -> torch.Tensor:
        frames = torch.from_numpy(np.load(clip)).permute(0, 3, 1, 2)
        shown.append((len(frames), options["method"]))
        return torch.cat([frames, frames[-1:].expand(extend_by, -1, -1, -1)])[None]

    monkeypatch.setattr(single_clip_scores, "single", trained)
    render_shapes(tmp_path / "videos", clips=1, frames=12, size=32, seed=0)
    video = next((tmp_path / "videos").rglob("*.mp4"))
    out = tmp_path / "scores.json"
    monkeypatch.setattr(
        sys, "argv", ["single_clip_scores.py", f"one={video}@0:10@32", "--out", str(out), "--forecast", "3"]
    )
    single_clip_scores.main()
    rows = json.loads(out.read_text())["scores"]["one"]
    assert list(rows) == ["forecast", "patch", "constant-velocity warp", "copy-last"] and shown == [(7, "forecast")]
    assert rows["forecast"]["psnr"] == rows["copy-last"]["psnr"] < rows["constant-velocity warp"]["psnr"]
    assert "| one | copy-last |" in capsys.readouterr().out
