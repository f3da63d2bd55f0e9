"""A truncated file is never read as a shorter video."""

from pathlib import Path

import numpy as np
import pytest
from video_files import encode, textured_frames

from vidgan.video.decode import VideoError, read_frames
from vidgan.video.truncation import missing_bytes

# name -> codec, pixel format, container options
KINDS = {
    "plain.mp4": ("libx264", "yuv420p", {}),
    "fast_start.mp4": ("libx264", "yuv420p", {"movflags": "+faststart"}),
    "motion_jpeg.mov": ("mjpeg", "yuvj420p", {}),
    "plain.mkv": ("libx264", "yuv420p", {}),
    "plain.webm": ("libvpx-vp9", "yuv420p", {}),
    "plain.avi": ("mpeg4", "yuv420p", {}),
    "plain.gif": ("gif", "rgb8", {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_truncated_file_is_refused_or_read_completely(name: str, tmp_path: Path) -> None:
    codec, pix_fmt, options = KINDS[name]
    whole = encode(tmp_path / name, textured_frames(20), codec, pix_fmt=pix_fmt, container_options=options)
    assert missing_bytes(whole) == 0
    data, frames = whole.read_bytes(), read_frames(whole)
    cut = tmp_path / f"cut{whole.suffix}"
    reasons = []
    for length in np.linspace(1, len(data) - 1, 30).astype(int):
        cut.write_bytes(data[:length])
        try:
            assert (read_frames(cut) == frames).all()  # only data after the last frame are missing
        except VideoError as error:
            reasons.append(error.reason)
    assert len(reasons) >= 15
    assert reasons.count("truncated") >= len(reasons) - 3  # a file cut in its first bytes is not recognised as a video


def test_the_missing_bytes_are_counted(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.mp4", textured_frames(5)).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[:-100])
    assert missing_bytes(cut) == 100
    with pytest.raises(VideoError, match="100 bytes") as caught:
        read_frames(cut)
    assert caught.value.reason == "truncated"


def test_junk_after_the_end_is_ignored(tmp_path: Path) -> None:
    for name in ("plain.mp4", "plain.avi", "plain.gif", "plain.mkv"):
        codec, pix_fmt, _ = KINDS[name]
        path = encode(tmp_path / name, textured_frames(5), codec, pix_fmt=pix_fmt)
        frames = read_frames(path)
        for junk in (b"\0" * 100, b"<html>appended by a server</html>"):
            longer = tmp_path / f"longer{path.suffix}"
            longer.write_bytes(path.read_bytes() + junk)
            assert missing_bytes(longer) == 0, (name, junk)
            if path.suffix != ".mkv":
                assert (read_frames(longer) == frames).all()


def test_live_recordings_without_a_length_are_read(tmp_path: Path) -> None:
    frames = textured_frames(5)
    live = encode(tmp_path / "live.mkv", frames, container_options={"live": "1"})
    assert missing_bytes(live) == 0
    assert len(read_frames(live)) == 5
    avi = bytearray(encode(tmp_path / "a.avi", frames, "mpeg4").read_bytes())
    for length in (0, 0xFFFFFFFF):
        avi[4:8] = length.to_bytes(4, "little")
        (tmp_path / "b.avi").write_bytes(avi)
        assert missing_bytes(tmp_path / "b.avi") == 0


def test_mp4_boxes_with_64_bit_and_open_lengths(tmp_path: Path) -> None:
    def box(kind: bytes, body: bytes) -> bytes:
        return (8 + len(body)).to_bytes(4, "big") + kind + body

    start = box(b"ftyp", b"isom" + bytes(4))
    long = (1).to_bytes(4, "big") + b"mdat" + (16 + 50).to_bytes(8, "big") + bytes(50)
    path = tmp_path / "a.mp4"
    for data, missing in (
        (start + long, 0),
        (start + long[:-7], 7),
        (start + bytes(4) + b"mdat" + bytes(9), 0),  # to the end of the file
        (start + box(b"moov", bytes(20)) + box(b"free", bytes(50))[:-20], 0),  # padding may be truncated
        (start + box(b"moov", bytes(20))[:-1], 1),
        (start + b"\0\0\0", 5),  # the beginning of another box
    ):
        path.write_bytes(data)
        assert missing_bytes(path) == missing
