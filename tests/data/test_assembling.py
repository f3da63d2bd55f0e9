"""From outcomes to the index: what a source says of its clips, what options say, and which of the two counts."""

from typing import Any

import pytest
from vidgan.data.preparing.splitting import split_clips
from vidgan.data.preparing.storing import build_index

from vidgan.data.preparing.cutting import CutClip, CutSource
from vidgan.data.preparing.options import Options
from vidgan.data.store.index import Index

CENSUS = Census("/in")


def record(label: str = "", start: int = 0, twin: str = "", **changes: Any) -> Record:
    values = {"frames": 5, "fps": 10.0, "digest": twin or label, "twin": twin or label, "nbytes": 1}
    return Record(id=f"id{label}", label=label, start=start, **{**values, **changes})


def outcome(name: str, *clips: Record, **said: Any) -> Outcome:
    renamed = [Record(**{**vars(c), "id": name + c.id, "digest": name + c.digest}) for c in clips]
    untwinned = [Record(**{**vars(c), "twin": c.twin or c.digest}) for c in renamed]
    return Outcome(name, "stamp", "video", name, clips=tuple(untwinned), **said)


def index_of(outcomes: list[Outcome], census: Census = CENSUS, **options: Any) -> Index:
    values: dict[str, Any] = {
        **dict.fromkeys(("fps", "flow", "protocol", "group_by", "strip_frame", "holdout", "test_pattern", "shard_mb")),
        **dict.fromkeys(("cut_threshold", "cut_weights")),
        **dict.fromkeys(("drop_still", "drop_black", "categories"), False),
        **{"size": (8, 8), "fit": "crop", "resample": "area", "every": 1, "cuts": "auto", "store": "frames"},
        **{"layout": "auto", "seed": 0, "min_frames": 2},
    }
    return assemble(outcomes, Options(**{**values, **options}), census)


def test_shots_of_a_recording_share_its_group_and_keep_their_places() -> None:
    shots = outcome("a.mp4", record("@0"), record("@57", 57), counts={"cuts": 2, "short": 1, "still": 9})
    arrays = outcome("b.npy", record("#0"), record("#1"))
    index = index_of([arrays, shots], holdout=0.5)
    found = [(clip.source, clip.group, clip.start, clip.file) for clip in index.clips]
    assert found == [
        ("a.mp4@0", "a.mp4", 0, "a.mp4"),
        ("a.mp4@57", "a.mp4", 57, "a.mp4"),
        ("b.npy#0", "b.npy#0", 0, "b.npy"),
        ("b.npy#1", "b.npy#1", 0, "b.npy"),
    ]
    assert len({clip.split for clip in index.clips[:2]}) == 1
    assert "2 shot changes in 1 of 2 sources: no clip spans one" in index.notices
    assert "1 shots of less than 2 frames are left out" in index.notices
    assert "9 still frames are left out" in index.notices


def benchmark() -> list[Outcome]:
    """Three training and two test videos with persons and actions; video 4 is a copy of 0."""
    persons = ["p1", "p1", "p2", "p3", "p3"]
    return [
        outcome(
            f"{i}.avi",
            record(twin="same" if i in (0, 4) else f"t{i}"),
            category="run" if i % 2 else "walk",
            group=persons[i],
            split="train" if i < 3 else "test",
        )
        for i in range(5)
    ]


def test_what_a_benchmark_brings_along_is_honoured() -> None:
    index = index_of(benchmark(), Census("/in", notices=["looks like KTH"]))
    assert index.categories == ["run", "walk"] and [c.category for c in index.clips] == [1, 0, 1, 0, 1]
    assert [c.group for c in index.clips] == ["p1", "p1", "p2", "p3", "p3"]
    assert [c.split for c in index.clips] == ["train"] * 3 + ["test"] * 2
    assert index.notices[0] == "looks like KTH"
    assert "1 test clips of the source's own split are exact copies" in index.notices[1]
    assert "(4.avi of 0.avi)" in index.notices[1]


@pytest.mark.parametrize(
    ("options", "notice"),
    [
        ({"test_pattern": "^[04]"}, "test_pattern replaces the split that the source brings along"),
        ({"holdout": 0.4}, "holdout replaces the split that the source brings along"),
    ],
)
def test_options_override_the_source_and_say_so(options: dict[str, Any], notice: str) -> None:
    index = index_of(benchmark(), group_by=r"^\d", **options)
    assert any(notice in text for text in index.notices)
    assert "group_by replaces the groups that the source brings along" in index.notices
    split = {clip.source: clip.split for clip in index.clips}
    assert split["0.avi"] == split["4.avi"]  # a split of one's own never parts copies
    assert [clip.group for clip in index.clips] == ["0", "1", "2", "3", "0"]


def test_clips_say_more_than_their_file() -> None:
    mixed = outcome(
        "x.tar", record("#0", category="a", split="train"), record("#1", category="b", split="test"), record("#2")
    )
    index = index_of([mixed])
    assert index.categories == ["a", "b"] and [c.category for c in index.clips] == [0, 1, -1]
    assert [c.split for c in index.clips] == ["train", "test", "train"]
    assert "1 clips have no category, though others have" in index.notices
    assert "category 'b' has no training clip: all its clips belong to test groups" in index.notices


def test_notes_are_counted_by_file() -> None:
    shots = outcome("a.mp4", record("@0", notes=("hdr",)), record("@9", 9, notes=("hdr",)))
    notices = index_of([shots, outcome("b.mp4", record())], holdout=0.0).notices
    assert [n for n in notices if "high dynamic range" in n] == [
        "videos of high dynamic range, converted without tone mapping: colours look washed out (1 of them)"
    ]
