"""`videos.jsonl`: lookup by source, appending, rewriting, and a truncated last line."""

import json
from pathlib import Path

import pytest

from vidgan.data.store.index import ClipEntry
from vidgan.data.store.video import VideosFile, source_name
from vidgan.errors import DataError


def test_lookup_by_source_returns_the_last_line(tmp_path: Path) -> None:
    videos = VideosFile(tmp_path)
    assert "a.mp4" not in videos
    for source, width in (("a.mp4", 1), ("b/ü.mp4", 2), ("a.mp4", 3)):
        videos.append(source, {"width": width, "pts": [0, 40]})
    for videos_file in (videos, VideosFile(tmp_path)):
        assert videos_file.of("a.mp4") == {"source": "a.mp4", "width": 3, "pts": [0, 40]}
        assert videos_file.of("b/ü.mp4")["width"] == 2
    with pytest.raises(DataError, match=r"videos.jsonl: .*c.mp4"):
        videos.of("c.mp4")


def test_a_truncated_line_is_removed_before_appending(tmp_path: Path) -> None:
    VideosFile(tmp_path).append("a", {"n": 1})
    with (tmp_path / "videos.jsonl").open("ab") as file:
        file.write(b'{"source": "b", "n"')
    videos = VideosFile(tmp_path)
    assert "b" not in videos
    videos.append("c", {"n": 3})
    videos.append("d", {"n": 4})
    assert [json.loads(line) for line in (tmp_path / "videos.jsonl").read_bytes().splitlines()] == [
        {"source": "a", "n": 1},
        {"source": "c", "n": 3},
        {"source": "d", "n": 4},
    ]
    assert videos.of("d") == VideosFile(tmp_path).of("d") == {"source": "d", "n": 4}


def test_rewriting_orders_removes_and_copies_lines(tmp_path: Path) -> None:
    videos, other = VideosFile(tmp_path), VideosFile(tmp_path / "part")
    (tmp_path / "part").mkdir()
    for source in "cab":
        videos.append(source, {"n": ord(source)})
    other.append("d", {"n": 100})
    videos.rewrite(["a", "d", "x", "c"], [other])
    lines = [json.loads(line) for line in (tmp_path / "videos.jsonl").read_bytes().splitlines()]
    assert [(line["source"], line["n"]) for line in lines] == [("a", 97), ("d", 100), ("c", 99)]
    assert "b" not in videos and videos.of("c")["n"] == 99
    videos.append("e", {"n": 1})
    assert VideosFile(tmp_path).of("e")["n"] == 1


def test_the_source_of_a_clip_is_its_name_without_the_shot() -> None:
    def entry(source: str, start: int) -> ClipEntry:
        return ClipEntry("i", source, "g", -1, "train", 5, None, "d", start=start)

    assert source_name(entry("a@1.mp4@57", 57)) == "a@1.mp4"
    assert source_name(entry("a.mp4", 0)) == "a.mp4"
    assert source_name(entry("a.mp4@0", 0)) == "a.mp4"
