"""The command line: results, and for a user error exit code 2 and one line that names the option, key or file."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import run_vidgan, small_config
from PIL import Image

import vidgan
from vidgan.commands import clip_files as generating
from vidgan.commands import forecast_files
from vidgan.commands.train import train
from vidgan.config import dump_config
from vidgan.video.decode import probe
from vidgan.video.encode import write_mp4


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """`run("train", ...)` -> (exit code, output, errors)."""
    return lambda *arguments: run_vidgan(capfd, monkeypatch, *arguments)


@pytest.fixture(scope="session")
def mocogan_run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mocogan")
    return train(small_config("mocogan", shapes_data, out, train__steps=2, every__preview=1), quiet=True).run_dir


@pytest.fixture(scope="session")
def forecast_run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dual")
    return train(small_config("dual_motion", shapes_data, out, train__steps=2, every__preview=1), quiet=True).run_dir


@pytest.fixture(scope="session")
def single_forecast_run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that cannot sample."""
    changes = {"model__probabilistic": False, "objective__weights__kl": None, "train__steps": 1}
    config = small_config("dual_motion", shapes_data, tmp_path_factory.mktemp("single"), **changes)
    return train(config, quiet=True).run_dir


@pytest.fixture
def video(tmp_path: Path) -> Path:
    clip = np.random.default_rng(0).integers(0, 256, (14, 48, 64, 3), dtype=np.uint8)
    return write_mp4(tmp_path / "street.mp4", clip)


def test_help_does_not_import_torch() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vidgan", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "prepare" in done.stdout and "evaluate" in done.stdout
    assert "torch" not in done.stderr
    assert time.monotonic() - started < 20


def test_reading_configs_and_tasks_imports_no_large_library_but_torch() -> None:
    large = {"torchvision", "torchmetrics", "skimage", "scipy"}
    check = f"import sys, vidgan.config; print(sorted({large} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_short_help_and_version(run) -> None:
    code, printed, _ = run("-h")
    assert code == 0 and "predict" in printed
    code, printed, _ = run("predict", "-h")
    assert code == 0 and "--horizon" in printed
    assert run("--version")[:2] == (0, f"{vidgan.__version__}\n")


def test_generate_writes_clips_that_decode(run, mocogan_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "clips"
    code, printed, _ = run("generate", mocogan_run, "--out", out, "--clips", 3, "--frames", 20, "--category", "down")
    assert (code, printed.strip()) == (0, str(out))
    assert [probe(p).frames for p in sorted(out.glob("*.mp4"))] == [20, 20, 20]
    record = json.loads((out / "generated.json").read_text())
    assert (record["category"], record["seed"], record["facts"]["step"]) == ("down", 0, 2)
    assert (out / "overview.gif").stat().st_size and (out / "sheet.png").stat().st_size
    code, _, err = run("generate", mocogan_run, "--out", out)
    assert code == 2 and str(out) in err and "--overwrite" in err
    assert len(list(out.glob("*.mp4"))) == 3, "a refused command changed an existing result"


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["--category", "walk"], ["category 'walk'", "across, circle, down"]),
        (["--frames", "1"], ["--frames"]),
        (["--fps", "2000"], ["--fps"]),
        (["--first-frame", "missing.png"], ["missing.png"]),
    ],
)
def test_generate_refuses(run, mocogan_run: Path, tmp_path: Path, arguments: list[str], keys: list[str]) -> None:
    code, _, err = run("generate", mocogan_run, "--out", tmp_path / "clips", *arguments)
    assert code == 2 and all(key in err for key in keys) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_generate_leaves_nothing(
    run, mocogan_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generating, "write_png", disk_full)
    code, _, err = run("generate", mocogan_run, "--out", tmp_path / "clips", "--clips", 2)
    assert code == 2 and "disk full" in err
    assert list(tmp_path.iterdir()) == []


def disk_full(*_: object, **__: object) -> None:
    raise OSError("disk full")


def test_a_first_frame_needs_an_image_to_video_model(run, mocogan_run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 40)).save(tmp_path / "first.png")
    code, _, err = run("generate", mocogan_run, "--out", tmp_path / "clips", "--first-frame", tmp_path / "first.png")
    assert code == 2 and "--first-frame" in err and "model.encoder" in err
    assert not (tmp_path / "clips").exists()


def test_image_to_video_from_training_to_clip(run, shapes_data: Path, tmp_path: Path) -> None:
    config = small_config(
        "mocogan", shapes_data, tmp_path / "runs", model__encoder={"width": 4}, objective__weights__first_frame=10.0,
        train__steps=2, every__evaluate=2,
    )  # fmt: skip
    trained = train(config, quiet=True).run_dir
    first = tmp_path / "first.png"
    Image.new("RGB", (50, 40), (200, 30, 30)).save(first)
    assert run("generate", trained, "--out", tmp_path / "clips", "--first-frame", first, "--clips", 2)[0] == 0
    code, _, err = run("generate", trained, "--out", tmp_path / "more")
    assert code == 2 and "--first-frame" in err
    assert not (tmp_path / "more").exists()


def test_predict_writes_context_and_future(run, forecast_run: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "future.mp4"
    code, printed, _ = run("predict", forecast_run, video, "--context", 4, "--horizon", 6, "--samples", 2, "--out", out)
    assert (code, printed.strip()) == (0, str(out))
    assert probe(out).frames == 10
    names = {p.name for p in tmp_path.iterdir()}
    assert {"future.png", "future.json", "future-sample-0.mp4", "future-sample-1.mp4", "future-spread.png"} <= names
    assert names >= {"street.mp4"} and len(names) == 8, "temporary files remain"
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code, _, err = run("predict", forecast_run, video, "--out", out)
    assert code == 2 and str(out) in err and "--overwrite" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
    assert run("predict", forecast_run, video, "--out", out, "--context", 4, "--overwrite")[0] == 0
    assert probe(out).frames == 14


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["--context", "20"], ["street.mp4", "14 frames", "--context is 20"]),
        (["--start", "13"], ["street.mp4", "1 frames", "--start"]),
        (["--horizon", "0"], ["--horizon"]),
        (["--seed", "3"], ["--seed", "--samples"]),
        (["--out", "forecast.avi"], ["--out", "forecast.avi", ".mp4"]),
    ],
)
def test_predict_refuses(
    run, forecast_run: Path, video: Path, tmp_path: Path, arguments: list[str], keys: list[str]
) -> None:
    code, _, err = run("predict", forecast_run, video, "--out", tmp_path / "f.mp4", *arguments)
    assert code == 2 and all(key in err for key in keys) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == [video]


def test_samples_of_a_model_that_cannot_sample(run, single_forecast_run: Path, video: Path, tmp_path: Path) -> None:
    command = ["predict", single_forecast_run, video, "--out", tmp_path / "f.mp4", "--context", 4, "--horizon", 2]
    code, _, err = run(*command, "--samples", 3)
    assert code == 2 and "--samples 3" in err and "model.probabilistic" in err
    assert list(tmp_path.iterdir()) == [video]
    assert run(*command)[0] == 0


@pytest.mark.parametrize("existing", ["f.json", "f-spread.png", "f-sample-1.mp4"])
def test_predict_checks_every_result_first(run, forecast_run: Path, video: Path, tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("existing")
    code, _, err = run("predict", forecast_run, video, "--out", tmp_path / "f.mp4", "--samples", 2)
    assert code == 2 and existing in err
    assert {path.name for path in tmp_path.iterdir()} == {video.name, existing}


def test_a_failed_predict_leaves_nothing(
    run, forecast_run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_files, "write_text", disk_full)
    code, _, err = run("predict", forecast_run, video, "--out", tmp_path / "f.mp4", "--context", 4, "--horizon", 2)
    assert code == 2 and "disk full" in err
    assert list(tmp_path.iterdir()) == [video]


def test_a_model_of_the_other_kind_is_named(
    run, mocogan_run: Path, forecast_run: Path, video: Path, tmp_path: Path
) -> None:
    code, _, err = run("predict", mocogan_run, video, "--out", tmp_path / "f.mp4")
    assert code == 2 and "MoCoGAN" in err
    code, _, err = run("generate", forecast_run, "--out", tmp_path / "clips")
    assert code == 2 and "DualMotionGAN" in err
    code, _, err = run("generate", tmp_path / "nothing", "--out", tmp_path / "clips")
    assert code == 2 and str(tmp_path / "nothing") in err


def test_damaged_weights_are_named(run, mocogan_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(mocogan_run / "model", copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    code, _, err = run("generate", copy, "--out", tmp_path / "clips")
    assert code == 2 and str(copy) in err and "Traceback" not in err


def test_evaluate_prints_baselines_and_keeps_the_result(run, forecast_run: Path, tmp_path: Path) -> None:
    code, printed, _ = run("evaluate", forecast_run, "--horizon", 3, "--out", tmp_path / "scores.json")
    assert code == 0
    for row in ("fused P", "warped W", "direct A", "copy-last", "constant-velocity warp", "context mean"):
        assert row in printed
    assert (forecast_run / "scores" / "held-out-3to3.json").is_file()
    assert json.loads((tmp_path / "scores.json").read_text())["horizon"] == 3
    assert run("evaluate", forecast_run, "--out", tmp_path / "scores.json")[0] == 2


def test_evaluate_a_generator_beside_its_floor(run, mocogan_run: Path) -> None:
    code, printed, _ = run("evaluate", mocogan_run, "--clips", 8, "--json")
    assert code == 0
    scores = json.loads(printed)["scores"]
    assert {"generated", "real", "frozen", "shuffled", "blurred"} <= scores.keys()
    assert scores["frozen"]["motion_energy"]["mean"]["mean"] == 0
    code, _, err = run("evaluate", mocogan_run, "--horizon", 3)
    assert code == 2 and "--horizon" in err


def test_evaluate_by_protocol(run, forecast_run: Path) -> None:
    code, _, err = run("evaluate", forecast_run, "--protocol", "caltech-10to1")
    assert code == 2 and "32x32" in err and "128x160" in err and "--allow-deviation" in err
    code, _, err = run("evaluate", forecast_run, "--protocol", "caltech")
    assert code == 2 and "caltech-10to1" in err
    code, _, err = run("evaluate", forecast_run, "--best")
    assert code == 2 and f"{forecast_run}" in err and "best/" in err
    code, _, err = run("evaluate", forecast_run, "--clips", "64")
    assert code == 2 and "--clips" in err


def test_overwrite_replaces_only_results_of_the_same_command(run, mocogan_run: Path, tmp_path: Path) -> None:
    before = sorted(p.name for p in mocogan_run.iterdir())
    code, _, err = run("generate", mocogan_run, "--out", mocogan_run, "--overwrite")
    assert code == 2 and str(mocogan_run) in err
    code, _, err = run("demo", "--out", mocogan_run, "--overwrite")
    assert code == 2 and str(mocogan_run) in err
    assert sorted(p.name for p in mocogan_run.iterdir()) == before
    out = tmp_path / "clips"
    assert run("generate", mocogan_run, "--out", out, "--clips", 3)[0] == 0
    assert run("generate", mocogan_run, "--out", out, "--clips", 2, "--overwrite")[0] == 0
    assert len(list(out.glob("*.mp4"))) == 2


def test_evaluate_two_folders_of_videos(run, video: Path, tmp_path: Path) -> None:
    truth, forecast = tmp_path / "truth", tmp_path / "forecast"
    clip = np.zeros((5, 32, 32, 3), np.uint8)
    np.save(_folder(truth) / "a.npy", clip)
    np.save(_folder(forecast) / "a.npy", clip + 51)
    code, printed, _ = run("compare", forecast, truth, "--json")
    assert code == 0
    scores = json.loads(printed)["scores"]["prediction"]
    assert scores["mse"]["mean"]["mean"] == pytest.approx(0.04)
    assert scores["psnr"]["mean"]["mean"] == pytest.approx(10 * np.log10(25))
    np.save(truth / "b.npy", clip)
    code, _, err = run("compare", forecast, truth)
    assert code == 2 and "named b" in err


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_report_is_one_page_of_the_run(run, forecast_run: Path) -> None:
    code, printed, _ = run("report", forecast_run)
    assert code == 0
    page = Path(printed.strip()).read_text()
    assert "data:image/png;base64" in page and "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["mocogan/vidgn"], ["mocogan/vidgn"]),
        (["mocogan/demo"], ["data.root"]),
        (["mocogan/demo", "data.root=nowhere"], ["nowhere"]),
        (["mocogan/demo", "data.root=DATA", "train.stesp=3"], ["stesp", "'steps'"]),
        (["mocogan/demo", "data.root=DATA", "data.frames=64"], ["64 frames", "127 frames"]),
        (["dual_motion/demo", "data.root=DATA", "data.context=9"], ["data.context=9"]),
        (["mocogan/demo", "data.root=DATA", "train.device=cuda"], ["GPU"]),
        (["mocogan/demo", "--dry-run", "--find-batch"], ["--dry-run", "--find-batch"]),
    ],
)
def test_train_refuses(run, shapes_data: Path, tmp_path: Path, arguments: list[str], keys: list[str]) -> None:
    if torch.cuda.is_available() and "train.device=cuda" in arguments:
        pytest.skip("this machine has a GPU")
    arguments = [a.replace("DATA", str(shapes_data)) for a in arguments]
    code, _, err = run("train", *arguments, f"out={tmp_path}")
    assert code == 2 and all(key in err for key in keys) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing"),
        (["EMPTY"], "EMPTY"),
        (["TEXT"], "TEXT"),
        (["VIDEO", "--size", "63x"], "--size 63x"),
        (["VIDEO", "--categories"], "categor"),
        (["VIDEO", "--flow-method", "dis"], "--flow-method"),
    ],
)
def test_prepare_refuses(run, video: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    _folder(tmp_path / "EMPTY")
    (_folder(tmp_path / "TEXT") / "notes.mp4").write_text("not a video")
    (_folder(tmp_path / "VIDEO") / "street.mp4").write_bytes(video.read_bytes())
    arguments = [str(tmp_path / a) if a.isupper() else a for a in arguments]
    code, _, err = run("prepare", *arguments, "--out", tmp_path / "data")
    assert code == 2 and message in err and "Traceback" not in err


def test_training_on_data_without_categories_or_flow(run, video: Path, tmp_path: Path) -> None:
    (_folder(tmp_path / "videos") / "street.mp4").write_bytes(video.read_bytes())
    assert run("prepare", tmp_path / "videos", "--out", tmp_path / "data", "--size", 32)[0] == 0
    code, _, err = run(
        "train",
        "mocogan/demo",
        f"data.root={tmp_path / 'data'}",
        f"out={tmp_path / 'runs'}",
        "data.frames=12",
        "data.stride=1",
    )
    assert code == 2 and "--categories" in err
    code, _, err = run("train", "dual_motion/demo", f"data.root={tmp_path / 'data'}", f"out={tmp_path / 'runs'}")
    assert code == 2 and "--flow" in err


def test_models_names_everything(run) -> None:
    code, printed, _ = run("models")
    assert code == 0
    for name in ("mocogan", "dual_motion", "video", "copy_last", "relativistic", "mocogan/paper"):
        assert name in printed


def test_a_run_that_fails_exits_with_1(run, shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    wild = {"optimizers__generator": {"name": "sgd", "lr": 1e6}, "optimizers__video": {"name": "sgd", "lr": 1e6}}
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=50, **wild)))
    code, _, err = run("train", config, "--quiet")
    assert code == 1 and "finite" in err and "Traceback" not in err


def test_doctor_trains_a_step_of_each_model(run) -> None:
    code, printed, _ = run("doctor")
    assert code == 0, printed
    assert "ok      one step of each model" in printed and "FAILED" not in printed
