"""`vidgan predict` samples a video in time as the model's training clips were sampled."""

import errno
import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from helpers import small_config

from vidgan.commands import forecast_files as command
from vidgan.commands import predict_live as live
from vidgan.commands.predict import predict
from vidgan.commands.train import train
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.unprepared import read_one
from vidgan.errors import ConfigError, RunFailedError, VideoError
from vidgan.hub import ModelFacts
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.video import read_video
from vidgan.video.encode import write_mp4


@pytest.fixture(scope="module")
def saved_model(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small_config("dual_motion", shapes_data, tmp_path_factory.mktemp("runs"), train__steps=1)
    return train(config, quiet=True).run_dir / "model"


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        ({}, 1),
        ({"stride": 2}, 2),
        ({"every": 2}, 2),
        ({"every": 2, "stride": 2}, 4),
        ({"sampled_fps": 4.0}, 3),
        ({"sampled_fps": 4.0, "every": 2, "fps": 12.0}, 3),
    ],
)
def test_context_has_the_time_step_of_training(
    facts: dict[str, Any], step: int, saved_model: Path, tmp_path: Path
) -> None:
    rows, columns = np.mgrid[:32, :32]
    frames = [np.stack([(columns * 5 + 9 * t) % 256, rows * 8, rows * 0 + 60], axis=-1) for t in range(16)]
    write_mp4(tmp_path / "film.mp4", np.stack(frames).astype(np.uint8), fps=12)
    shutil.copytree(saved_model, tmp_path / "model")
    saved = json.loads((tmp_path / "model" / "vidgan.json").read_text())
    defaults = {"fps": None, "every": 1, "stride": 1, "sampled_fps": None}
    assert defaults.keys() <= saved.keys()
    (tmp_path / "model" / "vidgan.json").write_text(json.dumps(saved | defaults | facts))
    future = predict(tmp_path / "model", tmp_path / "film.mp4", tmp_path / "future.mp4", context=3, horizon=1)
    model = DualMotionGAN.from_pretrained(tmp_path / "model")
    film = rearrange(
        torch.from_numpy(read_one(tmp_path / "film.mp4", ReadSettings(size=model.image_size)).frames),
        "t h w c -> t c h w",
    )
    assert torch.equal(future, model.predict(film[None, : 3 * step : step], horizon=1)[0])


def film(path: Path, fps: float) -> Path:
    rows, columns = np.mgrid[:32, :32]
    frames = [np.stack([(columns * 5 + 9 * t) % 256, rows * 8, rows * 0 + 60], axis=-1) for t in range(16)]
    return write_mp4(path, np.stack(frames).astype(np.uint8), fps=fps)


@pytest.mark.parametrize(
    ("options", "facts", "fps", "fps_from"),
    [
        ({}, {}, 12.0, "video"),
        ({}, {"stride": 2}, 6.0, "video"),
        ({}, {"every": 3, "stride": 2}, 2.0, "video"),
        ({}, {"sampled_fps": 4.0}, 4.0, "video"),
        ({"fps": 30.0}, {"stride": 2}, 30.0, "option"),
    ],
)
def test_the_output_has_the_frame_rate_of_what_the_model_reads(
    options: dict[str, float], facts: dict[str, Any], fps: float, fps_from: str, saved_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved_model, tmp_path / "model")
    saved = json.loads((tmp_path / "model" / "vidgan.json").read_text())
    defaults = {"fps": None, "every": 1, "stride": 1, "sampled_fps": None}
    (tmp_path / "model" / "vidgan.json").write_text(json.dumps(saved | defaults | facts))
    film(tmp_path / "film.mp4", 12)
    predict(tmp_path / "model", tmp_path / "film.mp4", tmp_path / "future.mp4", context=2, horizon=1, **options)  # type: ignore[arg-type]
    record = json.loads((tmp_path / "future.json").read_text())
    assert (record["fps"], record["fps_from"]) == (fps, fps_from)
    assert read_video(tmp_path / "future.mp4").fps == pytest.approx(fps)


def test_frames_without_a_clock_get_eight_frames_a_second(saved_model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((6, 32, 32, 3), np.uint8))
    predict(saved_model, tmp_path / "clip.npy", tmp_path / "future.mp4", context=2, horizon=1)
    record = json.loads((tmp_path / "future.json").read_text())
    assert (record["fps"], record["fps_from"]) == (8.0, "default")


def test_samples_of_a_model_with_one_forecast_are_refused_before_anything_is_written(
    shapes_data: Path, tmp_path: Path
) -> None:
    changes = {"train__steps": 1, "model__probabilistic": False, "objective__weights__kl": None}
    run = train(small_config("dual_motion", shapes_data, tmp_path / "runs", **changes), quiet=True).run_dir
    film(tmp_path / "film.mp4", 12)
    out = tmp_path / "out" / "future.mp4"
    with pytest.raises(ConfigError, match=r"--samples 3.*model\.probabilistic"):
        predict(run, tmp_path / "film.mp4", out, context=3, horizon=2, samples=3)
    assert not out.parent.exists()
    predict(run, tmp_path / "film.mp4", out, context=3, horizon=2)
    assert sorted(path.name for path in out.parent.iterdir()) == ["future.json", "future.mp4", "future.png"]


def test_a_full_disk_leaves_nothing_and_names_path_and_bytes(
    saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    np.save(tmp_path / "clip.npy", np.zeros((6, 32, 32, 3), np.uint8))
    (tmp_path / ".future.mp4.4194305.tmp").mkdir()  # left by a kill
    monkeypatch.setattr(command, "write_png", full)
    with pytest.raises(RunFailedError, match=r"future\.mp4: .*bytes"):
        predict(saved_model, tmp_path / "clip.npy", tmp_path / "future.mp4", context=2, horizon=1)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npy"]
    with pytest.raises(ConfigError, match="--horizon"):
        predict(saved_model, tmp_path / "clip.npy", tmp_path / "future.mp4", context=2, horizon=10**9)


def test_the_record_holds_the_trust_of_known_frames(saved_model: Path, tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", 12)
    lines: list[str] = []
    predict(saved_model, tmp_path / "film.mp4", tmp_path / "future.mp4", context=3, horizon=2, report=lines.append)
    trust = json.loads((tmp_path / "future.json").read_text())["trust"]
    assert trust["windows"] == 8 and {len(errors) for errors in trust["mse"].values()} == {2}
    model = DualMotionGAN.from_pretrained(saved_model)
    video = torch.from_numpy(read_one(tmp_path / "film.mp4", ReadSettings(size=model.image_size)).frames)
    video = rearrange(video, "t h w c -> t c h w")
    starts = [round(11 * n / 7) for n in range(8)]  # 16 frames, windows of 5
    errors = [(video[start + 3].float() - video[start + 2].float()).square().mean() for start in starts]
    assert trust["mse"]["copy_last"][0] == pytest.approx(float(torch.stack(errors).mean()), rel=1e-3)
    assert any("trust" in line for line in lines)


def test_a_video_without_further_frames_has_no_trust(saved_model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((3, 32, 32, 3), np.uint8))
    lines: list[str] = []
    predict(saved_model, tmp_path / "clip.npy", tmp_path / "future.mp4", context=3, horizon=1, report=lines.append)
    assert json.loads((tmp_path / "future.json").read_text())["trust"] is None
    assert any("not measured" in line for line in lines)


def test_another_frame_size_and_samples_side_by_side(saved_model: Path, tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", 12)
    out, lines = tmp_path / "future.mp4", list[str]()
    options: dict[str, Any] = {"context": 3, "horizon": 2, "samples": 2, "size": (48, 32), "report": lines.append}
    futures = predict(saved_model, tmp_path / "film.mp4", out, **options)
    assert futures.shape == (2, 2, 3, 48, 32)
    assert any("32x48" in line for line in lines)
    together = read_video(tmp_path / "future-samples.mp4").frames
    assert len(together) == 5 and together.shape[1] > 2 * 48 and together.shape[2] > 2 * 32  # three clips in a grid
    with pytest.raises(ConfigError, match="--size 40x32: accepted are multiples of 16"):
        predict(saved_model, tmp_path / "film.mp4", out, size=(40, 32), overwrite=True)


@pytest.mark.parametrize("from_stdin", [False, True])
def test_live_forecasts_are_those_of_the_context_so_far(
    from_stdin: bool, saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "film.mp4", 12)
    out = tmp_path / "live.mkv"
    lines: list[str] = []
    options: dict[str, Any] = {"horizon": 2, "report": lines.append}
    if from_stdin:
        with (tmp_path / "film.mp4").open("rb") as file:
            monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file))
            count = live.predict_live(saved_model, "-", out, **options)
    else:
        count = live.predict_live(saved_model, str(tmp_path / "film.mp4"), out, **options)
    written = read_video(out)
    assert written.fps == pytest.approx(12, rel=1e-3)
    shown = rearrange(torch.from_numpy(written.frames), "t h w c -> t c h w")
    assert count == 16 and len(shown) == 16 - 3  # the first forecast is made from two frames, of the fourth one
    assert "16 frames" in lines[-1] and "ms a frame" in lines[-1]
    model = DualMotionGAN.from_pretrained(saved_model)
    video = rearrange(torch.from_numpy(read_video(tmp_path / "film.mp4").frames), "t h w c -> t c h w")
    context = ModelFacts.from_json(model.facts).context or 0
    for frame in (6, 12):
        expected = model.predict(video[None, frame - 1 - context : frame - 1], 2)[0, -1]
        image = shown[frame - 3]  # (3, H', W'): the frame, then the forecast of it
        assert torch.equal(image[:, 2:34, 2:34], video[frame]) and torch.equal(image[:, 2:34, 36:68], expected)


@pytest.mark.parametrize(
    ("place", "name", "calls"),
    [(live, "fit_image", 9), (live.Watcher, "see", 9), (live, "tile", 6)],
    ids=["reading", "forecasting", "encoding"],
)
def test_ctrl_c_at_the_ninth_frame_keeps_the_frames_so_far(
    place: Any, name: str, calls: int, saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "film.mp4", 12)
    original, moments = getattr(place, name), iter(range(1, 100))

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if next(moments) == calls:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **options)

    monkeypatch.setattr(place, name, interrupted)
    before = signal.getsignal(signal.SIGINT)
    number = live.predict_live(
        saved_model, str(tmp_path / "film.mp4"), tmp_path / "live.mp4", horizon=2, report=lambda _: None
    )
    assert number == (8 if name == "fit_image" else 9)
    assert len(read_video(tmp_path / "live.mp4").frames) == number - 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_live_source_must_exist_and_last(saved_model: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        live.predict_live(saved_model, str(tmp_path / "none.mp4"))
    write_mp4(tmp_path / "short.mp4", np.zeros((2, 32, 32, 3), np.uint8), fps=5)
    with pytest.raises(VideoError, match=r"2 frames.*more"):
        live.predict_live(saved_model, str(tmp_path / "short.mp4"), report=lambda _: None)
