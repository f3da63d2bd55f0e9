"""`vidgan upscale`, `vidgan generate --upscale`, and the evaluation and report of an upscaler."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run_vidgan, small_config
from PIL import Image

from vidgan.commands.evaluate import evaluate
from vidgan.commands.generate import generate
from vidgan.commands.report import report
from vidgan.commands.table import table
from vidgan.commands.train import train
from vidgan.commands.upscale import upscale
from vidgan.errors import ConfigError, PretrainedError
from vidgan.evaluation.results import MappingScores
from vidgan.tasks.upscaling.upscaler import ClipUpscaler
from vidgan.video.decode import read_video
from vidgan.video.encode import write_mp4

PIXELS_ONLY: dict[str, Any] = {
    "discriminators": {}, "optimizers": {"generator": {}}, "objective__weights": {"l1": 1.0},
    "every__evaluate": 2, "every__preview": 2, "train__batch_size": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("runs")
    kinds = {"recurrent": {}, "frame": {"model__network": {"kind": "frame", "width": 4, "blocks": 1}}}
    return {
        name: train(
            small_config("upscaling", shapes_data, out, name=name, train__steps=2, **PIXELS_ONLY, **changes), quiet=True
        ).run_dir
        for name, changes in kinds.items()
    }


def film(path: Path, frames: int = 6, size: tuple[int, int] = (17, 22)) -> Path:
    return write_mp4(path, np.random.default_rng(0).integers(0, 256, (frames, *size, 3), np.uint8), fps=12.5)


def test_a_video_is_enlarged_at_its_own_size_and_rate(runs: dict[str, Path], tmp_path: Path) -> None:
    video = film(tmp_path / "film.mp4")
    result = upscale(runs["recurrent"], video, tmp_path / "large.mp4")
    read = read_video(tmp_path / "large.mp4")
    assert read.frames.shape == (6, 36, 44, 3) and read.fps == pytest.approx(12.5)  # an odd side was padded on writing
    assert (result.frames, result.size, result.fps) == (6, (36, 44), pytest.approx(12.5))
    record = json.loads((tmp_path / "large.json").read_text())
    assert record["scale"] == 2 and record["fps_from"] == "video" and record["frames"] == 6
    with pytest.raises(FileExistsError):
        upscale(runs["recurrent"], video, tmp_path / "large.mp4")
    upscale(runs["frame"], video, tmp_path / "large.mp4", frames=1, fps=5, overwrite=True)
    assert len(read_video(tmp_path / "large.mp4").frames) == 1


def test_the_input_beside_the_result(runs: dict[str, Path], tmp_path: Path) -> None:
    video = film(tmp_path / "film.mp4")
    upscale(runs["recurrent"], video, tmp_path / "single.mkv")
    upscale(runs["recurrent"], video, tmp_path / "side.mkv", layout="side")
    side = read_video(tmp_path / "side.mkv").frames
    assert side.shape == (6, 36 + 4, 2 * 44 + 6, 3)
    doubled = read_video(video).frames.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(side[:, 2:-2, 2:46], doubled)
    assert np.array_equal(side[:, 2:-2, 48:-2], read_video(tmp_path / "single.mkv").frames)
    with pytest.raises(ConfigError, match="--layout grid: accepted are single, side"):
        upscale(runs["frame"], video, tmp_path / "grid.mkv", layout="grid")


def test_grey_frames_and_the_command(
    runs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "grey"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((16, 16), 90 + number, np.uint8)).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    code, out, err = run_vidgan(capfd, monkeypatch, "upscale", runs["recurrent"], folder)
    assert code == 0, err
    assert out.strip() == "grey-upscaled.mp4" and read_video(tmp_path / "grey-upscaled.mp4").frames.shape[1:3] == (
        32,
        32,
    )
    small = film(tmp_path / "small.mp4", size=(6, 20))
    for arguments, part in [
        ((runs["recurrent"], small), "too small"),
        ((runs["recurrent"], tmp_path / "missing.mp4"), "missing.mp4"),
        ((runs["recurrent"], folder, "--out", "x.avi"), ".mp4"),
        ((tmp_path, folder), "neither a training run nor a model"),
    ]:
        code, _, err = run_vidgan(capfd, monkeypatch, "upscale", *arguments)
        assert code == 2 and part in err, err
    assert not list(tmp_path.glob("*.avi")) and not list(tmp_path.glob("small-upscaled*"))


def test_a_damaged_video_leaves_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    video = film(tmp_path / "film.mp4", frames=30, size=(64, 64))
    content = bytearray(video.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    (tmp_path / "damaged.mp4").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        upscale(runs["frame"], tmp_path / "damaged.mp4", tmp_path / "large.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.mp4", "film.mp4"]


def test_another_task_is_refused(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("dual_motion", shapes_data, tmp_path, train__steps=1)
    run = train(config, quiet=True).run_dir
    with pytest.raises(PretrainedError, match="continues clips"):
        upscale(run, film(tmp_path / "film.mp4"), tmp_path / "large.mp4")


def test_generated_clips_are_enlarged(runs: dict[str, Path], shapes_data: Path, tmp_path: Path) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=1), quiet=True).run_dir
    large = generate(run, tmp_path / "clips", clips=2, frames=3, seed=1, upscale=runs["recurrent"])
    small = generate(run, tmp_path / "before", clips=2, frames=3, seed=1)
    assert large.shape == (2, 3, 3, 64, 64) and small.shape == (2, 3, 3, 32, 32)
    model = ClipUpscaler.from_pretrained(runs["recurrent"])
    assert (model.map_clips(small) == large).all()
    assert read_video(tmp_path / "clips" / "clip-0001.mp4").frames.shape == (3, 64, 64, 3)
    assert json.loads((tmp_path / "clips" / "generated.json").read_text())["upscale"] == str(runs["recurrent"])


def test_evaluation_report_and_table(runs: dict[str, Path]) -> None:
    scores = evaluate(runs["recurrent"], device="cpu")
    assert isinstance(scores, MappingScores)
    assert list(scores.scores) == ["upscaled", "bicubic", "nearest", "frame by frame", "real"]
    assert {"psnr", "ssim_y", "consistency", "tof", "warp_ratio"} <= scores.scores["upscaled"].keys()
    assert scores.frame_size == (32, 32) and scores.scale == 2 and scores.border == 2
    assert "psnr" in scores.differences["upscaled"] and "bicubic" not in scores.differences
    evaluate(runs["frame"], device="cpu")
    compared = table([runs["recurrent"], runs["frame"]])
    assert "paired differences" in compared and "recurrent: upscaled" in compared and "\nbicubic" in compared
    page = report(runs["recurrent"]).read_text()
    assert 'class="vidgan-player"' in page and page.count("<figure") >= 4 and "not available" not in page
    journal = (runs["recurrent"] / "journal.jsonl").read_text()
    assert "evaluation/output/psnr" in journal and "evaluation/bicubic/psnr" in journal
    longer = evaluate(runs["frame"], frames=8, metrics=("psnr",), device="cpu")
    assert isinstance(longer, MappingScores) and longer.frames == 8 and "ssim" not in longer.scores["upscaled"]
