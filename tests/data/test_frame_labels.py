"""Layouts and labels of the data sets of anomaly detection, as miniature files in the published formats."""

from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise
from layoutfiles import found, labels, put, put_avi, put_images, read
from scipy.io import savemat

from vidgan.data.frame_labels import read_frame_labels
from vidgan.errors import DataError


def ucsd(root: Path) -> Path:
    frames = [f"{t:03d}.tif" for t in range(1, 9)]
    for side, number in (("Train", 1), ("Test", 1), ("Test", 2)):
        put_images(root / side / f"{side}{number:03d}", frames, noise(number, 8))
    put_images(root / "Test" / "Test001_gt", [f"{t:03d}.bmp" for t in range(1, 9)], noise(9, 8))
    put(
        root / "Test" / f"{root.name}.m",
        "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [3:5];\n% TestVideoFile{end+1}.gt_frame = [1:8];\n"
        "TestVideoFile{end+1}.gt_frame = [1:2, 7:8];\n",
    )
    return root


def test_ucsd_ped(tmp_path: Path) -> None:
    root = ucsd(tmp_path / "UCSDped1")
    sources = found(tmp_path)
    assert {name: split for name, (_, _, split) in labels(sources).items()} == {
        "UCSDped1/Train/Train001": "train", "UCSDped1/Test/Test001": "test", "UCSDped1/Test/Test002": "test",
    }  # fmt: skip
    assert sources["UCSDped1/Test/Test001"].fps == 10
    np.testing.assert_array_equal(read(tmp_path, sources["UCSDped1/Test/Test001"])[0].frames, noise(1, 8))
    for folder in (tmp_path, root):  # counted from 1, ends included
        marks = read_frame_labels(folder)
        assert np.flatnonzero(marks.of("UCSDped1/Test/Test001")).tolist() == [2, 3, 4]
        assert np.flatnonzero(marks.of("UCSDped1/Test/Test002")).tolist() == [0, 1, 6, 7]
        assert len(marks.of("UCSDped1/Test/Test002")) == 8
    ucsd(tmp_path / "UCSDped2")
    both = read_frame_labels(tmp_path)
    assert len(both.of("UCSDped2/Test/Test001")) == 8
    with pytest.raises(DataError, match=r"Test/Test001 may be UCSDped1.*UCSDped2"):
        both.of("Test/Test001")
    with pytest.raises(DataError, match="no labels of the video Test009"):
        both.of("Test009")
    put(root / "Test" / "UCSDped1.m", "TestVideoFile{end+1}.gt_frame = [3:9];")
    with pytest.raises(DataError, match=r"UCSDped1.m: video 1: frames 3:9; accepted: within 1:8"):
        read_frame_labels(root)


def test_avenue(tmp_path: Path) -> None:
    for name in ("training_videos/01", "testing_videos/01", "testing_videos/02"):
        put_avi(tmp_path / f"Avenue Dataset/{name}.avi", [20 * t for t in range(6)])
    sources = found(tmp_path)
    assert {name.split("/", 1)[1]: split for name, (_, _, split) in labels(sources).items()} == {
        "training_videos/01.avi": "train", "testing_videos/01.avi": "test", "testing_videos/02.avi": "test",
    }  # fmt: skip
    masks = np.zeros((1, 6), dtype=object)
    for t in range(6):
        masks[0, t] = np.full((4, 5), int(t in (2, 3)), dtype=np.uint8)
    folder = tmp_path / "ground_truth_demo" / "testing_label_mask"
    folder.mkdir(parents=True)
    savemat(folder / "2_label.mat", {"volLabel": masks})
    marks = read_frame_labels(tmp_path)
    assert marks.of("Avenue Dataset/testing_videos/02.avi").tolist() == [False, False, True, True, False, False]
    put(folder / "1_label.mat", "no")
    with pytest.raises(DataError, match=r"1_label.mat: no Matlab file"):
        read_frame_labels(tmp_path)


def test_shanghaitech(tmp_path: Path) -> None:
    put_avi(tmp_path / "training/videos/01_001.avi", [0, 50, 100, 150])
    put_images(tmp_path / "testing/frames/01_0014", [f"{t:03d}.jpg" for t in range(5)], noise(0, 5))
    (tmp_path / "testing/test_frame_mask").mkdir()
    np.save(tmp_path / "testing/test_frame_mask/01_0014.npy", np.array([0, 0, 1, 1, 0], dtype=np.uint8))
    sources = found(tmp_path)
    assert labels(sources) == {
        "testing/frames/01_0014": (None, "01_0014", "test"),
        "training/videos/01_001.avi": (None, "01_001", "train"),
    }
    marks = read_frame_labels(tmp_path)
    assert marks.of("testing/frames/01_0014").tolist() == [False, False, True, True, False]
    np.save(tmp_path / "testing/test_frame_mask/01_0014.npy", np.array([0, 2]))
    with pytest.raises(DataError, match=r"01_0014.npy: accepted is one 0 or 1"):
        read_frame_labels(tmp_path)


def test_other_videos(tmp_path: Path) -> None:
    put(tmp_path / "frame_labels/test/walk.txt", "0\n1\n1\n")
    assert read_frame_labels(tmp_path).of("test/walk.mp4").tolist() == [False, True, True]
    assert read_frame_labels(tmp_path / "frame_labels").of("test/walk.mp4").sum() == 2
    put(tmp_path / "frame_labels/test/walk.txt", "0 anomalous\n")
    with pytest.raises(DataError, match=r"walk.txt: accepted is one 0 or 1"):
        read_frame_labels(tmp_path)
    with pytest.raises(DataError, match="holds no labels.*frame_labels/NAME.txt"):
        (tmp_path / "empty").mkdir()
        read_frame_labels(tmp_path / "empty")
    with pytest.raises(DataError, match="no such folder"):
        read_frame_labels(tmp_path / "none")
