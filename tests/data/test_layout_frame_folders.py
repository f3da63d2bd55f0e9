"""Data sets that are distributed as folders of frames or pairs of videos, with their lists."""

from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise
from layoutfiles import found, labels, list_layout, put, put_images, read

from vidgan.errors import DataError


def test_vimeo90k_septuplets_by_their_lists(tmp_path: Path) -> None:
    for seed, place in enumerate(("00001/0001", "00001/0002", "00096/0936")):
        put_images(
            tmp_path / "vimeo_septuplet" / "sequences" / place, [f"im{t}.png" for t in range(1, 8)], noise(seed, 7)
        )
    put(tmp_path / "vimeo_septuplet" / "sep_trainlist.txt", "00001/0001\n\n")
    put(tmp_path / "vimeo_septuplet" / "sep_testlist.txt", "00001/0002\n")
    sources = found(tmp_path)
    base = "vimeo_septuplet/sequences/"
    assert labels(sources) == {
        f"{base}00001/0001": (None, "00001/0001", "train"),
        f"{base}00001/0002": (None, "00001/0002", "test"),
    }  # 00096/0936 is in neither list
    np.testing.assert_array_equal(read(tmp_path, sources[f"{base}00001/0002"])[0].frames, noise(1, 7))
    put(tmp_path / "tri_trainlist.txt", "00001/0001\n")
    put(tmp_path / "tri_testlist.txt", "00001/0002\n")
    with pytest.raises(DataError, match="lists of septuplets and of triplets"):
        found(tmp_path)


def test_vimeo90k_interpolation_test_set_uses_targets(tmp_path: Path) -> None:
    root = tmp_path / "vimeo_interp_test"
    put_images(root / "target" / "00001" / "0389", ["im1.png", "im2.png", "im3.png"], noise(0, 3))
    put_images(root / "input" / "00001" / "0389", ["im1.png", "im3.png"], noise(1, 2))
    result = list_layout(tmp_path)
    assert [(s.name, s.split) for s in result.sources] == [("vimeo_interp_test/target/00001/0389", "test")]
    assert result.ignored == 2


def test_sky_timelapse(tmp_path: Path) -> None:
    names = [f"07U1fSrk9oI_frames_{t:08d}.jpg" for t in (46, 47, 48)]
    put_images(tmp_path / "sky_train" / "07U1fSrk9oI" / "07U1fSrk9oI_1", names, noise(0, 3))
    put_images(tmp_path / "sky_train" / "07U1fSrk9oI" / "07U1fSrk9oI_2", names, noise(1, 3))
    put_images(tmp_path / "sky_test" / "Fgi1PmK4UKE" / "Fgi1PmK4UKE_1", names, noise(2, 3))
    sources = found(tmp_path)
    assert labels(sources) == {
        "sky_test/Fgi1PmK4UKE/Fgi1PmK4UKE_1": (None, "Fgi1PmK4UKE", "test"),
        "sky_train/07U1fSrk9oI/07U1fSrk9oI_1": (None, "07U1fSrk9oI", "train"),
        "sky_train/07U1fSrk9oI/07U1fSrk9oI_2": (None, "07U1fSrk9oI", "train"),
    }
    np.testing.assert_array_equal(read(tmp_path, sources["sky_train/07U1fSrk9oI/07U1fSrk9oI_2"])[0].frames, noise(1, 3))


def test_faceforensics_uses_one_kind(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for kind in ("original", "altered", "mask"):
            put(tmp_path / part / kind / f"{part}_clip_0.avi")
    assert labels(found(tmp_path)) == {
        "test/original/test_clip_0.avi": (None, "test_clip_0", "test"),
        "train/original/train_clip_0.avi": (None, "train_clip_0", "train"),
    }
    assert set(found(tmp_path, "faceforensics:kind=altered,val=test")) == {
        "test/altered/test_clip_0.avi",
        "train/altered/train_clip_0.avi",
        "val/altered/val_clip_0.avi",
    }


def test_taichi_segments_of_one_video_are_a_group(tmp_path: Path) -> None:
    clip = noise(0, 12)
    names = [f"{t:07d}.png" for t in range(12)]
    put_images(tmp_path / "train" / "aDyyTMUBoLE#000164#000351.mp4", names, clip)
    put_images(tmp_path / "train" / "aDyyTMUBoLE#000352#000400.mp4", names, noise(1, 12))
    put_images(tmp_path / "test" / "-kZFLLUtYI0#000100#000200.mp4", names, noise(2, 12))
    sources = found(tmp_path)
    assert labels(sources) == {
        "test/-kZFLLUtYI0#000100#000200.mp4": (None, "-kZFLLUtYI0", "test"),
        "train/aDyyTMUBoLE#000164#000351.mp4": (None, "aDyyTMUBoLE", "train"),
        "train/aDyyTMUBoLE#000352#000400.mp4": (None, "aDyyTMUBoLE", "train"),
    }
    np.testing.assert_array_equal(read(tmp_path, sources["train/aDyyTMUBoLE#000164#000351.mp4"])[0].frames, clip)
    put(tmp_path / "more" / "train" / "xyz#000000#000010.mp4")  # a video, as the loader writes with --format .mp4
    assert labels(found(tmp_path))["more/train/xyz#000000#000010.mp4"] == (None, "xyz", "train")


def put_davis(root: Path) -> None:
    for seed, name in enumerate(("bear", "blackswan", "aerobatics")):
        put_images(root / "JPEGImages" / "480p" / name, [f"{t:05d}.jpg" for t in range(3)], noise(seed, 3))
        put_images(root / "Annotations" / "480p" / name, [f"{t:05d}.png" for t in range(3)], noise(seed + 9, 3))
    put_images(root / "JPEGImages" / "1080p" / "bear", ["00000.jpg"], noise(7, 1))


def test_davis_lists_define_the_split_and_annotations_are_not_clips(tmp_path: Path) -> None:
    put_davis(tmp_path / "DAVIS")
    assert labels(found(tmp_path))["DAVIS/JPEGImages/480p/bear"] == (None, "bear", None)
    assert set(found(tmp_path, "davis:size=1080p")) == {"DAVIS/JPEGImages/1080p/bear"}
    with pytest.raises(DataError, match="ImageSets/2016/train.txt or val.txt"):
        found(tmp_path, "davis:year=2016")
    lists = tmp_path / "DAVIS" / "ImageSets"
    put(lists / "2017" / "train.txt", "bear\n")
    put(lists / "2017" / "val.txt", "blackswan\n")
    put(lists / "2016" / "train.txt", "blackswan\n")
    put(lists / "2016" / "val.txt", "bear\n")
    sources = found(tmp_path)
    assert labels(sources) == {
        "DAVIS/JPEGImages/480p/bear": (None, "bear", "train"),
        "DAVIS/JPEGImages/480p/blackswan": (None, "blackswan", "test"),
    }
    np.testing.assert_array_equal(read(tmp_path, sources["DAVIS/JPEGImages/480p/bear"])[0].frames, noise(0, 3))
    assert labels(found(tmp_path, "davis:year=2016"))["DAVIS/JPEGImages/480p/bear"][2] == "test"


def test_davis_lists_of_2016_name_files(tmp_path: Path) -> None:
    put_davis(tmp_path)
    pair = "/JPEGImages/480p/{0}/00000.jpg /Annotations/480p/{0}/00000.png\n"
    put(tmp_path / "ImageSets" / "480p" / "train.txt", pair.format("bear"))
    put(tmp_path / "ImageSets" / "480p" / "val.txt", pair.format("blackswan"))
    assert {name.rpartition("/")[2]: source.split for name, source in found(tmp_path).items()} == {
        "bear": "train",
        "blackswan": "test",
    }
