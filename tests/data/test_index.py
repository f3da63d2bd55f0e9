"""`index.json`: what is read back, and which indexes are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from clipfiles import prepare_noise

from vidgan.data.store.index import ClipEntry, Index, load_index, save_index
from vidgan.errors import DataError


def test_everything_is_read_back(tmp_path: Path) -> None:
    first = ClipEntry("a-1", "a.mp4@57", "a.mp4", 0, "train", 30, 12.5, "d1", start=57, file="a.mp4")
    second = ClipEntry("b-2", "x/b.avi", "g", -1, "test", 2, None, "d2", start=0, file="x/b.avi")
    index = Index(
        size=(48, 64),
        fps=12.5,
        flow="dis",
        categories=["walk"],
        clips=[first, second],
        store="video",
        source_root="/data/videos",
        protocol="kth-10to20",
        settings={"fit": "crop"},
        quarantined={"corrupt": 2},
        ignored=3,
        notices=["n"],
    )
    save_index(tmp_path, index)
    assert load_index(tmp_path) == index
    content = json.loads((tmp_path / "index.json").read_text())
    assert content["format"] == 2
    assert content["clips"][0] == {
        **{"id": "a-1", "source": "a.mp4@57", "group": "a.mp4", "category": 0, "split": "train", "frames": 30},
        **{"fps": 12.5, "digest": "d1", "start": 57, "file": "a.mp4"},
    }


def test_digests_depend_on_pixels_and_split_and_not_on_the_store() -> None:
    def index(**changes: Any) -> Index:
        values = {"id": "i", "source": "a", "group": "a", "category": -1, "split": "train", "frames": 4, "fps": None}
        entry = ClipEntry(**{**values, "digest": "d", **changes.pop("clip", {})})
        return Index(**{"size": (8, 8), "fps": None, "flow": None, "categories": [], "clips": [entry], **changes})

    base = index()
    assert index(store="shards", clip={"start": 5, "file": "f", "group": "g"}).fingerprint == base.fingerprint
    assert index(clip={"digest": "e"}).fingerprint != base.fingerprint
    assert index(clip={"split": "test"}).fingerprint == base.fingerprint
    assert index(clip={"split": "test"}).split_hash != base.split_hash


def test_damaged_and_edited_indexes_are_refused(tmp_path: Path) -> None:
    out = prepare_noise(tmp_path, [4, 4, 4]).root
    text = (out / "index.json").read_text()

    def refuse(changed: str, message: str) -> None:
        assert changed != text
        (out / "index.json").write_text(changed)
        with pytest.raises(DataError, match=message):
            load_index(out)

    refuse(text[:-40], "not valid JSON")
    refuse(text.replace('"format": 2', '"format": 99'), "index format 99; accepted: 2")
    refuse(text.replace('"format": 2', '"format": 1'), "format 1 .*accepted: 2")
    refuse(text.replace('"test"', '"train"'), "index.json: split_hash")
    refuse(text.replace('"frames": 4', '"frames": 5', 1), "index.json: fingerprint")
    refuse(text.replace('"id": "', '"id": "../', 1), "damaged")
    refuse(text.replace('"start": 0', '"start": -1', 1), "frames from -1")
    refuse(text.replace('"store": "frames"', '"store": "cloud"'), "store 'cloud'")
    refuse(text.replace('"store": "frames"', '"store": "video"'), "store 'video' with source_root None")
    refuse(text.replace('"categories"', '"category_names"'), "KeyError: 'categories'")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load_index(tmp_path / "nowhere")
