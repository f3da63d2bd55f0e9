"""Moving MNIST: the published test file, and clips generated from IDX digits."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from layoutfiles import found, put, read

from vidgan.data.sources.idx_files import read_idx_images
from vidgan.data.synthetic.moving_digits import draw_moving_digits, trajectory
from vidgan.errors import DataError, SourceError


def idx_bytes(images: np.ndarray) -> bytes:
    """An IDX file: zeros, type 8 (unsigned byte), 3 dimensions, big-endian sizes, pixels."""
    return b"\0\0\x08\x03" + struct.pack(">3I", *images.shape) + images.tobytes()


def digits(count: int, low: int) -> np.ndarray:
    """28x28 images; image i is uniform grey of level low + i."""
    return np.broadcast_to((low + np.arange(count, dtype=np.uint8))[:, None, None], (count, 28, 28)).copy()


def npy_of(array: np.ndarray) -> bytes:
    """A .npy file of version 1.0."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {array.shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes()


def test_the_published_test_file_is_time_first(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (20, 5, 8, 8), dtype=np.uint8)
    put(tmp_path / "mnist_test_seq.npy", npy_of(array))
    (source,) = found(tmp_path).values()
    assert source.split == "test"
    clips = read(tmp_path, source)
    assert [clip.label for clip in clips] == ["#0", "#1", "#2", "#3", "#4"]
    for n, clip in enumerate(clips):
        assert clip.frames.shape == (20, 8, 8, 3)
        for channel in range(3):
            np.testing.assert_array_equal(clip.frames[..., channel], array[:, n])


def test_training_clips_use_the_digits_beside_the_test_file(tmp_path: Path) -> None:
    put(tmp_path / "mnist_test_seq.npy", npy_of(np.ones((20, 2, 64, 64), np.uint8)))
    with pytest.raises(DataError, match="clips has no effect without train-images-idx3-ubyte"):
        found(tmp_path, "moving-mnist:clips=251")
    put(tmp_path / "train-images-idx3-ubyte.gz", gzip.compress(idx_bytes(digits(10, 100))))
    sources = found(tmp_path, "moving-mnist:clips=251,frames=12")
    assert [(name, source.split) for name, source in sources.items()] == [
        ("mnist_test_seq.npy", "test"),
        ("train-images-idx3-ubyte.gz:train:0-249", "train"),
        ("train-images-idx3-ubyte.gz:train:250-250", "train"),
    ]
    (clip,) = read(tmp_path, sources["train-images-idx3-ubyte.gz:train:250-250"])
    assert clip.label == "#250" and clip.frames.shape == (12, 64, 64, 3)
    again = draw_moving_digits(digits(10, 100), 12, 2, (0, "train", 250))
    np.testing.assert_array_equal(clip.frames[..., 1], again)
    other = draw_moving_digits(digits(10, 100), 12, 2, (1, "train", 250))
    assert (other != again).any()


@pytest.mark.parametrize("both", [True, False])
def test_no_digit_is_in_training_and_test_clips(tmp_path: Path, both: bool) -> None:
    put(tmp_path / "train-images-idx3-ubyte", idx_bytes(digits(100, 50)))
    if both:
        put(tmp_path / "t10k-images-idx3-ubyte.gz", gzip.compress(idx_bytes(digits(50, 200))))
    border = 200 if both else 130  # the first four fifths of 100 digits from level 50 on
    sources = found(tmp_path, "mnist-idx:clips=30,test_clips=20,frames=3,digits=1")
    assert len(sources) == 2
    for source in sources.values():
        levels = {int(clip.frames.max()) for clip in read(tmp_path, source)}
        assert len(levels) > 8
        assert all((level < border) == (source.split == "train") for level in levels)


def test_a_point_moves_by_a_tenth_of_the_range_and_bounces_at_the_wall() -> None:
    assert trajectory(0.55, 1.0, 8, 36) == [23, 27, 30, 34, 36, 32, 28, 25]
    assert trajectory(0.17, -0.5, 5, 36) == [4, 2, 0, 0, 1]
    assert trajectory(0.25, 0.0, 3, 36) == [9, 9, 9]


def test_overlapping_digits_are_merged_by_their_maximum() -> None:
    images = digits(2, 100)
    clip = draw_moving_digits(images, 20, 3, ("x",))
    assert clip.shape == (20, 64, 64) and set(np.unique(clip)) <= {0, 100, 101}
    area = (clip == 101).sum(axis=(1, 2))
    if (clip == 101).any():  # a brighter digit is never hidden by a darker one
        assert area.min() >= 28 * 28
    assert (clip > 0).sum(axis=(1, 2)).min() >= 28 * 28


def test_invalid_digit_files_are_refused(tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte"
    for content, message in (
        (struct.pack(">2I", 0x00000801, 5) + bytes(20), "starts with 0x00000801"),  # labels
        (idx_bytes(digits(3, 0))[:-1], "2351 of 2352 bytes"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**15, 2**15), "accepted: 1 to"),
        (b"", "not an IDX file"),
        (gzip.compress(b"x" * 100)[:-20], "not an IDX file"),
        (gzip.compress(idx_bytes(digits(3, 0)))[:-8] + bytes(8), "CRC check failed"),
        (idx_bytes(digits(3, 0)) + b"x", "after its 3 images"),
    ):
        with pytest.raises(DataError, match=message):
            read_idx_images(content)
    put(tmp_path / name, b"no digits, sixteen and more bytes")
    source = next(iter(found(tmp_path, "mnist-idx:clips=1,test_clips=1").values()))
    assert json.loads(source.recipe)["split"] in ("train", "test")
    with pytest.raises(SourceError, match="wrong-digits"):
        read(tmp_path, source)
    with pytest.raises(DataError, match="layout mnist-idx: clips is '0'"):
        found(tmp_path, "mnist-idx:clips=0")


def test_the_real_digits(shared_data: Path) -> None:
    images = read_idx_images(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    assert images.shape == (10000, 28, 28)
    assert int(images[0].sum()) == 18454  # the first test digit, a 7
    sources = found(shared_data / "mnist", "mnist-idx:clips=2,test_clips=1")
    train = next(source for source in sources.values() if source.split == "train")
    first, second = read(shared_data / "mnist", train)
    assert first.frames.shape == (20, 64, 64, 3) and (first.frames != second.frames).any()
