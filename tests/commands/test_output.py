"""Formats and layouts of the commands that write clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.commands.generate import generate
from vidgan.commands.output import clip_format, file_suffix, output_rate, result_name
from vidgan.commands.predict import predict
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.errors import ConfigError
from vidgan.video import probe, read_frames
from vidgan.video.encode import write_mp4

GAP = 2  # pixels around and between tiles


@pytest.mark.parametrize(
    ("out", "requested", "chosen"),
    [
        ("a.mp4", None, "mp4"),
        ("a.MKV", None, "ffv1"),
        ("a.webp", "webp", "webp"),
        ("frames", "png", "png"),
        ("v1.2", "png", "png"),
    ],
)
def test_the_format_follows_the_name_or_the_option(out: str, requested: str | None, chosen: str) -> None:
    assert clip_format(Path(out), requested) == chosen


@pytest.mark.parametrize(
    ("out", "requested", "named"),
    [
        ("a.avi", None, "--out a.avi"),
        ("frames", None, "--format png"),
        ("a.gif", "mp4", "ends in .mp4"),
        ("a.mp4", "png", "--format png"),
        ("a.mp4", "mov", "--format mov"),
    ],
)
def test_a_name_of_another_format_is_refused(out: str, requested: str | None, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        clip_format(Path(out), requested)


def test_further_results_are_named_after_the_first() -> None:
    assert result_name(Path("x/a.b.mkv"), "ffv1", ".json") == Path("x/a.b.json")
    assert result_name(Path("x/a.b"), "png", ".json") == Path("x/a.b.json")
    assert (file_suffix(None), file_suffix("png"), file_suffix("ffv1")) == (".mp4", "", ".mkv")


def test_the_rate_is_that_of_the_source() -> None:
    assert output_rate(None, 29.97, "video") == (29.97, "video")
    assert output_rate(12, 29.97, "video") == (12, "option")
    assert output_rate(None, None, "video") == (8.0, "default")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = render_moving_shape(seed=1, index=0, frames=12, size=64).frames
    return write_mp4(tmp_path_factory.mktemp("source") / "shape.mp4", frames, fps=30)


def test_a_forecast_beside_the_truth(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "side.mkv"
    future = predict("shapes", video, out, horizon=3, context=5, layout="side")
    written = read_frames(out)
    assert written.shape == (8, 64 + 2 * GAP, 2 * 64 + 3 * GAP, 3)
    assert probe(out).fps == pytest.approx(30, rel=2e-3)  # Matroska holds times in milliseconds
    left, right = written[:, GAP:-GAP, GAP : GAP + 64], written[:, GAP:-GAP, 64 + 2 * GAP : -GAP]
    assert np.array_equal(left, read_frames(video)[:8])  # the context, then the true frames
    assert np.array_equal(right[5:], future.permute(0, 2, 3, 1).numpy())
    record = json.loads((tmp_path / "side.json").read_text())
    assert (record["format"], record["layout"], record["fps_from"]) == ("ffv1", "side", "video")
    with pytest.raises(ConfigError, match="--layout side"):
        predict("shapes", video, tmp_path / "late.mp4", horizon=10, context=5, layout="side")


def test_a_forecast_beside_its_parts(video: Path, tmp_path: Path) -> None:
    predict("shapes", video, tmp_path / "grid.mkv", horizon=2, context=5, layout="grid")
    assert read_frames(tmp_path / "grid.mkv").shape == (7, 2 * 64 + 3 * GAP, 2 * 64 + 3 * GAP, 3)  # truth, P, W, A
    with pytest.raises(ConfigError, match="--layout row"):
        predict("shapes", video, tmp_path / "row.mp4", layout="row")


def test_a_folder_of_frames_is_replaced_only_if_it_holds_nothing_else(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    future = predict("shapes", video, out, horizon=2, context=5, format="png")
    names = [path.name for path in sorted(out.iterdir())]
    assert names == [f"frame-{number:06d}.png" for number in range(7)]
    last = torch.from_numpy(np.asarray(Image.open(out / names[-1])).copy()).permute(2, 0, 1)
    assert torch.equal(last, future[-1])
    assert (tmp_path / "frames.png").is_file() and (tmp_path / "frames.json").is_file()
    with pytest.raises(FileExistsError, match="--overwrite"):
        predict("shapes", video, out, horizon=3, context=5, format="png")
    predict("shapes", video, out, horizon=3, context=5, format="png", overwrite=True)
    assert len(list(out.iterdir())) == 8
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="other files"):
        predict("shapes", video, out, horizon=3, context=5, format="png", overwrite=True)


def test_generated_clips_in_one_row(tmp_path: Path) -> None:
    clips = generate("shapes", tmp_path / "row", clips=3, frames=4, format="ffv1", layout="side")
    files = sorted(path.name for path in (tmp_path / "row").iterdir())
    assert files == ["clips.mkv", "generated.json", "overview.gif", "sheet.png"]
    row = read_frames(tmp_path / "row" / "clips.mkv")
    assert row.shape == (4, 64 + 2 * GAP, 3 * 64 + 4 * GAP, 3)
    assert np.array_equal(row[:, GAP:-GAP, -64 - GAP : -GAP], clips[2].permute(0, 2, 3, 1).numpy())
    generate("shapes", tmp_path / "npz", clips=2, frames=4, format="npz")
    with np.load(tmp_path / "npz" / "clip-0001.npz") as file:
        assert np.array_equal(file["frames"], clips[1].permute(0, 2, 3, 1).numpy())
