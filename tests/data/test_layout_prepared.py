"""From a benchmark's files to the prepared data set: category, group and split in the index."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise, npy_bytes, write_tar
from layoutfiles import put, put_avi, put_images
from test_layout_driving import LEVELS, drive_folder, levels_of, norpix_bytes, put_drive, write_hickle
from test_layout_mnist import digits, idx_bytes
from test_layout_tfrecord import example, framed

from vidgan.data.preparing.prepare import PreparedData, prepare
from vidgan.errors import DataError


def rows(prepared: PreparedData) -> dict[str, tuple[str | None, str, str]]:
    """Category, group and split of every clip by its source."""
    names = prepared.index.categories
    return {
        clip.source: (names[clip.category] if clip.category >= 0 else None, clip.group, clip.split)
        for clip in prepared.index.clips
    }


def frames_of(prepared: PreparedData, source: str) -> np.ndarray:
    (clip,) = (clip for clip in prepared.index.clips if clip.source == source)
    return np.load(prepared.root / "clips" / f"{clip.id}.npy")


def test_kitti_as_prednet_prepares_it(tmp_path: Path) -> None:
    for seed, drive in enumerate(("0001", "0005", "0104")):
        put_drive(tmp_path / "raw" / "city", drive, seed)
    prepared = prepare(tmp_path / "raw", tmp_path / "data", size=(6, 6), fit="cover", cuts="off")
    train, test = (f"city/{drive_folder(drive, 'image_03')}" for drive in ("0001", "0104"))
    assert rows(prepared) == {
        train: ("city", "2011_09_26_drive_0001", "train"),
        test: ("city", "2011_09_26_drive_0104", "test"),
    }
    np.testing.assert_array_equal(frames_of(prepared, test), noise(2, 3, 6, 8)[:, :, 1:7])  # int((8 - 6) / 2) = 1
    assert [clip.fps for clip in prepared.index.clips] == [10.0, 10.0]
    assert any("layout kitti-raw" in notice for notice in prepared.index.notices)
    assert any("1 of 3 clips" in notice for notice in prepared.index.notices)


def test_hickle_sequences_records_and_digits(tmp_path: Path) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        write_hickle(put(tmp_path / "hkl" / f"X_{part}.hkl"), noise(seed, 6, 8, 8), 2)
        write_hickle(tmp_path / "hkl" / f"sources_{part}.hkl", [f"city-{part}1"] * 2 + [f"road-{part}2"] * 4, 2)
    prepared = prepare(tmp_path / "hkl", tmp_path / "hkl-data", size=(8, 8), every=2, max_bad_share=0.5)
    assert rows(prepared) == {
        "X_test.hkl:road-test2": ("road", "road-test2", "test"),
        "X_train.hkl:road-train2": ("road", "road-train2", "train"),
    }
    assert prepared.index.quarantined == {"too-short": 2}  # the others have one frame
    np.testing.assert_array_equal(frames_of(prepared, "X_test.hkl:road-test2"), noise(1, 6, 8, 8)[[2, 4]])

    put(tmp_path / "seq" / "set05" / "V000.seq", norpix_bytes(LEVELS))
    put(tmp_path / "seq" / "set10" / "V000.seq", norpix_bytes(LEVELS[::-1]))
    prepared = prepare(tmp_path / "seq", tmp_path / "seq-data", size=(8, 16), every=3)
    assert {name: row[1:] for name, row in rows(prepared).items()} == {
        "set05/V000.seq": ("set05/V000", "train"),
        "set10/V000.seq": ("set10/V000", "test"),
    }
    assert levels_of(frames_of(prepared, "set10/V000.seq")) == LEVELS[::-1][::3]

    put(tmp_path / "bair" / "train" / "traj_0_to_1.tfrecords", framed(*(example(noise(s, 30, 64, 64)) for s in (0, 1))))
    put(tmp_path / "bair" / "test" / "traj_0_to_0.tfrecords", framed(example(noise(2, 30, 64, 64))))
    prepared = prepare(tmp_path / "bair", tmp_path / "bair-data", size=(64, 64))
    assert {name: row[2] for name, row in rows(prepared).items()} == {
        "test/traj_0_to_0.tfrecords#0": "test",
        "train/traj_0_to_1.tfrecords#0": "train",
        "train/traj_0_to_1.tfrecords#1": "train",
    }
    np.testing.assert_array_equal(frames_of(prepared, "train/traj_0_to_1.tfrecords#1"), noise(1, 30, 64, 64))

    put(tmp_path / "digits" / "t10k-images-idx3-ubyte.gz", gzip.compress(idx_bytes(digits(20, 100))))
    layout = "mnist-idx:clips=4,test_clips=2,frames=3"
    prepared = prepare(tmp_path / "digits", tmp_path / "digits-data", size=(64, 64), layout=layout)
    assert sorted(split for _, _, split in rows(prepared).values()) == ["test"] * 2 + ["train"] * 4
    again = prepare(tmp_path / "digits", tmp_path / "again", size=(64, 64), layout=layout)
    assert [clip.digest for clip in again.index.clips] == [clip.digest for clip in prepared.index.clips]


def test_a_manifest_keeps_segments_of_one_file_together(tmp_path: Path) -> None:
    levels = list(range(20, 220, 10))
    put_avi(tmp_path / "in" / "a.avi", levels, size=(48, 64))
    put_images(tmp_path / "in" / "b", ["1.png", "2.png", "3.png"], noise(0, 3))
    manifest = put(
        tmp_path / "in" / "clips.csv",
        "path,start,end,category,split\na.avi,0,5,walk,train\na.avi,10,16,run,train\nb,,,run,test\ngone.avi,,,walk,\n",
    )
    prepared = prepare(manifest, tmp_path / "data", size=(16, 16), cuts="off", fit="squash")
    assert rows(prepared) == {
        "a.avi:0-5": ("walk", "a.avi", "train"),
        "a.avi:10-16": ("run", "a.avi", "train"),
        "b": ("run", "b", "test"),
    }
    means = frames_of(prepared, "a.avi:10-16").mean(axis=(1, 2, 3))
    assert np.abs(means - levels[10:16]).max() < 3
    assert prepared.index.quarantined == {"missing": 1}


def test_labelled_samples_of_a_shard(tmp_path: Path) -> None:
    members = {}
    for i, label in enumerate(("walk", "run", "walk", "run")):
        members[f"{i:03d}.npy"] = npy_bytes(noise(i))
        members[f"{i:03d}.json"] = f'{{"label": "{label}", "group": "p{i // 2}"}}'.encode()
    (tmp_path / "in").mkdir()
    write_tar(tmp_path / "in" / "000000.tar", members, "w")
    prepared = prepare(tmp_path / "in", tmp_path / "data", size=(16, 16), holdout=0.5)
    assert prepared.index.categories == ["run", "walk"]
    by_group: dict[str, set[str]] = {}
    for _, group, split in rows(prepared).values():
        by_group.setdefault(group, set()).add(split)
    assert len(by_group) == 2 and all(len(splits) == 1 for splits in by_group.values())


def test_a_wrong_layout_writes_nothing(tmp_path: Path) -> None:
    put_images(tmp_path / "in", ["1.png", "2.png"], noise(0, 2))
    for layout, message in (
        ("bair", "layout bair; expected softmotion30_44k"),
        ("bair:camera=left", "layout bair: camera is 'left'; accepted: image_aux1"),
        ("baer", "layout is 'baer'; accepted: auto, plain"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(tmp_path / "in", tmp_path / "data", size=(16, 16), layout=layout)
    assert not (tmp_path / "data").exists()
