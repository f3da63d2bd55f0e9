"""SPLIT and the index: labels of the source, labels by options, and which of them take precedence."""

import re
from pathlib import Path
from typing import Any

import pytest

from vidgan.data.preparing.cutting import CutClip, CutSource
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.splitting import split_clips
from vidgan.data.preparing.storing import NOTE_MEANINGS, build_index
from vidgan.data.sources.source import Listed
from vidgan.data.store.index import Index


def clip(label: str = "", start: int = 0, twin: str = "", **changes: Any) -> CutClip:
    values = {"frames": 5, "fps": 10.0, "digest": twin or label, "twin": twin or label, "nbytes": 1}
    return CutClip(id=f"id{label}", label=label, start=start, **{**values, **changes})


def cut_source(name: str, *clips: CutClip, **fields: Any) -> CutSource:
    renamed = [CutClip(**{**vars(c), "id": name + c.id, "digest": name + c.digest}) for c in clips]
    untwinned = [CutClip(**{**vars(c), "twin": c.twin or c.digest}) for c in renamed]
    return CutSource(name, "stamp", "video", name, clips=tuple(untwinned), **fields)


def index_of(cut: list[CutSource], notices: tuple[str, ...] = (), **options: Any) -> Index:
    values: dict[str, Any] = {
        **dict.fromkeys(("fps", "flow", "protocol", "group_by", "strip_frame", "holdout", "test_pattern", "shard_mb")),
        **dict.fromkeys(("cut_threshold", "cut_weights")),
        **dict.fromkeys(("drop_still", "drop_black", "categories"), False),
        **{"size": (8, 8), "fit": "crop", "resample": "area", "every": 1, "cuts": "auto", "store": "frames"},
        **{"layout": "auto", "seed": 0, "min_frames": 2},
    }
    checked = Options(**{**values, **options})
    listed = Listed(Path("/in"), sources=(), notices=notices)
    return build_index(listed, cut, split_clips(cut, checked), checked, refusals=())


def test_shots_of_a_recording_share_its_group_and_keep_their_places() -> None:
    shots = cut_source("a.mp4", clip("@0"), clip("@57", 57), counts={"cuts": 2, "short": 1, "still": 9})
    arrays = cut_source("b.npy", clip("#0"), clip("#1"))
    index = index_of([arrays, shots], holdout=0.5)
    found = [(clip.source, clip.group, clip.start, clip.file) for clip in index.clips]
    assert found == [
        ("a.mp4@0", "a.mp4", 0, "a.mp4"),
        ("a.mp4@57", "a.mp4", 57, "a.mp4"),
        ("b.npy#0", "b.npy#0", 0, "b.npy"),
        ("b.npy#1", "b.npy#1", 0, "b.npy"),
    ]
    assert len({clip.split for clip in index.clips[:2]}) == 1
    assert [re.findall(r"\d+ \w+", notice)[0] for notice in index.notices] == ["2 shot", "1 shots", "9 still"]


def benchmark() -> list[CutSource]:
    """Three training and two test videos with persons and actions; video 4 is a copy of video 0."""
    persons = ["p1", "p1", "p2", "p3", "p3"]
    return [
        cut_source(
            f"{i}.avi",
            clip(twin="same" if i in (0, 4) else f"t{i}"),
            category="run" if i % 2 else "walk",
            group=persons[i],
            split="train" if i < 3 else "test",
        )
        for i in range(5)
    ]


def test_labels_and_split_of_a_benchmark_are_used() -> None:
    index = index_of(benchmark(), ("recognised KTH",))
    assert index.categories == ["run", "walk"] and [c.category for c in index.clips] == [1, 0, 1, 0, 1]
    assert [c.group for c in index.clips] == ["p1", "p1", "p2", "p3", "p3"]
    assert [c.split for c in index.clips] == ["train"] * 3 + ["test"] * 2
    assert index.notices[0] == "recognised KTH"
    assert index.notices[1].startswith("1 test clips") and "(4.avi of 0.avi)" in index.notices[1]


@pytest.mark.parametrize(
    ("options", "notice"),
    [
        ({"test_pattern": "^[04]"}, "test_pattern replaces"),
        ({"holdout": 0.4}, "holdout replaces"),
    ],
)
def test_options_override_the_source_with_a_notice(options: dict[str, Any], notice: str) -> None:
    index = index_of(benchmark(), group_by=r"^\d", **options)
    assert any(text.startswith(notice) for text in index.notices)
    assert any(text.startswith("group_by replaces") for text in index.notices)
    split = {clip.source: clip.split for clip in index.clips}
    assert split["0.avi"] == split["4.avi"]  # a split by options never separates copies
    assert [clip.group for clip in index.clips] == ["0", "1", "2", "3", "0"]


def test_labels_of_a_clip_precede_those_of_its_source() -> None:
    mixed = cut_source(
        "x.tar", clip("#0", category="a", split="train"), clip("#1", category="b", split="test"), clip("#2")
    )
    index = index_of([mixed])
    assert index.categories == ["a", "b"] and [c.category for c in index.clips] == [0, 1, -1]
    assert [c.split for c in index.clips] == ["train", "test", "train"]
    assert any(notice.startswith("1 clips have no category") for notice in index.notices)
    assert any(notice.startswith("category 'b' has no training clip") for notice in index.notices)


def test_notes_are_counted_by_file() -> None:
    shots = cut_source("a.mp4", clip("@0", notes=("hdr",)), clip("@9", 9, notes=("hdr",)))
    notices = index_of([shots, cut_source("b.mp4", clip())], holdout=0.0).notices
    assert notices == [f"1 videos: {NOTE_MEANINGS['hdr']}"]
