"""Exact frames and times from every accepted kind of file."""

import os
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from PIL import Image
from video_files import counting_frames, encode, frame_numbers, textured_frames

from vidgan.video import VideoReader, decode, index_video
from vidgan.video.decode import VideoError, fit_image, probe, read_frames, read_video
from vidgan.video.resize import FITS, RESAMPLES, Fit, Resample

COUNT = 24

# name -> codec, pixel format, encoder options, maximum difference of a flat area from the original
KINDS = {
    "b_frames.mp4": ("libx264", "yuv420p", {"bf": "3"}, 3),
    "open_gop.mp4": ("libx264", "yuv420p", {"bf": "3", "x264-params": "open-gop=1:keyint=8"}, 3),
    "plain.mkv": ("libx264", "yuv444p", {}, 3),
    "ten_bit.mp4": ("libx264", "yuv420p10le", {}, 3),
    "hevc_ten_bit.mp4": ("libx265", "yuv420p10le", {"x265-params": "log-level=none"}, 3),
    "b_frames.avi": ("mpeg4", "yuv420p", {"bf": "2", "g": "8", "qmin": "1", "qmax": "2"}, 3),
    "vp8.webm": ("libvpx", "yuv420p", {}, 6),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {}, 6),
    "motion_jpeg.mov": ("mjpeg", "yuvj420p", {}, 3),
    "prores.mov": ("prores_ks", "yuv422p10le", {}, 3),
    "mpeg2.ts": ("mpeg2video", "yuv420p", {"qmin": "1", "qmax": "2"}, 3),
    "lossless.mkv": ("ffv1", "bgr0", {}, 0),
    "grey.mkv": ("ffv1", "gray", {}, 0),
    "grey_16_bit.mkv": ("ffv1", "gray16le", {}, 1),
    "raw.avi": ("rawvideo", "bgr24", {}, 0),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_read_once_and_in_order(name: str, tmp_path: Path) -> None:
    codec, pix_fmt, options, tolerance = KINDS[name]
    original = counting_frames(COUNT)
    path = encode(tmp_path / name, original, codec, pix_fmt=pix_fmt, options=options)
    video = read_video(path)
    assert frame_numbers(video.frames) == list(range(COUNT))
    assert video.frames.shape == original.shape
    assert video.frames.dtype == np.uint8
    # Position of the corner and grey levels, not at the edge between the two.
    for part in (np.s_[:, :8, :8], np.s_[:, 24:, 32:]):
        assert np.abs(video.frames[part].astype(int) - original[part]).max() <= tolerance
    assert video.times == pytest.approx(np.arange(COUNT) / 25)
    assert video.fps == pytest.approx(25)
    assert video.repeated == 0
    assert probe(path) == video.info
    assert (video.info.frames, video.info.width, video.info.height, video.info.rotation) == (COUNT, 64, 48, 0)
    assert video.info.notes == ()


def test_lossless_colours_are_exact(tmp_path: Path) -> None:
    original = textured_frames(5, 35, 47)  # odd sizes
    path = encode(tmp_path / "a.mkv", original, "ffv1", pix_fmt="bgr0")
    assert (read_frames(path) == original).all()


def test_a_gif_has_its_delays(tmp_path: Path) -> None:
    original = counting_frames(6)
    images = [Image.fromarray(frame[..., 0]) for frame in original]
    path = tmp_path / "a.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 100, 300, 100, 100, 100])
    video = read_video(path)
    assert (video.frames == original).all()
    assert video.times == pytest.approx([0.0, 0.1, 0.2, 0.5, 0.6, 0.7])
    assert video.info.notes == ("variable-frame-rate",)
    assert frame_numbers(read_frames(path, fps=10)) == [0, 1, 2, 2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    ("codec", "name"), [("libx264", "h264"), ("libvpx-vp9", "vp9"), ("mpeg4", "mpeg4"), ("ffv1", "ffv1")]
)
def test_name_of_the_codec(codec: str, name: str, tmp_path: Path) -> None:
    assert probe(encode(tmp_path / "a.mkv", counting_frames(3), codec)).codec == name


@pytest.mark.parametrize("height,width", [(47, 63), (2, 2), (17, 16)])
def test_odd_and_tiny_sizes(height: int, width: int, tmp_path: Path) -> None:
    original = textured_frames(4, 64, 64)[:, :height, :width]
    path = encode(tmp_path / "a.mp4", original, pix_fmt="yuv444p", options={"qp": "0"})
    frames = read_frames(path)
    assert frames.shape == (4, height, width, 3)
    assert np.abs(frames.astype(int) - original).max() <= 4


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("mirror", [False, True])
def test_frames_are_rotated_and_mirrored_as_specified(degrees: int, mirror: bool, tmp_path: Path) -> None:
    original = textured_frames(3)
    plain = read_frames(encode(tmp_path / "plain.mp4", original))
    path = encode(tmp_path / "turned.mp4", original, display=(degrees, mirror))
    shown = np.rot90(plain, degrees // 90, axes=(1, 2))
    shown = shown[:, :, ::-1] if mirror else shown
    video = read_video(path)
    assert (video.frames == shown).all()
    assert video.info.rotation == degrees
    assert (video.info.height, video.info.width) == shown.shape[1:3]
    assert video.info.notes == (("mirrored",) if mirror else ())
    fits: tuple[Fit, ...] = get_args(Fit)
    for fit in fits:  # different sides, so that swapped sides or a misplaced box are detected
        turned = read_frames(path, size=(15, 24), fit=fit)
        assert np.abs(turned[0].astype(int) - fit_image(np.ascontiguousarray(shown[0]), (15, 24), fit)).mean() < 3


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("fit", FITS)
def test_scaling_in_ffmpeg_equals_scaling_of_rgb_frames(fit: Fit, resample: Resample, tmp_path: Path) -> None:
    """FFmpeg scales the stored planes, which equals the same filter on RGB frames up to rounding.

    Between two equally near pixels `nearest` may choose either one, and neighbours differ by at most 12 levels.
    """
    path = encode(tmp_path / "a.mkv", smooth_frames(3, 72, 96), "ffv1", pix_fmt="bgr0")
    whole = read_frames(path)
    for size in ((16, 24), (18, 18), (100, 130)):
        small = read_frames(path, size=size, fit=fit, resample=resample)
        expected = np.stack([fit_image(frame, size, fit, resample=resample) for frame in whole])
        assert np.abs(small.astype(int) - expected).max() <= (12 if resample == "nearest" else 3)


@pytest.mark.parametrize("name", ["b_frames.mp4", "ten_bit.mp4", "motion_jpeg.mov", "prores.mov", "grey_16_bit.mkv"])
def test_colours_do_not_depend_on_scaling(name: str, tmp_path: Path) -> None:
    codec, pix_fmt, options, _ = KINDS[name]
    path = encode(tmp_path / name, counting_frames(COUNT), codec, pix_fmt=pix_fmt, options=options)
    whole, small = read_frames(path), read_frames(path, size=(12, 16))
    assert np.abs(small[:, 8:, 10:].astype(int) - whole[:, 32::4, 40::4]).max() <= 2


def smooth_frames(count: int, height: int, width: int) -> np.ndarray:
    """(T, H, W, 3) uint8: low-frequency waves, whose scaled values hardly depend on the support of a filter."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + t) + np.cos(columns / 11 - t) for t in range(count)]
    return (127 + 60 * np.stack([np.stack(waves), -np.stack(waves), np.stack(waves[::-1])], axis=-1)).astype(np.uint8)


def test_a_constant_rate_is_sampled_by_time(tmp_path: Path) -> None:
    # 40 ms apart, then a pause, then 40 ms again.
    pts = [0, 40, 80, 500, 540, 580, 1000]
    path = encode(tmp_path / "a.mkv", counting_frames(7), pts=pts, time_base=Fraction(1, 1000))
    video = read_video(path, fps=4)
    assert frame_numbers(video.frames) == [0, 2, 3, 5, 6]
    assert video.times == pytest.approx([0.0, 0.08, 0.5, 0.58, 1.0])
    assert video.fps == 4
    assert video.repeated == 0
    assert video.info.fps == pytest.approx(6)
    assert video.info.notes == ("variable-frame-rate",)
    assert frame_numbers(read_frames(path)) == list(range(7))


def test_a_lower_and_a_higher_rate(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(COUNT), options={"bf": "3"}, fps=20)
    assert frame_numbers(read_frames(path, fps=5)) == [0, 4, 8, 12, 16, 20]
    assert frame_numbers(read_frames(path, fps=20)) == list(range(COUNT))
    doubled = read_video(path, fps=40)
    assert frame_numbers(doubled.frames) == [k // 2 for k in range(2 * COUNT - 1)]
    assert doubled.repeated == COUNT - 1


def test_max_frames_stops_early(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(40), options={"bf": "3"})
    first = read_video(path, max_frames=5)
    assert frame_numbers(first.frames) == [0, 1, 2, 3, 4]
    assert first.info.frames == 5
    sampled = read_video(path, fps=5, max_frames=2)
    assert frame_numbers(sampled.frames) == [0, 5]
    assert sampled.info.frames < 40
    assert len(read_frames(path, max_frames=1000)) == 40


def test_frames_without_timestamps_follow_the_nominal_rate(tmp_path: Path) -> None:
    video = read_video(encode(tmp_path / "a.h264", counting_frames(10), container="h264"))
    assert frame_numbers(video.frames) == list(range(10))
    assert video.times == pytest.approx(np.arange(10) / 25)
    assert "timestamps-repaired" in video.info.notes


def test_timestamps_in_decoding_order_are_repaired(tmp_path: Path) -> None:
    # Some writers stamp reordered frames in storage order.
    path = encode(tmp_path / "a.mkv", counting_frames(COUNT), options={"bf": "3"}, pts_from_dts=True)
    video = read_video(path)
    assert frame_numbers(video.frames) == list(range(COUNT))
    assert video.fps == pytest.approx(25)
    assert frame_numbers(read_frames(path, fps=5)) == [0, 5, 10, 15, 20]


def test_times_start_at_zero(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", counting_frames(5), pts=[125, 126, 127, 128, 129])
    assert read_video(path).times == pytest.approx(np.arange(5) / 25)


def test_unusual_properties_are_noted(tmp_path: Path) -> None:
    frames = counting_frames(4)
    interlaced = encode(tmp_path / "i.mp4", frames, options={"flags": "+ildct+ilme"})
    assert probe(interlaced).notes == ("interlaced",)
    options = {"x265-params": "log-level=none:transfer=smpte2084"}
    assert probe(encode(tmp_path / "h.mp4", frames, "libx265", pix_fmt="yuv420p10le", options=options)).notes == (
        "hdr",
    )


def test_any_file_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(tmp_path / "a.mp4", counting_frames(3)).read_bytes()
    monkeypatch.chdir(tmp_path)
    for name in (b"http:x.mp4", b"-odd %d name\n.mp4", b"concat:a|b", b"no_suffix", b"\xff.mp4"):
        path = Path(os.fsdecode(name))
        path.write_bytes(data)
        assert probe(path).frames == 3
        assert probe(str(path)).path == path


def test_the_memory_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(20))
    monkeypatch.setattr(decode, "MAX_BYTES", 10 * 64 * 48 * 3)
    with pytest.raises(VideoError, match=r"11 frames of 64x48 pixels") as caught:
        read_frames(path)
    assert caught.value.reason == "too-long"
    with pytest.raises(VideoError, match="MiB"):  # copies count as well
        read_frames(path, fps=1000)
    assert read_frames(path, size=(16, 16)).shape == (20, 16, 16, 3)
    assert read_frames(path, max_frames=10).shape == (10, 48, 64, 3)


def test_a_long_pause_is_not_filled_with_copies(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", counting_frames(3), pts=[0, 40, 60_000], time_base=Fraction(1, 1000))
    with pytest.raises(VideoError, match=r"60\.0 s after 0\.0 s") as caught:
        read_frames(path, fps=10)
    assert caught.value.reason == "time-gap"
    assert len(read_frames(path)) == 3


def test_times_and_key_frames(tmp_path: Path) -> None:
    pts = [-80, -40, 0, 100, 133, 170]
    path = encode(tmp_path / "a.mkv", counting_frames(6), pts=pts, time_base=Fraction(1, 1000), options={"g": "3"})
    info = probe(path)
    assert [stamp - info.pts[0] for stamp in info.pts] == [stamp + 80 for stamp in pts]
    assert info.time_base == Fraction(1, 1000)
    assert info.keyframes == (0, 3)
    repaired = probe(encode(tmp_path / "a.h264", counting_frames(3), container="h264"))
    assert [stamp * repaired.time_base for stamp in repaired.pts] == [0, Fraction(1, 25), Fraction(2, 25)]


def test_invalid_arguments_are_rejected_before_the_file_is_opened() -> None:
    with pytest.raises(ValueError, match="size"):
        read_frames("missing.mp4", size=(0, 4))
    with pytest.raises(ValueError, match="fit"):
        read_frames("missing.mp4", fit="stretch")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps"):
        read_frames("missing.mp4", fps=0)
    with pytest.raises(ValueError, match="max_frames"):
        read_frames("missing.mp4", max_frames=0)


REAL = {
    # name -> frames, frames per second, width, height, codec
    "clips/ucf101/v_SoccerJuggling_g23_c01.avi": (240, 29.97, 320, 240, "mpeg4"),
    "clips/ucf101/mmaction2_test.avi": (164, 25, 320, 240, "mpeg4"),  # packed B-frames, timestamps out of order
    "clips/hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi": (72, 30, 560, 240, "mpeg4"),  # the header announces 73
    "clips/natural/box.mp4": (455, 29.97, 640, 480, "h264"),  # B-frames with timestamps in decoding order
    "clips/natural/carphone_pristine.mp4": (120, 29.97, 176, 144, "h264"),
    "clips/gestures/eat.mkv": (47, 30, 640, 480, "h264"),
    "clips/natural/nasa_13013.mp4": (325, 25, 320, 180, "h264"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos_have_their_published_frames(name: str, shared_data: Path) -> None:
    frames, fps, width, height, codec = REAL[name]
    info = probe(shared_data / name)
    assert (info.frames, info.width, info.height, info.codec) == (frames, width, height, codec)
    assert info.fps == pytest.approx(fps, rel=1e-3)


def test_a_real_video_at_a_third_of_its_rate(shared_data: Path) -> None:
    path = shared_data / "clips/ucf101/v_SoccerJuggling_g23_c01.avi"
    every = read_video(path, size=(32, 32))
    third = read_video(path, size=(32, 32), fps=every.fps / 3)
    assert (third.frames == every.frames[::3]).all()


def test_large_frames_without_a_colour_tag_are_bt709(tmp_path: Path) -> None:
    red = np.zeros((2, 720, 1280, 3), np.uint8)
    red[...] = (200, 30, 30)
    for name, frames, is_hd in (("hd", red, True), ("sd", red[:, :480, :640], False), ("tall", red[:, :, :720], True)):
        path = encode(tmp_path / f"{name}.mp4", frames)  # stored with the matrix of BT.601, without a tag
        video = read_video(path)
        assert ("assumed-bt709" in video.info.notes) == is_hd
        colours = [video.frames[0, 100, 100], read_frames(path, size=(64, 64))[0, 20, 20]]
        index = index_video(path)
        with VideoReader(path, size=(64, 64), index=index) as reader:
            colours.append(reader.frames([1])[0, 20, 20])
        for colour in colours:
            assert (abs(int(colour[0]) - 200) > 8) == is_hd, (name, colour)


def test_running_out_of_memory_is_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.mp4", counting_frames(5))

    def fail(*arguments: object, **options: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    for place in ("vidgan.video.container.av.open", "vidgan.video.convert.FrameConverter.__call__"):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            with pytest.raises(VideoError) as caught:
                read_frames(path)
            assert caught.value.reason == "out-of-memory"
    index = index_video(path)
    with monkeypatch.context() as patch, VideoReader(path, index=index) as reader:
        patch.setattr("vidgan.video.convert.FrameConverter.__call__", fail)
        with pytest.raises(VideoError) as caught:
            reader.frames([0])
        assert caught.value.reason == "out-of-memory"


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "ffv1", {"level": "3", "slicecrc": "1", "slices": "4"}),
        ("a.avi", "ffv1", {"level": "3", "slicecrc": "1"}),
        ("a.mov", "png", {}),
    ],
)
def test_damage_behind_a_checksum_is_found(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    pix_fmt = "rgb24" if codec == "png" else "yuv420p"
    path = encode(tmp_path / name, textured_frames(12), codec, pix_fmt=pix_fmt, options=options)
    truth, content = read_frames(path), path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(20):
        damaged = bytearray(content)
        damaged[int(rng.integers(len(content) // 5, len(content) * 4 // 5))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert np.array_equal(read_frames(path), truth)
        except VideoError:
            refused += 1
    assert refused > 15


@pytest.mark.parametrize("options", [{"slicecrc": "0", "level": "3"}, {"level": "1"}, {"level": "3", "slices": "24"}])
def test_undamaged_ffv1_is_read_with_and_without_checksums(tmp_path: Path, options: dict[str, str]) -> None:
    path = encode(tmp_path / "a.mkv", textured_frames(5, 96, 128), "ffv1", options=options)
    assert len(read_frames(path)) == 5


def test_damaged_motion_jpeg_is_found_where_the_decoder_can(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mov", textured_frames(12), "mjpeg", pix_fmt="yuvj420p")
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xda", len(content) // 3) + 60
    content[start : start + 40] = b"\xff\xd9" * 20
    path.write_bytes(content)
    with pytest.raises(VideoError):
        read_frames(path)
