"""The tool that scores second stages: its rows, and a model that cannot change what it is given."""

import json
from pathlib import Path

import pytest
import stage_two_scores
import torch

from vidgan.data.synthetic.captioned import SLOTS, caption_of, combinations
from vidgan.tasks.upscaling.config import UpscalerConfig
from vidgan.tasks.upscaling.upscaler import build_upscaler
from vidgan.tokens import WordTokeniser


def test_a_second_stage_that_draws_nothing_scores_as_bicubic(tmp_path: Path) -> None:
    every = [*combinations(held_out=False), *combinations(held_out=True)]
    words = WordTokeniser.of_texts([caption_of(one, i, i // 3, i // 2) for i, one in enumerate(every)]).words
    section = UpscalerConfig.model_validate(
        {"network": {"kind": "frame", "width": 4, "blocks": 1}, "text": {"kind": "gru"}}
    )
    model = build_upscaler(section, image_size=(64, 64), vocabulary=words)
    torch.nn.init.zeros_(model.network.last.weight)  # type: ignore[union-attr, arg-type]
    torch.nn.init.zeros_(model.network.last.bias)  # type: ignore[union-attr, arg-type]
    model.facts = {"step": 7, "batch_size": 2}
    model.save_pretrained(tmp_path / "model")
    out = tmp_path / "table.json"
    arguments = ["captions", str(tmp_path / "model"), "--clips", "32", "--work", str(tmp_path), "--out", str(out)]
    assert stage_two_scores.main(arguments) == 0
    table = json.loads(out.read_text())
    rows = {name: dict(zip(table["columns"][1:], values, strict=True)) for name, *values in table["rows"]}
    assert rows["rendered at full size"]["number"] == 192
    assert all(rows["rendered at full size"][slot] == 1.0 for slot in (*SLOTS, "all"))
    for kind in ("seen", "held out"):
        assert rows[f"stage II with captions, {kind}"] == rows[f"bicubic, {kind}"]
        assert f"{kind}: 0 clips are right only by stage II with captions, 0 only by bicubic" in table["notes"]
    other = json.loads((tmp_path / "table-words.json").read_text())
    rendered = [row for row in other["rows"] if row[0].startswith("rendered")]
    assert rendered == [[f"rendered, held out: {slot}", 32, 0.0, 1.0, 0.0] for slot in ("shape", "colour", "size")]
    with pytest.raises(FileExistsError):
        stage_two_scores.main(arguments)
