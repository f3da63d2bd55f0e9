"""tools/layer_scores.py on an untrained model: the table, and exact masks that belong to their clips."""

import json
from pathlib import Path

import layer_scores
import pytest
import torch

from vidgan.data.synthetic.shapes import chroma_mask
from vidgan.hub import ModelFacts
from vidgan.metrics.segmentation import intersection_over_union
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.mocogan import build_mocogan


def test_both_kinds_of_clips_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    frame = {"kind": "style", "width": 4, "max_width": 4, "mapping_width": 4}
    config = MoCoGANConfig(dim_content=4, dim_motion=4, frame=frame, layers={"width": 4, "max_width": 4})
    model = build_mocogan(config, image_size=(32, 32), num_categories=0)
    model.facts = {"frames": 8, "stride": 2, "run": "small", "step": 1}
    model.save_pretrained(tmp_path / "model")
    out = tmp_path / "scores.json"
    options = ["--clips", "2", "--real", "1", "--steps", "2", "--starts", "1", "--work", str(tmp_path / "work")]
    assert layer_scores.main([str(tmp_path / "model"), *options, "--out", str(out)]) == 0
    table = json.loads(out.read_text())
    assert [row[:3] for row in table["rows"]] == [["own", 2, "colour rule"], ["real, inverted", 1, "exact mask"]]
    assert all(0 <= value <= 1 for row in table["rows"] for value in row[3:])
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["own.png", "real.png"]
    assert "clip 0:" in capsys.readouterr().out


def test_masks_belong_to_their_frames() -> None:
    facts = ModelFacts.from_json({"frames": 8, "stride": 2})
    clips, masks = layer_scores.real_clips(2, facts, 32, textured=True)
    assert clips.shape == (2, 8, 3, 32, 32) and masks.shape == (2, 8, 32, 32)
    coloured = torch.from_numpy(chroma_mask(clips.permute(0, 1, 3, 4, 2).numpy()))
    assert intersection_over_union(coloured, masks).min() > 0.9
    assert not masks[:, 0].equal(masks[:, -1])
