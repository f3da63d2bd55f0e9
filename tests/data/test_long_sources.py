"""Sources that do not fit into memory are cut block by block, with the same result as in memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clipfiles import write_frames
from PIL import Image

from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing import prepare as preparing
from vidgan.data.preparing import shots
from vidgan.data.preparing.prepare import prepare
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.unprepared import read_one
from vidgan.video.encode import write_mp4


def film(scenes: int = 5, length: int = 30, height: int = 48, width: int = 64) -> np.ndarray:
    """Scenes of panning textures; the third one is still."""
    clips = []
    for scene in range(scenes):
        rng = np.random.default_rng(scene)
        texture = (
            rng.integers(0, 256, (height // 8, (width + length) // 8 + 1, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        )
        clips += [texture[:, (0 if scene == 2 else t) :][:, :width] for t in range(length)]
    return np.stack(clips)


def both(monkeypatch: pytest.MonkeyPatch, source: Path, out: Path, **options: Any) -> tuple[Path, Path]:
    """The data set prepared in memory, and block by block."""
    options = {"size": (32, 32), "workers": 1} | options
    prepare(source, out / "memory", **options)
    monkeypatch.setattr(preparing, "MEMORY_BYTES", 20 << 15)
    prepare(source, out / "blocks", **options)
    monkeypatch.undo()
    return out / "memory", out / "blocks"


def assert_same_files(first: Path, second: Path) -> None:
    names = sorted(path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second).as_posix() for path in second.rglob("*") if path.is_file())
    for name in names:
        if name not in ("prepare.jsonl",):
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": (48, 64)},
        {"fps": 10.0, "fit": "squash"},
        {"fps": 40.0, "every": 3},
        {"flow": "tvl1", "size": (16, 16), "cuts": "off", "every": 10},
        {"drop_still": True, "min_frames": 20},
        {"store": "video"},
        {"store": "shards"},
    ],
)
def test_a_long_video_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    (tmp_path / "in").mkdir()
    write_mp4(tmp_path / "in" / "film.mp4", film(), fps=25)
    write_mp4(tmp_path / "in" / "short.mp4", film(1, 30), fps=25)
    memory, blocks = both(monkeypatch, tmp_path / "in", tmp_path, **options)
    assert_same_files(memory, blocks)
    first, second = ClipDataset(memory, frames=2), ClipDataset(blocks, frames=2)
    assert len(first.index.clips) >= 2
    for item in range(len(first)):
        assert (first[0, item].clip == second[0, item].clip).all()


def test_long_folders_pages_and_segments_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = film()
    write_frames(tmp_path / "in" / "folder", frames, "{:04d}.png")
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / "in" / "stack.tif", save_all=True, append_images=images[1:])
    assert_same_files(*both(monkeypatch, tmp_path / "in", tmp_path / "a"))
    write_mp4(tmp_path / "film.mp4", frames, fps=25)
    rows = "path,start,end,fps\nfilm.mp4,10,140,\nin/folder,5,130,12\nin/stack.tif,0,100,\n"
    (tmp_path / "list.csv").write_text(rows)
    assert_same_files(*both(monkeypatch, tmp_path / "list.csv", tmp_path / "b"))


def test_shots_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = shots.ShotSettings("auto", None, None, True, True)
    frames = np.concatenate([film(4, 170, 32), np.zeros((60, 32, 64, 3), np.uint8), film(3, 50, 32)])[:, :27, :48]
    whole = shots.find_shots(frames, range(len(frames)), settings)
    monkeypatch.setattr(shots, "_BLOCK_FRAMES", 250)
    assert shots.find_shots_in_blocks(iter(frames), range(len(frames)), settings) == whole
    for length in (1, 3, 199, 249, 250, 251, 450, 451):
        part = frames[:length]
        expected = shots.find_shots(part, range(length), settings)
        assert shots.find_shots_in_blocks(iter(part), range(length), settings) == expected, length


def test_the_first_frames_of_a_long_video_need_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mp4(tmp_path / "film.mp4", film(), fps=25)
    monkeypatch.setattr("vidgan.video.decode.MAX_BYTES", 40 * 48 * 64 * 3)
    whole = {
        every: read_one(tmp_path / "film.mp4", ReadSettings(every=every, max_frames=10)).frames for every in (1, 3)
    }
    monkeypatch.undo()
    for every, frames in whole.items():
        np.testing.assert_array_equal(frames, read_one(tmp_path / "film.mp4", ReadSettings(every=every)).frames[:10])


PEAK = """
import resource, sys
from vidgan.data.preparing import prepare as preparing
preparing.MEMORY_BYTES = 8 << 20
preparing.prepare(sys.argv[1], sys.argv[2], size=(128, 128), holdout=0.0)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    peaks = []
    for seconds in (20, 120):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        write_mp4(folder / "film.mp4", np.tile(film(5, 10), (seconds // 2, 1, 1, 1)), fps=25)
        arguments = [sys.executable, "-c", PEAK, folder, tmp_path / f"out{seconds}"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=True)
        peaks.append(int(done.stdout))
    unit = 1 if sys.platform == "darwin" else 1024
    assert (peaks[1] - peaks[0]) * unit < 60 << 20  # the frames alone would be 120 MB more
