"""Videos and labelled samples inside archives."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from clipfiles import noise, npy_bytes, write_tar
from layoutfiles import found, labels, list_layout, put, put_avi, read

from vidgan.errors import DataError


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An AVI of six frames with grey levels 40, 70, 100, ..."""
    return put_avi(tmp_path_factory.mktemp("video") / "v.avi", [40, 70, 100, 130, 160, 190], size=(48, 64)).read_bytes()


def is_the_video(frames: np.ndarray) -> bool:
    return bool(np.abs(frames.mean(axis=(1, 2, 3)) - [40, 70, 100, 130, 160, 190]).max() < 4)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_videos_are_read_from_archives(tmp_path: Path, video: bytes, kind: str) -> None:
    path = tmp_path / f"walking.{kind}"
    members = {"walking/a.avi": video, "walking/b.avi": b"no video"}
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
    else:
        write_tar(path, members, "w:gz" if kind == "tar.gz" else "w")
    sources = found(tmp_path)
    assert list(sources) == [f"{path.name}/walking/a.avi", f"{path.name}/walking/b.avi"]
    (clip,) = read(tmp_path, sources[f"{path.name}/walking/a.avi"])
    assert is_the_video(clip.frames)
    with pytest.raises(DataError, match="not-a-video"):
        read(tmp_path, sources[f"{path.name}/walking/b.avi"])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_playlist_in_an_archive_opens_nothing_else(tmp_path: Path, video: bytes) -> None:
    secret = put(tmp_path / "secret.avi", video)
    for name, text in {"list.mp4": f"ffconcat version 1.0\nfile {secret}\n", "hls.mp4": f"#EXTM3U\n{secret}\n"}.items():
        write_tar(tmp_path / "in.tar", {name: text.encode()}, "w")
        with pytest.raises(DataError, match="not-a-video"):
            read(tmp_path, found(tmp_path / "in.tar")[f"in.tar/{name}"])


def test_shards_written_by_the_webdataset_library(tmp_path: Path, video: bytes) -> None:
    samples = [
        {"__key__": "walk/000", "avi": video, "cls": 3},
        {"__key__": "walk/001", "avi": video, "json": {"label": "run", "group": 7, "split": "test", "caption": "x"}},
        {"__key__": "walk/002", "npy": noise(0), "json": {"category": "jump", "class": "ignored"}},
        {"__key__": "walk/003", "avi": video, "txt": "a caption"},
        {"__key__": "walk/004", "avi": video, "json": {"split": "validation"}},
        {"__key__": "walk/005", "avi": video, "json": [1, 2]},
    ]
    with webdataset.TarWriter(str(tmp_path / "train-000000.tar")) as shard:
        for sample in samples:
            shard.write(sample)
    result = list_layout(tmp_path, "webdataset")
    sources = {source.name.rpartition("/")[2]: source for source in result.sources}
    assert labels(sources) == {
        "000.avi": ("3", None, None),
        "001.avi": ("run", "7", "test"),
        "002.npy": ("jump", None, None),
        "003.avi": (None, None, None),
        "005.avi": (None, None, None),
    }
    assert [(r.source, r.reason) for r in result.refusals] == [("train-000000.tar/walk/004.avi", "wrong-label")]
    assert "split is 'validation'; accepted: train, test" in result.refusals[0].detail
    assert result.ignored == 1  # the caption
    assert is_the_video(read(tmp_path, sources["001.avi"])[0].frames)
    np.testing.assert_array_equal(read(tmp_path, sources["002.npy"])[0].frames, noise(0))
    assert labels(found(tmp_path)) == labels({source.name: source for source in result.sources})


def test_the_key_ends_at_the_first_dot_and_labels_stay_in_their_archive(tmp_path: Path) -> None:
    put(tmp_path / "a.npy", npy_bytes(noise(0)))
    put(tmp_path / "a.json", json.dumps({"category": "plain files have no labels"}))
    members = {
        "v1.2/a.left.npy": npy_bytes(noise(1)),
        "v1.2/a.json": b'{"category": "both"}',
        "v1.2/a.right.npy": npy_bytes(noise(2)),
        "v1.2/b.npy": npy_bytes(noise(3)),
        "a.cls": b"nobody",
        "v1.2/b.json": b"\xff\xfe",
    }
    write_tar(tmp_path / "s.tar", members, "w")
    result = list_layout(tmp_path)
    assert {source.name: source.category for source in result.sources} == {
        "a.npy": None,
        "s.tar/v1.2/a.left.npy": "both",
        "s.tar/v1.2/a.right.npy": "both",
    }
    assert [refusal.source for refusal in result.refusals] == ["s.tar/v1.2/b.npy"]
    with pytest.raises(DataError, match=r"layout webdataset; expected \*.tar shards"):
        found(tmp_path / "a.npy", "webdataset")


def shard_labels(tmp_path: Path, members: dict[str, bytes], name: str = "s.tar") -> dict[str, Any]:
    """Category, group and split of each clip of a tar or zip, `"wrong-label"` for a refused one."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            for member, content in members.items():
                file.writestr(member, content)
    else:
        write_tar(tmp_path / name, members, "w")
    listed = list_layout(tmp_path / name)
    labelled: dict[str, Any] = dict(labels({source.name.partition("/")[2]: source for source in listed.sources}))
    for refusal in listed.refusals:
        assert refusal.reason == "wrong-label"
        assert refusal.source in refusal.detail
        labelled[refusal.source.partition("/")[2]] = refusal.reason
    return labelled


@pytest.mark.parametrize("kind", ["s.tar", "s.zip"])
@pytest.mark.parametrize("dotted", ["cam1.2024.{}", "2024-01-01T10.00.{}", "v1.0/x.{}.y"])
def test_dots_in_names_do_not_share_labels(tmp_path: Path, kind: str, dotted: str) -> None:
    members: dict[str, bytes] = {}
    for i in range(12):
        members[f"{dotted.format(i)}.npy"] = npy_bytes(noise(i))
        side = "test" if i % 3 else "train"
        members[f"{dotted.format(i)}.json"] = json.dumps({"split": side, "group": f"g{i}"}).encode()
        members[f"{dotted.format(i)}.cls"] = str(i % 2).encode()
    assert shard_labels(tmp_path, members, kind) == {
        f"{dotted.format(i)}.npy": (str(i % 2), f"g{i}", "test" if i % 3 else "train") for i in range(12)
    }


def test_a_label_without_its_clip_and_a_clip_without_its_label(tmp_path: Path) -> None:
    clip = npy_bytes(noise(0))
    members = {"c.1.0.npy": clip, "c.1.0.cls": b"a", "c.1.1.npy": clip, "c.1.2.cls": b"b"}
    assert shard_labels(tmp_path, members) == {"c.1.0.npy": ("a", None, None), "c.1.1.npy": (None, None, None)}
    members = {"c.1.1.npy": clip, "c.1.2.cls": b"b"}
    assert shard_labels(tmp_path, members) == {"c.1.1.npy": "wrong-label"}


def test_several_clips_or_labels_under_one_key(tmp_path: Path) -> None:
    clip = npy_bytes(noise(0))
    members = {"a.npy": clip, "a.depth.npy": clip, "a.cls": b"x", "b.left.npy": clip, "b.right.npy": clip}
    members |= {
        "a.json": b'{"split": "test"}',
        "b.cls": b"y",
        "c.npy": clip,
        "c.person.cls": b"z",
        "d.npy": clip,
        "d.one.cls": b"1",
        "d.two.cls": b"2",
    }
    assert shard_labels(tmp_path, members) == {
        "a.npy": ("x", "s.tar/a", "test"),
        "a.depth.npy": (None, "s.tar/a", "test"),
        "b.left.npy": ("y", "s.tar/b", None),
        "b.right.npy": ("y", "s.tar/b", None),
        "c.npy": ("z", None, None),
        "d.npy": "wrong-label",
    }


def test_a_json_label_has_priority_in_any_order(tmp_path: Path) -> None:
    clip, fields = npy_bytes(noise(0)), b'{"category": "walk"}'
    for order in (["a.cls", "a.json"], ["a.json", "a.cls"]):
        members = {"a.npy": clip} | {name: {"a.cls": b"3", "a.json": fields}[name] for name in order}
        assert shard_labels(tmp_path, members)["a.npy"] == ("walk", None, None)
