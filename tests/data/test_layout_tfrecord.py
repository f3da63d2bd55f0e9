"""BAIR's TFRecords: framing, checksums and protobuf Examples."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise
from layoutfiles import found, labels, put, read
from tensorboard.summary.writer.record_writer import RecordWriter

from vidgan.data.sources.readers import ReadSettings, read_source
from vidgan.data.sources.tfrecords import crc32c, example_bytes, masked_crc32c, records
from vidgan.errors import DataError, SourceError


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def example(frames: np.ndarray, camera: str = "image_aux1") -> bytes:
    """An Example as in softmotion30_44k: raw pixels, and actions as packed floats, in arbitrary order."""
    entries = b""
    for t in reversed(range(len(frames))):
        pixels = field(1, field(1, frames[t].tobytes()))  # Feature.bytes_list.value
        entries += field(1, field(1, f"{t}/{camera}/encoded".encode()) + field(2, pixels))
        action = field(2, field(1, struct.pack("<4f", 0.1, 0.2, 0.3, t)))  # Feature.float_list.value
        entries += field(1, field(1, f"{t}/action".encode()) + field(2, action))
    return field(1, entries)


def framed(*payloads: bytes) -> bytes:
    """A TFRecord file, written by TensorBoard's writer."""
    file = BytesIO()
    writer = RecordWriter(file)
    for payload in payloads:
        writer.write(payload)
    return file.getvalue()


CLIPS = [noise(seed, 30, 64, 64) for seed in range(3)]


def test_bair_trajectories_of_train_and_test(tmp_path: Path) -> None:
    base = tmp_path / "softmotion30_44k"
    put(base / "train" / "traj_0_to_1.tfrecords", framed(example(CLIPS[0]), example(CLIPS[1])))
    put(base / "test" / "traj_0_to_0.tfrecords", framed(example(CLIPS[2])))
    sources = found(tmp_path)
    assert labels(sources) == {
        "softmotion30_44k/test/traj_0_to_0.tfrecords": (None, None, "test"),
        "softmotion30_44k/train/traj_0_to_1.tfrecords": (None, None, "train"),
    }
    first, second = read(tmp_path, sources["softmotion30_44k/train/traj_0_to_1.tfrecords"])
    np.testing.assert_array_equal(first.frames, CLIPS[0])
    np.testing.assert_array_equal(second.frames, CLIPS[1])
    assert (first.label, second.label) == ("#0", "#1")
    (small,) = read(tmp_path, sources["softmotion30_44k/test/traj_0_to_0.tfrecords"], size=(32, 32))
    assert small.frames.shape == (30, 32, 32, 3)
    main = found(tmp_path, "bair:camera=image_main")
    with pytest.raises(SourceError, match="record 0: .*0/image_main/encoded .*0/image_aux1/encoded"):
        read(tmp_path, next(iter(main.values())))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (3, "record 1: checksum mismatch of its length"),
        (10, "record 1: checksum mismatch of its length"),
        (5000, "record 1: checksum mismatch"),
        (-1, "record 1: checksum mismatch"),
    ],
)
def test_a_flipped_bit_is_refused_and_previous_records_are_kept(tmp_path: Path, place: int, message: str) -> None:
    good = framed(example(CLIPS[0]))
    data = bytearray(framed(example(CLIPS[0]), example(CLIPS[1])))
    data[len(good) + place if place >= 0 else place] ^= 0x10
    put(tmp_path / "traj_0_to_1.tfrecords", bytes(data))
    ((_, source),) = found(tmp_path).items()
    settings = ReadSettings(size=None, fit="squash", fps=None, strip_frame=None)
    clips = read_source(source, [tmp_path / source.files[0]], settings)
    np.testing.assert_array_equal(next(clips).frames, CLIPS[0])
    with pytest.raises(SourceError, match=f"wrong-record: {message}"):
        next(clips)


def test_truncated_records_and_wrong_lengths_are_refused() -> None:
    data = framed(b"payload")
    assert list(records(BytesIO(data))) == [b"payload"]
    for end in (5, 14, len(data) - 2):
        with pytest.raises(DataError, match="record 0 is truncated"):
            list(records(BytesIO(data[:end])))
    head = struct.pack("<Q", 1 << 40)
    with pytest.raises(DataError, match="record 0 has 1099511627776 bytes"):
        list(records(BytesIO(head + struct.pack("<I", masked_crc32c(head)))))


def test_invalid_examples_are_refused() -> None:
    assert example_bytes(b"") == {}
    assert bytes(example_bytes(field(1, field(1, field(1, b"k") + field(2, field(1, field(1, b"v"))))))["k"]) == b"v"
    assert example_bytes(b"\x08\x01\x15\0\0\0\0\x19" + bytes(8)) == {}  # numbers, which are passed over
    for broken in (b"\x0a\xff", b"\x0a", b"\xff" * 12, b"\x0b"):
        with pytest.raises(DataError, match="not a protobuf Example"):
            example_bytes(broken)


def test_checksums() -> None:
    # RFC 3720, B.4, and the check value of CRC-32C
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert masked_crc32c(b"") == 0xA282EAD8


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_003])
def test_checksums_by_lanes_equal_those_byte_by_byte(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    crc = 0xFFFFFFFF
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    assert crc32c(data) == crc ^ 0xFFFFFFFF
