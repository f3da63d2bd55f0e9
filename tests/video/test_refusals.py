"""Files that are not videos, or must not be opened, are refused with path and reason."""

import os
import pickle
import resource
import socket
import struct
import time
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import counting_frames, encode, encode_sound, textured_frames

from vidgan.video.container import REASONS
from vidgan.video.decode import VideoError, probe, read_frames, read_video


def reason(path: Path | str) -> str:
    """Reason for which the file is refused, after checking that the message names the file."""
    with pytest.raises(VideoError) as caught:
        read_frames(path)
    error = caught.value
    assert isinstance(error, ValueError)
    assert str(error).startswith(str(Path(path)))
    assert error.reason in REASONS
    with pytest.raises(VideoError) as again:
        probe(path)
    assert again.value.reason == error.reason
    return error.reason


def test_missing_and_irregular_files(tmp_path: Path) -> None:
    assert reason(tmp_path / "none.mp4") == "missing"
    assert reason(tmp_path) == "not-a-regular-file"
    assert reason("/dev/zero") == "not-a-regular-file"
    assert reason("a\0b") == "unreadable"
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    assert reason(loop) == "unreadable"
    dangling = tmp_path / "dangling.mp4"
    dangling.symlink_to(tmp_path / "none.mp4")
    assert reason(dangling) == "missing"


def test_a_link_to_a_video_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(encode(tmp_path / "a.mp4", counting_frames(3)))
    assert probe(link).frames == 3


def test_a_pipe_is_refused_without_blocking(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    started = time.monotonic()
    assert reason(pipe) == "not-a-regular-file"
    assert time.monotonic() - started < 1


def test_files_that_are_not_videos(tmp_path: Path) -> None:
    cases = {
        "empty.mp4": (b"", "empty-file"),
        "text.mp4": (b"not a video at all\n" * 50, "not-a-video"),
        "page.mp4": (b"<!DOCTYPE html><html><body>404</body></html>", "not-a-video"),
        "noise.avi": (np.random.default_rng(0).bytes(5000), "not-a-video"),
    }
    for name, (data, expected) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert reason(tmp_path / name) == expected, name


def test_audio_alone_is_not_a_video(tmp_path: Path) -> None:
    assert reason(encode_sound(tmp_path / "sound.mp4")) == "no-video-stream"


def test_a_video_without_frames(tmp_path: Path) -> None:
    for name in ("none.mp4", "none.avi"):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            container.start_encoding()
        assert reason(tmp_path / name) in {"no-frames", "no-video-stream"}


def test_playlists_and_addresses_open_nothing_else(tmp_path: Path) -> None:
    """Neither a server nor a neighbouring video may be accessed."""
    encode(tmp_path / "a.ts", counting_frames(5), container="mpegts")
    encode(tmp_path / "a.mp4", counting_frames(5))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        address = f"http://127.0.0.1:{port}/a.mp4"
        playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
        texts = {
            "local.m3u8": playlist.format("a.ts"),
            "remote.m3u8": playlist.format(address),
            "playlist.mp4": playlist.format(address),
            "concat.mp4": "ffconcat version 1.0\nfile a.mp4\n",
            "concat.txt": f"ffconcat version 1.0\nfile {address}\n",
            "session.sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
            "manifest.mpd": f'<?xml version="1.0"?><MPD><BaseURL>{address}</BaseURL></MPD>',
        }
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            assert reason(tmp_path / name) == "not-a-video", name
        for path in (
            address,
            f"concat:{tmp_path}/a.mp4",
            f"subfile,,start,0,end,9,,:{tmp_path}/a.mp4",
            "lavfi:testsrc",
        ):
            assert reason(path) == "missing", path
        with pytest.raises(BlockingIOError):
            server.accept()


def test_codecs_and_containers_not_on_the_list(tmp_path: Path) -> None:
    assert reason(encode(tmp_path / "a.avi", counting_frames(3), "wmv2")) == "codec-not-allowed"
    assert reason(encode(tmp_path / "a.wmv", counting_frames(3), "wmv2", container="asf")) == "not-a-video"


def test_huge_frames_are_refused_before_decoding(tmp_path: Path) -> None:
    # A GIF of 44 bytes with 400 million pixels.
    head = b"GIF89a" + struct.pack("<HH", 20000, 20000) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    bomb = tmp_path / "bomb.gif"
    bomb.write_bytes(head + b"\x2c" + struct.pack("<HHHH", 0, 0, 20000, 20000) + b"\0\x02\x02\x44\x01\0\x3b")
    with pytest.raises(VideoError, match="33177600 pixels"):
        probe(bomb)
    # A header with 20000x16000 pixels for small frames.
    data = encode(tmp_path / "a.avi", counting_frames(3), "ffv1", pix_fmt="bgr0").read_bytes()
    place = data.index(b"strf") + 12
    assert struct.unpack_from("<ii", data, place) == (64, 48)
    false = tmp_path / "false.avi"
    false.write_bytes(data[:place] + struct.pack("<ii", 20000, 16000) + data[place + 8 :])
    assert reason(false) in {"too-many-pixels", "corrupt"}


def test_frames_of_two_sizes(tmp_path: Path) -> None:
    large = encode(tmp_path / "large.h264", counting_frames(5, 48, 64), container="h264")
    small = encode(tmp_path / "small.h264", counting_frames(5, 32, 48), container="h264")
    both = tmp_path / "both.h264"
    both.write_bytes(large.read_bytes() + small.read_bytes())
    with pytest.raises(VideoError, match="frame 5 .*48x32.*64x48") as caught:
        read_frames(both, size=(16, 16))
    assert caught.value.reason == "size-changes"


def test_an_error_can_be_pickled(tmp_path: Path) -> None:
    with pytest.raises(VideoError) as caught:
        probe(tmp_path / "none.mp4")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.path, copy.reason, str(copy)) == (tmp_path / "none.mp4", "missing", str(caught.value))


def test_nothing_stays_open(tmp_path: Path) -> None:
    good = encode(tmp_path / "good.mp4", counting_frames(8))
    cut = tmp_path / "cut.ts"
    data = encode(tmp_path / "whole.ts", textured_frames(8)).read_bytes()
    cut.write_bytes(data[:1000] + bytes(400) + data[1400:])
    sound = encode_sound(tmp_path / "sound.mp4")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        read_frames(good)
        read_frames(good, max_frames=1)
        read_frames(good, fps=5, max_frames=2)
        for bad in (cut, sound):
            with pytest.raises(VideoError):
                probe(bad)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # fewer if garbage was collected


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "gif", "mpg"])
def test_damaged_files_are_read_correctly_or_refused(suffix: str, tmp_path: Path) -> None:
    codec, pix_fmt = {
        "avi": ("mpeg4", "yuv420p"),
        "gif": ("gif", "rgb8"),
        "mpg": ("mpeg2video", "yuv420p"),
    }.get(suffix, ("libx264", "yuv420p"))
    data = encode(tmp_path / f"whole.{suffix}", textured_frames(24), codec, pix_fmt=pix_fmt).read_bytes()
    damaged = tmp_path / f"damaged.{suffix}"
    rng = np.random.default_rng(len(suffix) + ord(suffix[0]))
    refused = 0
    for case in range(40):
        copy = np.frombuffer(data, np.uint8).copy()
        reach = len(copy) if case % 2 else 600  # in every other case only the headers
        places = rng.integers(0, min(reach, len(copy)), rng.integers(1, 32))
        copy[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
        damaged.write_bytes(copy.tobytes())
        try:
            video = read_video(damaged, size=(16, 16), fps=None if case % 4 < 2 else 10.0)
        except VideoError as error:
            assert error.reason in REASONS
            refused += 1
            continue
        assert video.frames.shape[1:] == (16, 16, 3)
        assert len(video.times) == len(video.frames)
        assert np.isfinite(video.times).all()
        assert (np.diff(video.times) >= 0).all()
    assert refused >= 4


def test_false_numbers_in_headers_do_no_harm(tmp_path: Path) -> None:
    """Two billion frames and a duration of weeks: only decoded frames are counted and allocated."""
    path = encode(tmp_path / "a.mp4", counting_frames(24))
    data = bytearray(path.read_bytes())
    for box, place in (("stts", 12), ("mvhd", 20), ("mdhd", 20), ("tkhd", 24)):  # sample count, durations
        start = data.index(box.encode()) + place
        data[start : start + 4] = b"\x7f\xff\xff\xff"
    bomb = tmp_path / "bomb.mp4"
    bomb.write_bytes(data)
    with av.open(str(bomb)) as container:
        announced = container.streams.video[0]
        assert announced.frames > 2**30 or (announced.duration or 0) > 2**30
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    video = read_video(bomb, size=(16, 16))
    assert len(video.frames) == 24
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # kB


def test_a_huge_frame_is_refused_before_memory_is_allocated(tmp_path: Path) -> None:
    """36 million grey pixels in a small file, 108 MB as RGB."""
    path = tmp_path / "huge.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 9000, 4000, "gray"
        frame = av.VideoFrame(9000, 4000, "gray")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason(path) in {"too-many-pixels", "corrupt"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # kB


def test_an_unknown_codec(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.avi", counting_frames(3), "mpeg4").read_bytes()
    unknown = tmp_path / "unknown.avi"
    unknown.write_bytes(data.replace(b"FMP4", b"Zq9!"))
    assert reason(unknown) == "codec-not-allowed"


def test_transparency_is_ignored(tmp_path: Path) -> None:
    opaque = read_frames(encode(tmp_path / "a.mov", textured_frames(3), "prores_ks", pix_fmt="yuv444p10le"))
    with av.open(str(tmp_path / "b.mov"), "w") as output:
        stream = output.add_stream("prores_ks", rate=25, options={"profile": "4444"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuva444p10le"
        for pixels in textured_frames(3):
            rgba = np.concatenate([pixels, np.full((48, 64, 1), 60, np.uint8)], -1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        output.mux(stream.encode())
    assert np.abs(read_frames(tmp_path / "b.mov").astype(int) - opaque).mean() < 4


def test_the_decoders_are_recent() -> None:
    """FFmpeg 8.1.2 fixes exploitable vulnerabilities (CVE-2026-8461, CVE-2026-40962)."""
    assert av.library_versions["libavcodec"] >= (62, 28, 102)
