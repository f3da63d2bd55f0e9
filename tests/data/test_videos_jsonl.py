"""`videos.jsonl`: lines found by source, appended, rewritten, and safe against a torn end."""

import json
from pathlib import Path

import pytest

from vidgan.data.store.index import ClipEntry
from vidgan.data.store.video import VideosFile, source_name
from vidgan.errors import DataError


def test_lines_are_found_by_source_and_the_last_one_counts(tmp_path: Path) -> None:
    facts = VideosFile(tmp_path)
    assert "a.mp4" not in facts
    for source, width in (("a.mp4", 1), ("b/ü.mp4", 2), ("a.mp4", 3)):
        facts.append(source, {"width": width, "pts": [0, 40]})
    for found in (facts, VideosFile(tmp_path)):
        assert found.of("a.mp4") == {"source": "a.mp4", "width": 3, "pts": [0, 40]}
        assert found.of("b/ü.mp4")["width"] == 2
    with pytest.raises(DataError, match=r"videos.jsonl: has no line for c.mp4"):
        facts.of("c.mp4")


def test_a_torn_end_is_cut_off_before_the_next_line(tmp_path: Path) -> None:
    VideosFile(tmp_path).append("a", {"n": 1})
    with (tmp_path / "videos.jsonl").open("ab") as file:
        file.write(b'{"source": "b", "n"')
    facts = VideosFile(tmp_path)
    assert "b" not in facts
    facts.append("c", {"n": 3})
    facts.append("d", {"n": 4})
    assert [json.loads(line) for line in (tmp_path / "videos.jsonl").read_bytes().splitlines()] == [
        {"source": "a", "n": 1},
        {"source": "c", "n": 3},
        {"source": "d", "n": 4},
    ]
    assert facts.of("d") == VideosFile(tmp_path).of("d") == {"source": "d", "n": 4}


def test_rewriting_orders_drops_and_gathers(tmp_path: Path) -> None:
    facts, other = VideosFile(tmp_path), VideosFile(tmp_path / "part")
    (tmp_path / "part").mkdir()
    for source in "cab":
        facts.append(source, {"n": ord(source)})
    other.append("d", {"n": 100})
    facts.rewrite(["a", "d", "x", "c"], [other])
    lines = [json.loads(line) for line in (tmp_path / "videos.jsonl").read_bytes().splitlines()]
    assert [(line["source"], line["n"]) for line in lines] == [("a", 97), ("d", 100), ("c", 99)]
    assert "b" not in facts and facts.of("c")["n"] == 99
    facts.append("e", {"n": 1})
    assert VideosFile(tmp_path).of("e")["n"] == 1


def test_the_source_of_a_clip_is_its_name_without_the_shot() -> None:
    def entry(source: str, start: int) -> ClipEntry:
        return ClipEntry("i", source, "g", -1, "train", 5, None, "d", start=start)

    assert source_name(entry("a@1.mp4@57", 57)) == "a@1.mp4"
    assert source_name(entry("a.mp4", 0)) == "a.mp4"
    assert source_name(entry("a.mp4@0", 0)) == "a.mp4"
