"""The tool that scores captioned clips: its rows, and what a perfect model would get."""

import json
from pathlib import Path

import caption_scores
import pytest

from vidgan.data.store.index import load_index
from vidgan.data.synthetic.captioned import SLOTS, combinations
from vidgan.tokens import split_words


def test_rendered_clips_reach_everything() -> None:
    render = caption_scores.rendered(32, 8)
    row = dict(
        zip(caption_scores.COLUMNS, caption_scores.row("rendered", render, combinations(held_out=True), render),
            strict=True)
    )  # fmt: skip
    assert all(row[slot] == 1.0 for slot in (*SLOTS, "all")) and row["R-precision"] == 1.0
    assert row["diversity"] == 1.0 and row["number"] == 32


def test_shipped_weights_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.json"
    arguments = ["captions", "--clips", "32", "--work", str(tmp_path), "--out", str(out)]
    assert caption_scores.main(arguments) == 0
    table = json.loads(out.read_text())
    rows = {name: dict(zip(table["columns"][1:], values, strict=True)) for name, *values in table["rows"]}
    assert list(rows) == ["rendered", "captions, seen", "captions, held out"]
    for kind in ("seen", "held out"):
        assert all(rows[f"captions, {kind}"][slot] > 0.8 for slot in ("colour", "size", "motion"))
    assert {path.name for path in tmp_path.glob("*.png")} == {"captions-seen.png", "captions-held-out.png"}
    with pytest.raises(FileExistsError):
        caption_scores.main(arguments)


def test_ids_name_combinations_in_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = caption_scores.prepare_captioned_shapes
    monkeypatch.setattr(
        caption_scores,
        "prepare_captioned_shapes",
        lambda folder, **options: prepare(folder, **(options | {"clips": 6})),
    )
    assert caption_scores.main(["--render", str(tmp_path / "ids"), "--ids-data"]) == 0
    assert caption_scores.main(["--render", str(tmp_path / "texts")]) == 0
    ids, texts = (load_index(tmp_path / name / "data").clips for name in ("ids", "texts"))
    for one, other in zip(ids, texts, strict=True):
        assert (one.digest, one.attributes) == (other.digest, other.attributes), "the same clips"
        assert one.captions == ("-".join(one.attributes[slot] for slot in SLOTS),)
        assert split_words(one.captions[0]) == list(one.captions)
