"""KITTI raw, PredNet's hickle files, Caltech Pedestrian and Cityscapes, as small files in the original formats."""

import struct
import zipfile
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from clipfiles import noise, npy_bytes, png_bytes_of, write_tar
from layoutfiles import found, labels, list_layout, put, put_images, read
from PIL import Image

from vidgan.errors import DataError, SourceError

# ---------------------------------------------------------------- KITTI raw


def drive_folder(drive: str, camera: str) -> str:
    return f"2011_09_26/2011_09_26_drive_{drive}_sync/{camera}/data"


def put_drive(root: Path, drive: str, seed: int, cameras: tuple[str, ...] = ("image_02", "image_03")) -> None:
    for camera in cameras:
        names = [f"{number:010d}.png" for number in range(3)]
        put_images(root / drive_folder(drive, camera), names, noise(seed, 3, 6, 8))
    oxts = root / drive_folder(drive, "oxts")
    put(oxts / "0000000000.txt", "49.0 8.4")
    put(oxts.parent / "timestamps.txt", "2011-09-26 13:02:25")


def test_kitti_uses_one_camera_per_drive_and_prednets_split(tmp_path: Path) -> None:
    for seed, drive in enumerate(("0001", "0005", "0104")):
        put_drive(tmp_path / "city", drive, seed)
    result = list_layout(tmp_path)
    sources = {source.name: source for source in result.sources}
    right = drive_folder("0001", "image_03"), drive_folder("0104", "image_03")
    assert labels(sources) == {
        f"city/{right[0]}": ("city", "2011_09_26_drive_0001", "train"),
        f"city/{right[1]}": ("city", "2011_09_26_drive_0104", "test"),
    }
    assert {source.fps for source in result.sources} == {10.0}
    assert [notice for notice in result.notices if "1 of 3 clips" in notice]
    (clip,) = read(tmp_path, sources[f"city/{right[1]}"])
    np.testing.assert_array_equal(clip.frames, noise(2, 3, 6, 8))
    every_other = read(tmp_path, sources[f"city/{right[1]}"], every=2)[0]
    np.testing.assert_array_equal(every_other.frames, noise(2, 3, 6, 8)[[0, 2]])
    assert (clip.fps, every_other.fps) == (10.0, 5.0)


def test_kitti_options_choose_camera_and_split_and_without_test_drives_there_is_no_split(tmp_path: Path) -> None:
    put_drive(tmp_path, "0005", 0)
    put_drive(tmp_path, "0009", 1, cameras=("image_02",))
    assert {name.split("/")[2] for name in found(tmp_path)} == {"image_03", "image_02"}
    left = found(tmp_path, "kitti-raw:camera=image_02")
    assert {name.split("/")[2] for name in left} == {"image_02"} and len(left) == 2
    assert [source.split for source in left.values()] == [None, None]
    with pytest.raises(DataError, match="val has no effect"):
        found(tmp_path, "kitti-raw:val=train")
    put_drive(tmp_path, "0079", 2)
    assert labels(found(tmp_path, "kitti-raw:val=test"))[drive_folder("0005", "image_03")][2] == "test"


def test_kitti_is_read_from_the_zips_of_drives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "2011_09_26_drive_0001_sync.zip", "w") as file:
        for number, frame in enumerate(noise(0, 11, 6, 8)):
            file.writestr(f"{drive_folder('0001', 'image_03')}/{number:010d}.png", png_bytes_of(frame))
    ((name, source),) = found(tmp_path).items()
    assert name == f"2011_09_26_drive_0001_sync.zip/{drive_folder('0001', 'image_03')}"
    assert source.archive == "2011_09_26_drive_0001_sync.zip" and source.group == "2011_09_26_drive_0001"
    np.testing.assert_array_equal(read(tmp_path, source)[0].frames, noise(0, 11, 6, 8))


def test_the_error_of_a_missing_layout_names_the_expected_files(tmp_path: Path) -> None:
    put_images(tmp_path / "drive", ["0.png", "1.png"], noise(0, 2))
    with pytest.raises(DataError, match=r"layout kitti-raw; expected <date>.*image_03.*drive/0.png"):
        found(tmp_path, "kitti-raw")
    with pytest.raises(DataError, match="layout kitti-raw: camera is 'image_09'; accepted: auto|image_0"):
        found(tmp_path, "kitti-raw:camera=image_09")
    with pytest.raises(DataError, match="layout kitti-raw has no option 'speed'; accepted: camera, val"):
        found(tmp_path, "kitti-raw:speed=3")
    with pytest.raises(DataError, match="accepted: frames without options"):
        found(tmp_path, "frames:x=1")


# ---------------------------------------------------------------- PredNet's hickle files


def write_hickle(path: Path, value: np.ndarray | list[str], version: int) -> None:
    """The structure of files written by hickle 1.1, 2.1 (and 3.4), 4.0 and 5.0, as observed with h5py."""
    strings = isinstance(value, list)
    with h5py.File(path, "w") as file:
        if version == 1:
            file["data"] = np.array(value, "S") if strings else value
            file["type"] = [b"list" if strings else b"ndarray"]
        elif version == 2:
            file.attrs.update({"CLASS": "hickle", "VERSION": 3, "type": ["hickle"]})
            file["data_0"] = np.array(value, "S") if strings else value
            file["data_0"].attrs["type"] = ["<type 'list'>" if strings else "ndarray"]
        elif version == 4:
            file.attrs.update({"HICKLE_VERSION": "4.0.4", "HICKLE_PYTHON_VERSION": "3.7.5"})
            file["data"] = value
            file["data"].attrs["base_type"] = b"list" if strings else b"ndarray"
        else:
            file.attrs.update({"HICKLE_VERSION": "5.0.3", "HICKLE_PYTHON_VERSION": "3.11.7"})
            if not isinstance(value, list):
                file["data"] = value
                return
            group = file.create_group("data")
            group.attrs["num_items"] = len(value)
            first: dict[str, h5py.Dataset] = {}
            for i, text in enumerate(value):
                if text in first:  # an object that was written before is a reference to it
                    group.create_dataset(f"data{i}", data=first[text].ref, dtype=h5py.ref_dtype)
                else:
                    letters = np.frombuffer(text.encode(), "S1")[None]  # (1, letters)
                    first[text] = group.create_dataset(f"data{i}", data=letters)


DRIVES = ["city-2011_09_26_drive_0001_sync"] * 3 + ["road-2011_09_26_drive_0015_sync"] * 9
AGAIN = "city-2011_09_26_drive_0001_sync"


@pytest.mark.parametrize("version", [1, 2, 4, 5])
def test_prednet_hickle_is_cut_where_the_drive_changes(tmp_path: Path, version: int) -> None:
    frames = noise(version, 14, 6, 8)
    write_hickle(tmp_path / "X_train.hkl", frames, version)
    write_hickle(tmp_path / "sources_train.hkl", [*DRIVES, AGAIN, AGAIN], version)
    for part in ("val", "test"):
        write_hickle(tmp_path / f"X_{part}.hkl", frames[:2], version)
        write_hickle(tmp_path / f"sources_{part}.hkl", [f"city-{part}"] * 2, version)
    sources = found(tmp_path)
    assert labels(sources) == {
        "X_test.hkl:city-test": ("city", "city-test", "test"),
        f"X_train.hkl:{DRIVES[0]}": ("city", DRIVES[0], "train"),
        f"X_train.hkl:{DRIVES[0]}~2": ("city", DRIVES[0], "train"),
        f"X_train.hkl:{DRIVES[3]}": ("road", DRIVES[3], "train"),
    }
    spans = {name: slice(source.start, source.end) for name, source in sources.items()}
    assert spans[f"X_train.hkl:{DRIVES[3]}"] == slice(3, 12)
    assert spans[f"X_train.hkl:{DRIVES[0]}~2"] == slice(12, 14)
    for name in (f"X_train.hkl:{DRIVES[3]}", f"X_train.hkl:{DRIVES[0]}~2"):
        (clip,) = read(tmp_path, sources[name])
        np.testing.assert_array_equal(clip.frames, frames[spans[name]])
        assert clip.fps == 10.0
    assert len(found(tmp_path, "prednet-hickle:val=train")) == 5


def test_hickle_files_with_other_content_or_with_links_are_refused(tmp_path: Path) -> None:
    write_hickle(tmp_path / "X_test.hkl", noise(0, 3, 6, 8)[..., :2], 2)
    write_hickle(tmp_path / "sources_test.hkl", ["a", "a", "a"], 2)
    (source,) = found(tmp_path).values()
    with pytest.raises(SourceError, match=r"wrong-hickle: .*uint8 \(3, 6, 8, 2\); expected frames"):
        read(tmp_path, source)
    with h5py.File(tmp_path / "X_test.hkl", "w") as file:
        file["data_0"] = h5py.ExternalLink("secret.h5", "/x")
    with pytest.raises(SourceError, match="data_0 is a link"):
        read(tmp_path, source)
    with h5py.File(tmp_path / "X_test.hkl", "w") as file:  # a wrong header; none of this is allocated
        file.create_dataset("data_0", (3, 1 << 15, 1 << 15, 3), np.uint8, chunks=(1, 64, 64, 3))
    with pytest.raises(SourceError, match="32768x32768 pixels; accepted"):
        read(tmp_path, source)
    with h5py.File(tmp_path / "X_test.hkl", "w") as file:
        file.create_dataset("data_0", (3, 1 << 14, 1 << 12, 3), np.uint8, chunks=(3, 1 << 14, 1 << 12, 3))
    with pytest.raises(SourceError, match="data_0 has chunks of"):
        read(tmp_path, source)
    put(tmp_path / "X_test.hkl", b"\x89HDF\r\n\x1a\n damaged")
    with pytest.raises(SourceError, match="wrong-hickle: not a readable hickle file"):
        read(tmp_path, source)
    write_hickle(tmp_path / "X_test.hkl", noise(0, 2, 6, 8), 4)  # fewer frames than drives
    with pytest.raises(SourceError, match="too-short: 2 frames, .*0 to 3"):
        read(tmp_path, source)
    put(tmp_path / "sources_test.hkl", b"text")
    with pytest.raises(DataError, match="sources_test.hkl: not a readable hickle file"):
        found(tmp_path)


# ---------------------------------------------------------------- Caltech Pedestrian


def jpeg_of(level: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.full((8, 16, 3), level, np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def norpix_bytes(levels: list[int], *, extra: bytes = b"\0\1\2\3\4\5\6\7", frames: int | None = None) -> bytes:
    """A Norpix file: 1024-byte header, then size, JPEG and timestamp of every frame."""
    header = bytearray(1024)
    header[0:4] = bytes.fromhex("edfe0000")
    header[4:24] = b"N\0o\0r\0p\0i\0x\0 \0s\0e\0q\0"
    struct.pack_into("<iI", header, 28, 3, 1024)
    struct.pack_into("<9I", header, 548, 16, 8, 24, 8, 384, 201, len(levels) if frames is None else frames, 0, 400)
    struct.pack_into("<d", header, 584, 30.0)
    body = b""
    for level in levels:
        picture = jpeg_of(level)
        body += struct.pack("<I", len(picture) + 4) + picture + extra
    return bytes(header) + body


LEVELS = [10, 60, 110, 160, 210, 250, 30]


def levels_of(frames: np.ndarray) -> list[int]:
    """The grey level of every frame; the JPEG error of a uniform image is at most 1."""
    return [min(LEVELS, key=lambda level: abs(level - mean)) for mean in frames.mean(axis=(1, 2, 3))]


@pytest.mark.parametrize("extra", [8, 16, 6])
def test_caltech_sequences_are_read_frame_by_frame(tmp_path: Path, extra: int) -> None:
    put(tmp_path / "set05" / "V001.seq", norpix_bytes(LEVELS, extra=bytes(range(1, extra + 1))))
    put(tmp_path / "set06" / "V000.seq", norpix_bytes(LEVELS, extra=bytes(extra), frames=0))
    put(tmp_path / "annotations" / "set06" / "V000.vbb", b"matlab")
    sources = found(tmp_path)
    assert labels(sources) == {
        "set05/V001.seq": (None, "set05/V001", "train"),
        "set06/V000.seq": (None, "set06/V000", "test"),
    }
    for source in sources.values():
        (clip,) = read(tmp_path, source)
        assert clip.frames.shape == (7, 8, 16, 3) and clip.fps == 30.0
        assert levels_of(clip.frames) == LEVELS
    (third,) = read(tmp_path, sources["set06/V000.seq"], every=3)  # 30 -> 10 fps: frames 0, 3, 6
    assert levels_of(third.frames) == [10, 160, 30] and third.fps == 10.0
    (tenth,) = read(tmp_path, sources["set06/V000.seq"], fps=10.0)
    np.testing.assert_array_equal(tenth.frames, third.frames)


def test_caltech_wrong_sizes_fall_back_to_markers_and_damage_is_reported(tmp_path: Path) -> None:
    data = bytearray(norpix_bytes(LEVELS))
    first = struct.unpack_from("<I", data, 1024)[0]
    struct.pack_into("<I", data, 1024 + first + 8, 7)  # the second frame's size
    put(tmp_path / "set06" / "V000.seq", bytes(data))
    put(tmp_path / "set06" / "V001.seq", norpix_bytes(LEVELS)[:-300])
    put(tmp_path / "set06" / "V002.seq", b"no header" + bytes(2000))
    sources = found(tmp_path)
    assert levels_of(read(tmp_path, sources["set06/V000.seq"])[0].frames) == LEVELS
    (cut,) = read(tmp_path, sources["set06/V001.seq"])
    assert levels_of(cut.frames) == LEVELS[:-1] and cut.notes == ("fewer-frames-than-announced",)
    with pytest.raises(SourceError, match="wrong-sequence: not a Norpix sequence"):
        read(tmp_path, sources["set06/V002.seq"])


def test_caltech_sets_as_tars(tmp_path: Path) -> None:
    write_tar(tmp_path / "set07.tar", {"set07/V003.seq": norpix_bytes(LEVELS)}, "w")
    ((name, source),) = found(tmp_path).items()
    assert (name, source.group, source.split) == ("set07.tar/set07/V003.seq", "set07/V003", "test")
    assert levels_of(read(tmp_path, source)[0].frames) == LEVELS


# ---------------------------------------------------------------- Cityscapes


def test_cityscapes_snippets_are_cut_by_number_and_after_thirty_frames(tmp_path: Path) -> None:
    frame = png_bytes_of(noise(0, 1, 2, 4)[0])

    def put_frames(split: str, city: str, sequence: int, numbers: range) -> None:
        for number in numbers:
            name = f"{city}_{sequence:06d}_{number:06d}_leftImg8bit.png"
            put(tmp_path / "leftImg8bit_sequence" / split / city / name, frame)

    put_frames("train", "aachen", 0, range(30))
    put_frames("train", "aachen", 1, range(30))
    put_frames("train", "hamburg", 0, range(40, 100))  # two snippets that touch
    put_frames("train", "hamburg", 0, range(130, 160))
    put_frames("val", "frankfurt", 0, range(275, 305))
    put_frames("test", "berlin", 0, range(30))
    sources = found(tmp_path)
    base = "leftImg8bit_sequence/"
    assert labels(sources) == {
        f"{base}train/aachen/aachen_000000_000000": ("aachen", "aachen_000000", "train"),
        f"{base}train/aachen/aachen_000001_000000": ("aachen", "aachen_000001", "train"),
        f"{base}train/hamburg/hamburg_000000_000040": ("hamburg", "hamburg_000000", "train"),
        f"{base}train/hamburg/hamburg_000000_000070": ("hamburg", "hamburg_000000", "train"),
        f"{base}train/hamburg/hamburg_000000_000130": ("hamburg", "hamburg_000000", "train"),
        f"{base}val/frankfurt/frankfurt_000000_000275": ("frankfurt", "frankfurt_000000", "test"),
    }
    assert {len(source.files) for source in sources.values()} == {30}
    for source in sources.values():
        numbers = [int(name.split("_")[-2]) for name in source.files]
        assert all(after == before + 1 for before, after in pairwise(numbers))
    official = labels(found(tmp_path, "cityscapes:val=out,test=test"))
    assert official[f"{base}test/berlin/berlin_000000_000000"][2] == "test" and len(official) == 6


def test_plain_disables_recognition_and_mixed_folders_are_not_recognised(tmp_path: Path) -> None:
    put_drive(tmp_path, "0104", 0)
    assert set(found(tmp_path, "plain")) == {drive_folder("0104", camera) for camera in ("image_02", "image_03")}
    np.save(tmp_path / "other.npy", noise(1))
    assert npy_bytes(noise(1)) == (tmp_path / "other.npy").read_bytes()
    put_images(tmp_path / "holiday", ["a1.png", "a2.png"], noise(2, 2))
    assert {source.split for source in found(tmp_path).values()} == {None}
    assert len(found(tmp_path)) == 4
    assert len(found(tmp_path, "kitti-raw")) == 1  # when it is named, the rest is left alone


@pytest.mark.parametrize(
    "name",
    [
        "JPEGImages/480p/bear/00000.jpg",
        "sequences/00001/0001/im1.png",
        "set06/V000.seq",
        "mnist_test_seq.npy",
        "train/traj_0_to_1.tfrecords",
        "sky_train/a/a_1/0.jpg",
        "v_YoYo_g01_c01.avi",
        "daria_walk.avi",
        "person01_walking_d1_uncomp.avi",
        "train/a#1#2.mp4",
    ],
)
def test_an_unrelated_video_disables_recognition(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, png_bytes_of(noise(0, 1)[0]))
    assert any("recognised layout" in notice for notice in list_layout(tmp_path).notices)
    put(tmp_path / "holiday" / "beach.mp4")
    result = list_layout(tmp_path)
    assert result.notices == () and "holiday/beach.mp4" in {source.name for source in result.sources}
