"""Clips written and read back: playable files, reproducible bytes, layouts, and atomic writing."""

import io
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from video_files import counting_frames, frame_numbers, textured_frames

from vidgan.video import encode
from vidgan.video.decode import probe, read_frames, read_video
from vidgan.video.encode import contact_sheet, png_bytes, tile, webp_bytes, write_gif, write_mp4, write_png
from vidgan.video.labels import Labels, read_labels
from vidgan.video.montage import untile

GREY = [40, 40, 40]


def smooth_frames(count: int, height: int, width: int) -> np.ndarray:
    """(T, H, W, 3) uint8: smooth ramps, which 4:2:0 chroma preserves."""
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[..., 0], frames[..., 1] = 30 + columns * 2, 40 + rows * 3
    frames[..., 2] = 60 + 5 * np.arange(count)[:, None, None]
    return frames


def as_tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames.copy()).movedim(-1, -3).contiguous()


def test_an_mp4_is_close_to_the_original(tmp_path: Path) -> None:
    original = smooth_frames(12, 48, 64)
    path = write_mp4(tmp_path / "a.mp4", as_tensor(original), fps=8)
    video = read_video(path)
    assert video.frames.shape == original.shape
    difference = np.abs(video.frames.astype(int) - original)
    assert difference.mean() < 2
    assert difference.max() <= 10
    assert video.fps == pytest.approx(8)
    assert frame_numbers(read_frames(write_mp4(tmp_path / "b.mp4", counting_frames(20)))) == list(range(20))


def test_an_mp4_plays_everywhere(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", smooth_frames(4, 32, 32), fps=29.97)
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (codec.colorspace, codec.color_range) == (6, 1)  # BT.601, limited range
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert probe(path).fps == pytest.approx(29.97, rel=1e-6)


HASH_CLIPS = """
import hashlib, os, sys
from pathlib import Path
import numpy as np
from vidgan.video import png_bytes, webp_bytes, write_gif, write_mp4
if sys.argv[2] == "one core":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for size, clips, noise in ((32, 10, 0), (32, 6, 12), (64, 8, 0), (64, 4, 12), (144, 2, 0)):
    rows, columns = np.mgrid[:size, :size]
    for seed in range(clips):
        rng = np.random.default_rng([size, seed])
        start, speed, colour = rng.uniform(0, size, 2), rng.uniform(-3, 3, 2), rng.integers(0, 256, 3)
        frames = np.full((20, size, size, 3), rng.integers(0, 256, 3), np.uint8)
        for t, frame in enumerate(frames):
            y, x = (start + t * speed) % size
            frame[np.hypot(rows - y, columns - x) < size / 5] = colour
        frames = np.clip(frames + rng.normal(0, noise, frames.shape), 0, 255).astype(np.uint8)
        mp4 = write_mp4(Path(sys.argv[1]) / "a.mp4", frames, overwrite=True).read_bytes()
        gif = write_gif(Path(sys.argv[1]) / "a.gif", frames, overwrite=True).read_bytes()
        for content in (mp4, gif, webp_bytes(frames), png_bytes(frames[0])):
            print(size, seed, len(content), hashlib.sha256(content).hexdigest())
"""


def test_files_are_equal_byte_for_byte_in_every_process(tmp_path: Path) -> None:
    """Whatever the number of cores, and whatever uninitialised memory contains."""
    hashes = []
    for run, (cores, fill) in enumerate((("all cores", "0"), ("one core", "85"), ("all cores", "255"))):
        folder = tmp_path / str(run)
        command = [sys.executable, "-c", HASH_CLIPS, str(folder), cores]
        environment = os.environ | {"MALLOC_PERTURB_": fill}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
        hashes.append(done.stdout.splitlines())
    assert len(hashes[0]) == 4 * 30
    assert hashes[0] == hashes[1] == hashes[2]


def test_saturated_colours_are_preserved(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]], np.uint8)
    frames = np.repeat(np.repeat(colours[None, None], 16, axis=2), 32, axis=1)  # (1, 32, 80, 3)
    shown = read_frames(write_mp4(tmp_path / "a.mp4", frames))[0]
    for index, colour in enumerate(colours):
        assert np.abs(shown[16, index * 16 + 8].astype(int) - colour).max() <= 6


@pytest.mark.parametrize("height,width", [(33, 47), (1, 1), (33, 48), (32, 47)])
def test_odd_sizes_are_padded_and_not_scaled(height: int, width: int, tmp_path: Path) -> None:
    original = smooth_frames(3, height, width)
    shown = read_frames(write_mp4(tmp_path / "a.mp4", original))
    assert shown.shape == (3, height + height % 2, width + width % 2, 3)
    assert np.abs(shown[:, :height, :width].astype(int) - original).mean() < 3
    assert np.abs(shown[:, -1, -1].astype(int) - original[:, -1, -1]).max() < 12


def test_a_gif_with_few_colours_is_exact(tmp_path: Path) -> None:
    original = counting_frames(12)
    path = write_gif(tmp_path / "a.gif", as_tensor(original), fps=8)
    video = read_video(path)
    assert (video.frames == original).all()
    # Eighths of a second in hundredths: 12, 13, 12, 13, ..., with the right total.
    assert video.times == pytest.approx(np.round(np.arange(12) * 12.5) / 100)
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert sum(delays) == 1500


def test_a_gif_with_many_colours_is_close(tmp_path: Path) -> None:
    original = smooth_frames(6, 48, 64)
    shown = read_frames(write_gif(tmp_path / "a.gif", original))
    assert np.abs(shown.astype(int) - original).mean() < 8
    still = np.repeat(smooth_frames(1, 48, 64), 5, axis=0)
    assert len(read_frames(write_gif(tmp_path / "b.gif", still))) >= 1
    with pytest.raises(ValueError, match="fps.*50"):
        write_gif(tmp_path / "c.gif", original, fps=60)


def test_a_webp_is_animated_and_magnified() -> None:
    original = smooth_frames(6, 24, 32)
    with Image.open(io.BytesIO(webp_bytes(as_tensor(original), fps=8, scale=3))) as image:
        assert (image.format, image.size, image.n_frames, image.info["loop"]) == ("WEBP", (96, 72), 6, 0)
        frames, delays = [], []
        for frame in ImageSequence.Iterator(image):
            frames.append(np.asarray(frame.convert("RGB"))[1::3, 1::3])
            delays.append(frame.info["duration"])
    assert delays == [125] * 6 or sum(delays) == 750
    assert np.abs(np.stack(frames).astype(int) - original).mean() < 6


def test_pngs_are_exact(tmp_path: Path) -> None:
    pixels = textured_frames(1, 35, 47)[0]
    with Image.open(io.BytesIO(png_bytes(as_tensor(pixels)))) as image:
        assert (np.asarray(image) == pixels).all()
    path = write_png(tmp_path / "new" / "folder" / "a.png", pixels)
    with Image.open(path) as image:
        assert (np.asarray(image) == pixels).all()


def test_labels_are_stored_in_the_image() -> None:
    labels = Labels(("Höhe", "b"), ("1", "2", "3"))
    for data, scale in (
        (png_bytes(np.zeros((4, 6, 3), np.uint8), labels=labels), 1),
        (webp_bytes(np.zeros((2, 4, 6, 3), np.uint8), scale=3, labels=labels), 3),
    ):
        with Image.open(io.BytesIO(data)) as image:
            assert read_labels(image) == Labels(labels.rows, labels.columns, scale)
    with Image.open(io.BytesIO(png_bytes(np.zeros((4, 6, 3), np.uint8)))) as image:
        assert read_labels(image) == Labels()
    assert Labels(("a",), ("x",)).below(Labels(("b",), ("y",))) == Labels(("a", "b"), ("y",))


def test_a_grid_is_cut_into_its_clips() -> None:
    clips = np.random.default_rng(0).integers(0, 256, (6, 3, 10, 14, 3), dtype=np.uint8)
    grid = tile(clips, columns=3)
    assert np.array_equal(untile(grid, 2, 3), clips)
    assert np.array_equal(untile(grid.repeat(3, axis=1).repeat(3, axis=2), 2, 3, scale=3), clips)
    with pytest.raises(ValueError, match="no grid of 5 x 3"):
        untile(grid, 5, 3)


def test_a_contact_sheet_has_one_row_per_clip() -> None:
    clips = np.random.default_rng(0).integers(100, 256, (3, 9, 6, 5, 3), dtype=np.uint8)
    sheet = contact_sheet(clips, frames=4)
    assert sheet.shape == (3 * 8 + 2, 4 * 7 + 2, 3)
    free = np.ones(sheet.shape[:2], bool)
    for row in range(3):
        for column, time in enumerate((0, 3, 5, 8)):  # evenly spaced from the first to the last of nine
            area = np.s_[row * 8 + 2 : row * 8 + 8, column * 7 + 2 : column * 7 + 7]
            assert (sheet[area] == clips[row, time]).all()
            free[area] = False
    assert (sheet[free] == GREY).all()


def test_contact_sheets_with_several_columns_and_short_clips() -> None:
    clips = np.random.default_rng(0).integers(100, 256, (3, 2, 4, 4, 3), dtype=np.uint8)
    sheet = contact_sheet(clips, columns=2)  # strips of two frames: 14 pixels wide
    assert sheet.shape == (2 * 6 + 2, 2 * 14, 3)
    assert (sheet[2:6, 14 + 2 : 14 + 6] == clips[1, 0]).all()
    assert (sheet[8:12, 8:12] == clips[2, 1]).all()
    assert (sheet[8:, 14:] == GREY).all()
    assert contact_sheet(clips, columns=9).shape == (1 * 6 + 2, 3 * 14, 3)
    assert contact_sheet(clips, pad=0).shape == (12, 8, 3)


def test_tiles_play_all_clips_side_by_side() -> None:
    clips = np.random.default_rng(0).integers(100, 256, (5, 3, 4, 6, 3), dtype=np.uint8)
    grid = tile(clips, columns=3)
    assert grid.shape == (3, 2 * 6 + 2, 3 * 8 + 2, 3)
    for index in range(5):
        top, left = index // 3 * 6 + 2, index % 3 * 8 + 2
        assert (grid[:, top : top + 4, left : left + 6] == clips[index]).all()
    assert (grid[:, 8:12, 18:24] == GREY).all()
    assert tile(clips).shape == (3, 2 * 6 + 2, 3 * 8 + 2, 3)  # five clips: three in a row
    assert tile(clips[:1]).shape == (3, 8, 10, 3)


def test_tensors_give_tensors_with_the_same_pixels() -> None:
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 6, 3), dtype=np.uint8)
    for function in (contact_sheet, tile):
        from_array = function(clips)
        from_tensor = function(as_tensor(clips))
        assert isinstance(from_tensor, torch.Tensor)
        assert torch.equal(from_tensor, as_tensor(from_array))


def test_wrong_shapes_and_dtypes_are_rejected(tmp_path: Path) -> None:
    frames = smooth_frames(3, 8, 8)
    with pytest.raises(ValueError, match=r"\(T, H, W, 3\) array, got a \(3, 3, 8, 8\) array"):
        write_mp4(tmp_path / "a.mp4", np.moveaxis(frames, -1, 1))
    with pytest.raises(ValueError, match=r"got a \(3, 8, 8, 3\) tensor"):
        write_mp4(tmp_path / "a.mp4", torch.from_numpy(frames))
    with pytest.raises(ValueError, match="float"):
        write_gif(tmp_path / "a.gif", frames / 255)
    with pytest.raises(ValueError, match="uint8"):
        write_mp4(tmp_path / "a.mp4", frames[:0])
    with pytest.raises(ValueError, match="fps"):
        write_mp4(tmp_path / "a.mp4", frames, fps=0)
    with pytest.raises(ValueError, match=r"from 0\.01 to 1000"):
        write_mp4(tmp_path / "a.mp4", frames, fps=1e-4)
    with pytest.raises(ValueError, match="scale"):
        webp_bytes(frames, scale=0)
    with pytest.raises(ValueError, match="columns"):
        tile(frames[None], columns=0)
    with pytest.raises(ValueError, match="frames"):
        contact_sheet(frames[None], frames=0)
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_replaced_on_request_only(tmp_path: Path) -> None:
    frames = smooth_frames(3, 16, 16)
    for name, write in (
        ("a.mp4", lambda path, **more: write_mp4(path, frames, **more)),
        ("a.gif", lambda path, **more: write_gif(path, frames, **more)),
        ("a.png", lambda path, **more: write_png(path, frames[0], **more)),
    ):
        path = tmp_path / name
        path.write_bytes(b"precious")
        with pytest.raises(FileExistsError, match=name):
            write(path)
        assert path.read_bytes() == b"precious"
        assert write(path, overwrite=True) == path
        assert path.read_bytes() != b"precious"
    with pytest.raises(IsADirectoryError):
        write_png(tmp_path, frames[0], overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.mp4", "a.png"]


def test_a_failed_write_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = smooth_frames(3, 16, 16)
    path = write_mp4(tmp_path / "a.mp4", frames)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(encode.np, "ascontiguousarray", fail)
    with pytest.raises(OSError, match="no space"):
        write_mp4(path, frames, overwrite=True)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_any_file_name_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:a.mp4", "-a b%d.mp4", "no_suffix"):
        assert probe(write_mp4(name, smooth_frames(2, 16, 16))).frames == 2
