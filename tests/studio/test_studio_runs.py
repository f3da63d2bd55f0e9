"""The studio's tabs of trained runs and data: transform, compare, data, and trainings that are started and stopped."""

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import run_vidgan, small_config

from vidgan.commands.evaluate import evaluate
from vidgan.commands.train import train
from vidgan.config import differences, dump_config, load_config
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import load_index
from vidgan.data.store.storage import open_store
from vidgan.errors import ConfigError, DataError
from vidgan.runs import run_config, with_absolute_paths
from vidgan.studio.actions import compare, data, runs, transform
from vidgan.studio.catalogue import Catalogue, ModelShelf
from vidgan.studio.jobs import CancelledError, Job
from vidgan.studio.saving import open_result, save_result
from vidgan.training.journal import read_journal
from vidgan.training.lock import is_held
from vidgan.video.encode import write_mp4


def clip(seed: int, frames: int = 8) -> np.ndarray:
    """Blocks of random colours that change slowly, (T, 32, 32, 3) uint8."""
    base = np.random.default_rng(seed).integers(40, 200, (1, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (base + np.arange(frames)[:, None, None, None] * 3).astype(np.uint8)


@pytest.fixture(scope="module")
def place(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an upscaling run of two steps and a video."""
    folder = tmp_path_factory.mktemp("place")
    changes: dict[str, Any] = {
        "discriminators": {}, "optimizers": {"generator": {}}, "objective__weights": {"l1": 1.0},
        "train__batch_size": 2, "train__steps": 2, "name": "large",
    }  # fmt: skip
    train(small_config("upscaling", shapes_data, folder / "runs", **changes), quiet=True)
    write_mp4(folder / "videos" / "one.mp4", clip(1), fps=8)
    return folder


def test_an_upscaled_video_and_its_command_line(place: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(place)
    catalogue = Catalogue([Path("runs"), Path("videos")], tmp_path / "examples")
    assert catalogue.models_of("mapping") == ["runs/large"] and list(catalogue.runs) == ["runs/large"]
    assert catalogue.first_pair("mapping") == ("videos/one.mp4", "runs/large")
    entry = catalogue.model("runs/large", "mapping")
    options = transform.transform_options(entry, 5, True, True)
    assert options == transform.TransformOptions(frames=5), "an upscaler has neither option"
    shares: list[float] = []
    folder = tmp_path / "made"
    folder.mkdir()
    with ModelShelf().borrow(entry) as model:
        job = Job(lambda share, text: shares.append(share))
        made = transform.transform(model, entry, Path("videos/one.mp4"), folder, options, job)
    save_result(folder, made.result("one-upscaled"))
    assert list(made.clips) == ["input", "bicubic", "nearest", "frame by frame", "upscaled"]
    assert made.clips["upscaled"].shape == (5, 3, 64, 64) and made.clips["input"].shape == (5, 3, 32, 32)
    assert torch.equal(made.clips["nearest"][:, :, ::2, ::2], made.clips["input"])
    assert shares == sorted(shares) and len(shares) == 1 + 5 + 1 + 3, "frames, then baselines"
    with np.load(folder / "one-upscaled.npz") as arrays:
        assert np.array_equal(arrays["bicubic"], made.clips["bicubic"].numpy())
    for suffix, start in (("webp", b"RIFF"), ("gif", b"GIF8"), ("png", b"\x89PNG")):
        assert open_result(folder, f"one-upscaled.{suffix}").read_bytes().startswith(start)
    line = transform.transform_line(entry, "videos/one.mp4", options, str(tmp_path / "again.mp4"), None)
    code, _, errors = run_vidgan(capfd, monkeypatch, *shlex.split(line)[1:])
    assert code == 0, errors
    assert (tmp_path / "again.mp4").read_bytes() == open_result(folder, "one-upscaled.mp4").read_bytes()
    records = [json.loads(file.read_text()) for file in (tmp_path / "again.json", folder / "one-upscaled.json")]
    assert records[0] == records[1] | {"model": records[0]["model"]}
    assert transform.work_of(entry, Path("videos/one.mp4"), options) == ("pixels", 5 * 32 * 32)

    stopping = Job()
    stopping._report = lambda share, text: stopping.cancel() if "frame 2" in text else None
    with ModelShelf().borrow(entry) as model, pytest.raises(CancelledError):
        (tmp_path / "no").mkdir()
        transform.transform(model, entry, Path("videos/one.mp4"), tmp_path / "no", options, stopping)
    assert not list((tmp_path / "no").iterdir()), "a cancelled video is not kept"


def test_a_translation_stands_beside_its_baselines(shapes_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    changes: dict[str, Any] = {"train__batch_size": 2, "train__steps": 1, "name": "colour"}
    train(small_config("translation", shapes_data, tmp_path / "runs", **changes), quiet=True)
    write_mp4(Path("one.mp4"), clip(1, 20), fps=8)
    entry = Catalogue([Path("runs")], tmp_path / "examples").model("runs/colour", "mapping")
    options = transform.transform_options(entry, 20, False, False)
    assert transform.work_of(entry, Path("one.mp4"), options) == ("frames of the training", 20)
    with ModelShelf().borrow(entry) as model:
        made = transform.transform(model, entry, Path("one.mp4"), tmp_path, options, Job())
        read = model.of_video(made.clips["input"][None])
        baselines = {"what the model reads" if name == "input" else name: f for name, f in model.baselines().items()}
        assert list(made.clips) == ["input", *baselines, "translated"]
        for name, baseline in baselines.items():  # computed in parts, equal to those of the whole clip
            assert torch.equal(made.clips[name], baseline(read)[0]), name


def test_generators_are_compared_by_votes_and_with_real_clips(shapes_data: Path, tmp_path: Path) -> None:
    for number in range(2):
        changes: dict[str, Any] = {"train__batch_size": 2, "train__steps": 1, "name": f"m{number}", "seed": number}
        train(small_config("mocogan", shapes_data, tmp_path / "runs", **changes), quiet=True)
    catalogue, shelf = Catalogue([tmp_path / "runs"], tmp_path / "examples"), ModelShelf()
    first, second = (catalogue.model(str(tmp_path / "runs" / name), "clips") for name in ("m0", "m1"))
    made = compare.compare_generators(shelf, (first, second), shapes_data, 4, 3, 5, Job())
    with shelf.borrow(second) as model:
        assert torch.equal(made.pairs[2].clips[1], model.sample(3, frames=second.facts.frames, seed=5)[2])
    assert [row.name for row in made.metrics][:2] == [first.label, second.label] and len(made.metrics) == 4
    expected = evaluate(second.path, data=shapes_data, clips=4, seed=5, device="cpu")
    assert made.metrics[1].values["motion_histogram"] == expected.scores["generated"]["motion_histogram"].mean.mean
    assert made.meaning["motion_histogram"].name == "Difference in motion"
    assert made.meaning["motion_histogram"].better == "lower" and made.meaning["motion_energy"].better == ""
    lines = compare.generator_lines((first, second), shapes_data, 4, 3, 5).splitlines()
    assert shlex.split(lines[1])[1:6] == ["generate", second.label, "--clips", "3", "--seed"]
    assert shlex.split(lines[3])[1:5] == ["evaluate", second.label, "--data", str(shapes_data)]
    without = compare.compare_generators(shelf, (first, second), None, 4, 1, 5, Job())
    assert not without.metrics and "choose prepared data" in without.note
    with pytest.raises(ConfigError, match="clips for metrics is 1"):
        compare.compare_generators(shelf, (first, second), shapes_data, 1, 1, 0, Job())
    stopped = Job()
    stopped.cancel()
    with pytest.raises(CancelledError):
        compare.compare_generators(shelf, (first, second), shapes_data, 4, 1, 0, stopped)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data with a repeated clip, an almost repeated one, and a refused file."""
    folder = tmp_path_factory.mktemp("prepared")
    for name, seed in (("a", 1), ("b", 2), ("c", 3), ("a again", 1)):
        write_mp4(folder / "videos" / f"{name}.mp4", clip(seed), fps=8)
    write_mp4(folder / "videos" / "a brighter.mp4", clip(1) + 2, fps=8)
    (folder / "videos" / "bad.mp4").write_bytes(b"no video")
    prepare(folder / "videos", folder / "data", size=(32, 32), test_pattern="^(a brighter|c)", min_frames=3)
    return folder / "data"


def test_duplicates_across_the_split_come_first(prepared: Path) -> None:
    index = load_index(prepared)
    found = data.find_duplicates(index, open_store(prepared, index), Job())
    pairs = [({pair.first.source, pair.second.source}, pair.crosses) for pair in found]
    assert pairs == [({"a brighter.mp4", "a again.mp4"}, True), ({"a again.mp4", "a.mp4"}, False)]
    assert found[0].distance == pytest.approx(2 / 255, rel=0.3) and found[1].distance == 0


def test_a_page_says_how_many_clips_were_compared(prepared: Path, monkeypatch: Any) -> None:
    index = load_index(prepared)
    monkeypatch.setattr(data, "MAX_COMPARED", 2)
    text = str(data._duplicates(index, open_store(prepared, index), Job()))
    assert "Of 4 different clips, the first 2 were compared by their middle frames." in text


def test_the_page_of_prepared_data(prepared: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    page = data.data_page(prepared, "all", 4, 0, Job())
    for text in ("Contact sheet", "bad.mp4", "not-a-video", "No group is in both splits", "train and test"):
        assert text in page, text
    assert len(re.findall(r"data:image/png", page)) == 1
    for split, count in (("none", 4), ("all", 0), ("all", 1000)):
        with pytest.raises(ConfigError, match="accepted are train, test or all"):
            data.data_page(prepared, split, count, 0, Job())
    line = data.prepare_line(prepared)
    words = [word.replace("VIDEOS", str(prepared.parent / "videos")) for word in shlex.split(line)]
    words[words.index("--out") + 1] = str(tmp_path / "again")
    code, _, errors = run_vidgan(capfd, monkeypatch, *words[1:])
    assert code == 0, errors
    again, index = load_index(tmp_path / "again"), load_index(prepared)
    assert (again.fingerprint, again.split_hash) == (index.fingerprint, index.split_hash)


def test_folders_are_compared_blind(tmp_path: Path) -> None:
    for name, change in (("truth", 0), ("near", 2), ("far", 40)):
        for number in range(3):
            write_mp4(tmp_path / name / f"{number}.mp4", clip(number, 4) + change, fps=8)
    made = compare.compare_folders(
        ("near", "far"), (tmp_path / "near", tmp_path / "far"), tmp_path / "truth", 10, 1, Job()
    )
    assert sorted(pair.unit for pair in made.pairs) == ["0", "1", "2"] and {*made.swapped} == {True, False}
    near, far = (row.values["psnr"] for row in made.metrics)
    assert made.meaning["psnr"] == compare.metric_of("psnr", "higher", made.meaning["psnr"].definition)
    assert made.meaning["psnr"].name == "PSNR (dB)"
    assert near == pytest.approx(10 * np.log10(255**2 / 4), abs=1.5) and far < 20
    while not made.is_over:
        pair, swapped = made.pairs[len(made.votes)], made.swapped[len(made.votes)]
        left, right, truth = made.player_clips(with_truth=True)
        assert [left.label, right.label, truth.label] == ["left", "right", "truth"]
        assert np.array_equal(left.frames[0], pair.clips[1 if swapped else 0][0].permute(1, 2, 0).numpy())
        made.vote("right" if swapped else "left")  # always the near one
    assert made.preference().startswith("near: 3 votes; far: 0 votes; ties: 0. Probability that near is preferred: 0.8")
    with pytest.raises(ConfigError, match="every pair has a vote"):
        made.vote("tie")
    write_mp4(tmp_path / "near" / "alone.mp4", clip(9), fps=8)
    folders = tmp_path / "near", tmp_path / "far"
    other = compare.compare_folders(("near", "far"), folders, None, 2, 1, Job())
    assert len(other.pairs) == 2 and not other.metrics and "alone" in other.note, "votes need no metrics"
    with pytest.raises(DataError, match="same name"):
        (tmp_path / "empty").mkdir()
        compare.compare_folders(("a", "b"), (tmp_path / "near", tmp_path / "empty"), None, 3, 0, Job())


def test_forecasters_are_compared_on_the_same_windows(tmp_path: Path) -> None:
    catalogue, shelf = Catalogue([], tmp_path), ModelShelf()
    entries = tuple(catalogue.model(f"dual_motion/{name}", "forecast") for name in ("shapes", "natural"))
    video = next(iter(catalogue.videos.values())).path
    assert len(entries) == 2
    made = compare.compare_forecasters(shelf, entries, video, 1, 2, 0, Job())
    assert [pair.unit for pair in made.pairs] == ["frame 0", "frame 34"] and len(made.metrics) == 3
    with shelf.borrow(entries[0]) as model:
        context = made.pairs[1].clips[0][None, :5]
        assert torch.equal(model.predict(context, 1)[0], made.pairs[1].clips[0][5:])
    last = (made.pairs[0].truth[4:5].double() - made.pairs[0].truth[5:].double()).square().mean()
    other = (made.pairs[1].truth[4:5].double() - made.pairs[1].truth[5:].double()).square().mean()
    expected = float((10 * torch.log10(255**2 / torch.stack([last, other]))).mean())
    assert made.metrics[2].name == "copy-last" and made.metrics[2].values["psnr"] == pytest.approx(expected)


def test_a_training_is_started_and_stopped(shapes_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    config = small_config("mocogan", shapes_data, tmp_path / "runs", name="new", train__steps=100_000)
    (tmp_path / "small.yaml").write_text(dump_config(config))
    monkeypatch.setattr(runs, "shipped_configs", lambda: {"small.yaml": tmp_path / "small.yaml"})
    run, line = runs.train_line("small.yaml", shapes_data, "new", 90_000, None)
    assert (run, shlex.split(line)[:3]) == (Path("runs/new"), ["vidgan", "train", "small.yaml"])
    trainings = runs.Trainings(tmp_path / "logs")
    training = trainings.start(run, line)
    assert trainings.find(tmp_path / "runs" / "new") is training

    def wait(look: Any) -> None:
        for _ in range(600):
            if look():
                return
            time.sleep(0.1)
        raise AssertionError(training.output())

    wait(lambda: len(read_journal(run, skip_invalid=True)) > 2)
    assert is_held(run) and "; training" in runs.run_status(run)
    with pytest.raises(ConfigError, match="trained already"):
        trainings.start(run, line)
    page = runs.run_page(run)
    assert "step" in page and "90000" in page
    trainings.stop(run)
    wait(lambda: not training.is_running)
    stopped = json.loads((run / "model" / "vidgan.json").read_text())["step"]
    assert stopped > 0 and "no process trains it" in runs.run_status(run)
    with pytest.raises(ConfigError, match="no training that was started here"):
        trainings.stop(run)
    with pytest.raises(ConfigError, match="exists already"):
        runs.train_line("small.yaml", shapes_data, "new", None, None)
    command, verb, file, *changes = shlex.split(runs.resume_line(run))
    assert (command, verb, file) == ("vidgan", "train", "runs/new/config.yaml")
    assert differences(with_absolute_paths(load_config(Path(file), changes)), run_config(run)) == [], (
        "the same settings resume"
    )
    trainings.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": "../x"}, "name"), ({"name": ""}, "name"), ({"config": "/etc/passwd"}, "config"),
     ({"steps": 0}, "steps"), ({"batch": 1e9}, "batch size")],
)  # fmt: skip
def test_wrong_trainings_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    values = {"config": "mocogan/vidgan", "data": tmp_path, "name": "new", "steps": None, "batch": None} | changes
    with pytest.raises(ConfigError, match=message):
        runs.train_line(**values)
