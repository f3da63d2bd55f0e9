"""Captions from files beside videos to the batch; wrong captions are wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vidgan.data.captions import CaptionSource
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.data.preparing.captioned_shapes import prepare_captioned_shapes
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import ClipEntry, load_index
from vidgan.data.synthetic.captioned import SLOTS, is_held_out
from vidgan.errors import DataError


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_captioned_shapes(tmp_path_factory.mktemp("captioned"), clips=24, size=32, seed=0, holdout=0.2)


def write_clips(folder: Path, *names: str) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, rng.integers(0, 255, (4, 32, 32, 3)).astype(np.uint8))


def write_lines(path: Path, *lines: object) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_captions_of_files_text_files_and_categories(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    write_clips(videos, "wave/a.npy", "wave/b.npy", "jump/c.npy", "jump/d.npy")
    write_lines(
        videos / "captions.jsonl",
        {"file": "wave/a.npy", "captions": ["a tall person waves"], "attributes": {"height": "tall"}},
        {"category": "wave", "captions": ["a person waves"], "attributes": {"action": "wave", "height": "any"}},
        {"category": "jump", "captions": ["a person jumps"]},
        {"file": "wave/missing.npy", "captions": ["nobody"]},
    )
    write_lines(videos / "jump" / "captions.jsonl", {"file": "d.npy", "captions": ["a person hops", "a hop"]})
    (videos / "jump" / "c.txt").write_text("\nsomebody jumps\n  high jump \n")
    prepared = prepare(videos, tmp_path / "data", size=(32, 32), categories=True, holdout=0.0).index
    by_name = {clip.source: clip for clip in load_index(tmp_path / "data").clips}
    assert {name: clip.captions for name, clip in by_name.items()} == {
        "wave/a.npy": ("a tall person waves",),
        "wave/b.npy": ("a person waves",),
        "jump/c.npy": ("somebody jumps", "high jump"),
        "jump/d.npy": ("a person hops", "a hop"),
    }
    assert by_name["wave/a.npy"].attributes == {"action": "wave", "height": "tall"}
    assert by_name["wave/b.npy"].attributes == {"action": "wave", "height": "any"}
    assert "4 of 4 clips have captions" in prepared.notices
    assert any("1 lines of captions.jsonl" in notice for notice in prepared.notices)


def test_changed_captions_change_the_fingerprint_alone(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    write_clips(videos, "a.npy", "b.npy")
    plain = prepare(videos, tmp_path / "data", size=(32, 32), holdout=0.0).index
    content = json.loads((tmp_path / "data" / "index.json").read_text())
    assert "captions" not in content["clips"][0] and "attributes" not in content["clips"][0]
    (videos / "a.txt").write_text("a thing")
    told = prepare(videos, tmp_path / "data", size=(32, 32), holdout=0.0)
    assert told.prepared == 0, "no clip is read again"
    assert told.index.fingerprint != plain.fingerprint and told.index.split_hash == plain.split_hash


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ({"captions": ["no name"]}, "line 1"),
        ({"file": "a.npy", "captions": "text"}, "line 1"),
        ({"file": "a.npy", "captions": ["..."]}, "no words"),
        ({"file": "a.npy", "caption": ["typing error"]}, "line 1"),
        ({"file": "a.npy", "attributes": {"colour": 3}}, "line 1"),
        ({"category": "run", "captions": ["x"]}, "no category 'run'"),
    ],
)
def test_damaged_lines_are_refused(tmp_path: Path, line: object, named: str) -> None:
    write_clips(tmp_path / "videos", "a.npy")
    write_lines(tmp_path / "videos" / "captions.jsonl", line)
    with pytest.raises(DataError, match=f"captions.jsonl: .*{named}"):
        prepare(tmp_path / "videos", tmp_path / "data", size=(32, 32))


def test_held_out_combinations_are_in_no_split(captioned: Path) -> None:
    clips = load_index(captioned).clips
    assert {clip.split for clip in clips} == {"train", "test"} and len(clips) == 24
    assert not any(is_held_out(clip.attributes) for clip in clips)


def test_wrong_captions_always_differ_in_meaning(captioned: Path) -> None:
    """10,000 draws; half of those that can differ in one attribute alone do."""
    entries = load_index(captioned).clips
    source = CaptionSource(captioned, entries)
    meanings = {caption: clip.attributes for clip in entries for caption in clip.captions}
    by_words = {source.tokeniser.decode(source.tokeniser.encode([text]))[0]: told for text, told in meanings.items()}
    in_one = 0
    for draw in range(10_000):
        place = draw % len(entries)
        _, text = source.tokeniser.decode(source.draw(place, 0, draw))
        differing = [slot for slot in SLOTS if by_words[text][slot] != entries[place].attributes[slot]]
        assert differing, f"{text!r} is right for {entries[place].captions}"
        in_one += len(differing) == 1
    can = sum(source._differing_in_one(place, 0) is not None for place in range(len(entries))) / len(entries)
    assert can > 0.5 and in_one / 10_000 == pytest.approx(can / 2, abs=0.1)


def test_captions_without_attributes_differ_in_words() -> None:
    entry = ClipEntry("x", "x", "x", -1, "train", 4, None, "", captions=("one two", "Two!"))
    others = [replace(entry, captions=("two",)), replace(entry, captions=("three", "four"))]
    source = CaptionSource(Path("data"), [entry, *others])
    wrong = {source.tokeniser.decode(source.draw(0, draw))[1] for draw in range(50)}
    assert wrong == {"three", "four"}, "'two' is a caption of the clip too"
    with pytest.raises(DataError, match="another meaning"):
        CaptionSource(Path("data"), [entry, entry])
    with pytest.raises(DataError, match="1 of 2 clips have no caption"):
        CaptionSource(Path("data"), [entry, replace(entry, captions=())])


def test_a_caption_that_two_clips_share_is_wrong_for_neither() -> None:
    def entry(way: str, *captions: str) -> ClipEntry:
        attributes = {"action": "wave", "direction": way}
        return ClipEntry(way, way, way, -1, "train", 4, None, "", captions=captions, attributes=attributes)

    entries = [entry("left", "a person waves", "left"), entry("right", "a person waves"), entry("up", "up")]
    source = CaptionSource(Path("data"), entries)
    wrong = {source.tokeniser.decode(source.draw(0, draw))[1] for draw in range(100)}
    assert wrong == {"up"}, "they differ in one attribute, but the caption is right for both"


def test_batches_hold_captions_whatever_the_workers(captioned: Path) -> None:
    dataset = ClipDataset(captioned, frames=8, captions=3, seed=3)
    assert dataset.captions is not None
    streams = [ClipLoader(dataset, batch_size=4, seed=3, workers=workers).batches(2) for workers in (0, 1)]
    (one,), (two,) = (next(stream) for stream in streams)
    for stream in streams:
        stream.close()
    assert one.caption.shape == (4, 4, dataset.captions.length) and torch.equal(one.caption, two.caption)
    for row, item in enumerate(one.item.tolist()):
        right = {" ".join(caption.replace(",", "").split()) for caption in dataset.clip_of(item).captions}
        assert dataset.captions.tokeniser.decode(one.caption[row, :1])[0] in right
    plain = next(ClipLoader(ClipDataset(captioned, frames=8, seed=3), batch_size=4, seed=3).batches(2))[0]
    assert plain.caption.shape == (4, 1, 0) and torch.equal(plain.clip, one.clip)
