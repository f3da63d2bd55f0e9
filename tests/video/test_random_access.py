"""Random access yields the same frames as decoding from the start, in every container and codec."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import counting_frames, encode, encode_sound, frame_numbers, textured_frames

from vidgan.errors import VideoError
from vidgan.video.decode import read_frames, read_video
from vidgan.video.random_access import Cursor, VideoIndex, VideoReader, index_video

COUNT = 40

# name -> codec, pixel format, encoder options, container options, minimum number of entry points
KINDS = {
    "closed.mp4": ("libx264", "yuv420p", {"bf": "3", "g": "10"}, {}, 4),
    "open_gop.mp4": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=10:bframes=3:b-pyramid=normal"}, {}, 4),
    "open_gop.ts": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=10:bframes=3"}, {}, 1),
    "intra_refresh.mkv": ("libx264", "yuv420p", {"x264-params": "intra-refresh=1:keyint=10"}, {}, 1),
    "no_index.mp4": ("libx264", "yuv420p", {"g": "10"}, {"movflags": "+frag_keyframe+empty_moov"}, 1),
    "no_index.mkv": ("libx264", "yuv420p", {"g": "10"}, {"live": "1"}, 1),
    "interlaced.mp4": ("libx264", "yuv420p", {"flags": "+ildct+ilme", "g": "10"}, {}, 4),
    "ten_bit.mkv": ("libx264", "yuv420p10le", {"g": "10"}, {}, 4),
    "raw.h264": ("libx264", "yuv420p", {"g": "10"}, {}, 0),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none:keyint=10:bframes=4"}, {}, 4),
    "hevc_closed.mkv": ("libx265", "yuv420p10le", {"x265-params": "log-level=none:keyint=10:open-gop=0"}, {}, 4),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8"}, {}, 4),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "10", "lag-in-frames": "8", "deadline": "realtime"}, {}, 4),
    "vp9_alpha.webm": ("libvpx-vp9", "yuva420p", {"g": "10", "deadline": "realtime"}, {}, 4),
    "av1.mkv": ("libsvtav1", "yuv420p10le", {"preset": "12", "g": "10"}, {}, 1),
    "asp.avi": ("mpeg4", "yuv420p", {"bf": "2", "g": "10"}, {}, 3),
    "asp.mp4": ("mpeg4", "yuv420p", {"bf": "2", "g": "10"}, {}, 4),
    "ms_mpeg4.avi": ("msmpeg4", "yuv420p", {"g": "10"}, {}, 4),
    "ms_mpeg4_v2.avi": ("msmpeg4v2", "yuv420p", {"g": "10"}, {}, 4),
    "mpeg2.ts": ("mpeg2video", "yuv420p", {"bf": "2", "g": "10"}, {}, 1),
    "mpeg1.mpg": ("mpeg1video", "yuv420p", {"bf": "2", "g": "10"}, {}, 0),
    "flash.flv": ("flv", "yuv420p", {"g": "10"}, {}, 1),
    "motion_jpeg.avi": ("mjpeg", "yuvj420p", {}, {}, COUNT),
    "cinepak.mov": ("cinepak", "rgb24", {"g": "10"}, {}, 1),
    "prores.mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}, {}, COUNT),
    "lossless.mkv": ("ffv1", "bgr0", {}, {}, 4),
    "grey.mkv": ("ffv1", "gray16le", {"g": "1"}, {}, COUNT),
    "picture.gif": ("gif", "rgb8", {}, {}, 1),
    "huffyuv.avi": ("huffyuv", "yuv422p", {}, {}, COUNT),
}


def requests(count: int) -> list[list[int]]:
    """Clips and single frames: forward, backward, near, distant, at both ends, repeated."""
    rng = np.random.default_rng(count)
    strided = [[min(count - 1, start + 2 * step) for step in range(5)] for start in rng.integers(0, count, 4).tolist()]
    return [*strided, [count - 1], [0], [0, count - 1, 0, count // 2], *rng.integers(0, count, (3, 3)).tolist()]


def assert_equal_to_linear(path: Path, index: VideoIndex, **settings: object) -> None:
    truth = read_video(path, **settings)  # type: ignore[arg-type]
    with VideoReader(path, index=index, **settings) as reader:  # type: ignore[arg-type]
        assert len(reader) == len(truth.frames)
        for wanted in requests(len(reader)):
            assert (reader.frames(wanted) == truth.frames[wanted]).all(), wanted


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Records the path each time a file is opened; a reader that only seeks opens it once."""
    opened: list[Path] = []
    restart = Cursor.restart

    def counted(self: Cursor) -> None:
        opened.append(self.path)
        restart(self)

    monkeypatch.setattr(Cursor, "restart", counted)
    return opened


@pytest.mark.parametrize("name", KINDS)
def test_any_frames_equal_those_of_a_linear_decode(name: str, tmp_path: Path, restarts: list[Path]) -> None:
    codec, pix_fmt, options, container_options, entries = KINDS[name]
    frames = textured_frames(COUNT)
    path = encode(tmp_path / name, frames, codec, pix_fmt=pix_fmt, options=options, container_options=container_options)
    index = index_video(path)
    assert len(index) == len(read_frames(path))
    assert len(index.entries) >= entries
    assert VideoIndex.from_json(json.loads(json.dumps(index.to_json()))) == index
    assert_equal_to_linear(path, index)
    if len(index.entries) > 1:
        assert len(restarts) == 1


@pytest.mark.parametrize(
    ("size", "fit", "resample"),
    [((16, 16), "crop", "area"), ((20, 40), "cover", "bicubic"), ((9, 16), "squash", "lanczos")],
)
def test_pixels_equal_those_of_reading(size: tuple[int, int], fit: str, resample: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", textured_frames(20), options={"g": "5", "bf": "2"}, display=(90, True))
    assert_equal_to_linear(path, index_video(path), size=size, fit=fit, resample=resample)


def test_odd_sizes_and_wide_pixels(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    frames = textured_frames(20, 48, 64)[:, :35, :47]
    encode(path, frames, "libx264", pix_fmt="yuv444p", options={"g": "5", "aspect": "2:1"})
    assert_equal_to_linear(path, index_video(path))


def test_timestamps_in_decoding_order_are_not_used(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", textured_frames(COUNT), options={"bf": "3", "g": "10"}, pts_from_dts=True)
    index = index_video(path)
    assert not index.stamped
    assert len(index.entries) >= 3
    assert_equal_to_linear(path, index)


def test_irregular_and_negative_times(tmp_path: Path) -> None:
    pts = [*range(-400, 0, 40), *range(100, 4000, 333), *range(5000, 5080, 5)][:COUNT]
    path = encode(
        tmp_path / "a.mkv", textured_frames(len(pts)), pts=pts, time_base=Fraction(1, 1000), options={"g": "6"}
    )
    index = index_video(path)
    assert index.stamped
    assert np.diff(index.pts).tolist() == np.diff(pts).tolist()
    assert index.time_base == Fraction(1, 1000)
    assert_equal_to_linear(path, index)


def test_an_edit_list_hides_frames(tmp_path: Path) -> None:
    """The track is displayed from its 13th frame on; earlier frames are decoded and hidden."""
    path = encode(tmp_path / "whole.mp4", textured_frames(COUNT), options={"g": "8", "bf": "0"})
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 16  # past version, flags, entry count and the duration of the segment
    scale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    assert int.from_bytes(data[place : place + 4], "big") == 0
    data[place : place + 4] = (12 * scale // 25).to_bytes(4, "big")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data)
    index = index_video(cut)
    assert len(index) == COUNT - 12
    assert (read_frames(cut) == read_frames(path)[12:]).all()
    assert_equal_to_linear(cut, index)


def test_audio_and_cover_art_in_the_same_file(tmp_path: Path) -> None:
    """Packets of an audio track are interleaved with the video, and cover art is a second video stream."""
    video = encode(tmp_path / "video.mp4", textured_frames(20), options={"g": "5"})
    sound = encode_sound(tmp_path / "sound.mp4")
    cover = encode(tmp_path / "cover.mkv", counting_frames(1), "mjpeg", pix_fmt="yuvj420p")
    path = tmp_path / "both.mp4"
    with av.open(str(video)) as a, av.open(str(sound)) as b, av.open(str(cover)) as c, av.open(str(path), "w") as out:
        out.metadata["title"] = "cafE"
        outputs = [out.add_stream_from_template(source.streams[0]) for source in (c, b, a)]
        outputs[0].disposition = av.stream.Disposition.attached_pic
        packets = [
            (packet, stream)
            for source, stream in zip((c, b, a), outputs, strict=True)
            for packet in source.demux(source.streams[0])
            if packet.dts is not None
        ]
        for packet, stream in sorted(packets, key=lambda pair: float((pair[0].dts or 0) * (pair[0].time_base or 0))):
            packet.stream = stream
            out.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"cafE", b"caf\xe9"))  # Latin-1, which is not UTF-8
    assert (read_frames(path) == read_frames(video)).all()
    assert_equal_to_linear(path, index_video(path))


def test_consecutive_clips_do_not_seek_back(tmp_path: Path, restarts: list[Path]) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(COUNT), options={"g": "40", "bf": "3"})
    with VideoReader(path, size=(24, 32)) as reader:
        for wanted in ([0, 2, 4], [1, 3, 5], [6, 8, 10], [7], [9], [39], [38]):
            assert frame_numbers(reader.frames(wanted)) == wanted
    assert len(restarts) == 1


def test_a_changed_file_is_detected(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", textured_frames(10))
    index = index_video(path)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    with VideoReader(copy, index=index) as reader:  # another modification time, the same bytes
        assert len(reader.frames([3])) == 1
    encode(path, textured_frames(10)[::-1])
    with pytest.raises(VideoError, match=r"a\.mp4") as caught:
        VideoReader(path, index=index)
    assert caught.value.reason == "changed"
    path.unlink()
    with pytest.raises(VideoError) as caught:
        VideoReader(path, index=index)
    assert caught.value.reason == "missing"


def test_a_wrong_index_is_bypassed_or_refused(tmp_path: Path, restarts: list[Path]) -> None:
    path = encode(tmp_path / "a.mp4", textured_frames(20), options={"g": "5"})
    index = index_video(path)
    truth = read_frames(path)
    data = index.to_json()
    data["entries"] = [[*entry[:4], entry[4] + 1, *entry[5:]] for entry in data["entries"]]
    with VideoReader(path, index=VideoIndex.from_json(data)) as reader:  # seeks fail, so it decodes from the start
        assert (reader.frames([17, 3]) == truth[[17, 3]]).all()
    assert len(restarts) > 1
    data["pts"] = [stamp + 1 for stamp in data["pts"]]
    with VideoReader(path, index=VideoIndex.from_json(data)) as reader, pytest.raises(VideoError) as caught:
        reader.frames([17])
    assert caught.value.reason == "changed"


def test_invalid_frame_numbers_and_indices_are_rejected(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(5))
    with VideoReader(path) as reader:
        for wanted in ([], [5], [-1]):
            with pytest.raises(ValueError, match="from 0 to 4"):
                reader.frames(wanted)
    reader.close()
    for data in ("{", {}, {"format": 2}, None, {**index_video(path).to_json(), "time_base": [1, 0]}):
        with pytest.raises(ValueError, match="not a video index"):
            VideoIndex.from_json(data)
    with pytest.raises(ValueError, match="resample"):
        VideoReader(path, resample="cubic")  # type: ignore[arg-type]


def test_opening_files_repeatedly_leaks_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(4))
    index = index_video(path)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    sizes = []
    for opened in range(301):
        with VideoReader(path, size=(16, 16), index=index) as reader:
            reader.frames([3])
        if opened % 100 == 0:
            sizes.append(resident())
    assert sizes[-1] - sizes[1] < 200 * 4096  # less than one page per file
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors  # fewer if garbage was collected


REAL = ("clips/ucf101", "clips/hmdb51", "clips/kinetics", "clips/gestures/eat.mkv", "clips/natural/box.mp4",
        "clips/natural/cockatoo.mp4", "clips/natural/carphone_pristine.mp4", "clips/natural/flipping_a_pancake.mkv",
        "clips/natural/nasa_13013.mp4", "clips/natural/vtest.avi")  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_files_of_every_kind(name: str, shared_data: Path, restarts: list[Path]) -> None:
    source = shared_data / name
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        opened = len(restarts)
        assert_equal_to_linear(path, index_video(path), size=(18, 32))
        assert len(restarts) == opened + 1, path
