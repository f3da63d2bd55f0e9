"""`vidgan single`: the files, the record, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vidgan
from vidgan.config import load_config
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.errors import ConfigError
from vidgan.video.decode import read_frames
from vidgan.video.encode import write_png


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    render_shapes(folder, clips=1, frames=20, size=32, seed=1)
    return next(folder.rglob("*.mp4"))


def test_variations_and_their_record(video: Path, tmp_path: Path) -> None:
    clips = vidgan.single(video, tmp_path / "out", clips=2, size=(32, 40), segment="2:12", seed=5)
    assert clips.shape == (2, 12, 3, 32, 40)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"clip-0000.mp4", "clip-0001.mp4", "source.mp4", "overview.webp", "sheet.png", "single.json"}
    written = read_frames(tmp_path / "out" / "clip-0001.mp4")
    difference = np.abs(written.astype(float) - clips[1].permute(0, 2, 3, 1).numpy())
    assert written.shape == (12, 32, 40, 3) and difference.mean() < 8
    record = json.loads((tmp_path / "out" / "single.json").read_text())
    assert record["clip_size"] == [12, 32, 40] and record["segment"] == "2:12" and record["method"] == "patch"
    assert record["scores"]["spread"] > 0 and set(record["scores"]) == set(record["definitions"])
    assert record["cost"]["seconds_per_second_of_video"] > 0


def test_without_noise_the_segment_comes_back(video: Path, tmp_path: Path) -> None:
    clips = vidgan.single(video, tmp_path / "out", clips=1, noise=0.0, segment="0:8")
    assert torch.equal(clips[0], torch.from_numpy(read_frames(video))[:8].permute(0, 3, 1, 2))
    record = json.loads((tmp_path / "out" / "single.json").read_text())
    assert record["scores"]["nearest_patch"] == 0 and record["scores"]["rearranged"] == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"extend_by": 4, "loop": True}, "--loop"),
        ({"extend_by": 4, "size": (32, 32)}, "--size"),
        ({"segment": "5-9"}, "--segment 5-9"),
        ({"segment": "15:20"}, "--segment 15:20"),
        ({"size": (6, 64)}, "6x64"),
        ({"size": (60_000, 60_000)}, "--size"),
        ({"segment": "0:3"}, "3 frames"),
        ({"method": "patches"}, "--method patches"),
        ({"run": Path("runs/x")}, "--run"),
        ({"method": "pyramid", "extend_by": 4}, "--extend"),
        ({"method": "forecast", "clips": 1}, "--extend"),
        ({"method": "forecast", "extend_by": 4}, "--clips 4"),
        ({"method": "forecast", "extend_by": 4, "clips": 1, "noise": 1.0}, "--noise"),
    ],
)
def test_refusals_name_the_option_and_write_nothing(video: Path, tmp_path: Path, options: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        vidgan.single(video, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_earlier_result_is_kept_unless_overwriting_is_asked_for(video: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not an earlier result"):
        vidgan.single(video, tmp_path / "out", overwrite=True)


SHORT = {
    "pyramid": ["objective.scale_steps=1", "model.width=4"],
    "forecast": ["train.steps=2", "train.warmup=0"],
}


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for a step per scale, or two."""

    def shortened(path: Path, changes: list[str]) -> object:
        fixed = any(change.startswith("train.steps") for change in changes)
        return load_config(path, changes + [c for c in SHORT[path.stem] if not (fixed and c.startswith("train.steps"))])

    monkeypatch.setattr("vidgan.commands.single.load_config", shortened)


def test_a_pyramid_is_trained_once_and_used_again(video: Path, tmp_path: Path, two_steps: None) -> None:
    options = {"method": "pyramid", "run": tmp_path / "run", "segment": "0:8", "side": 24}
    clips = vidgan.single(video, tmp_path / "first", clips=2, size=(24, 36), **options)
    assert clips.shape == (2, 8, 3, 24, 36)
    weights = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    looped = vidgan.single(video, tmp_path / "second", clips=1, loop=True, **options)
    assert looped.shape == (1, 8, 3, 24, 24)
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == weights
    large = vidgan.single_edit(video, "enlarge", tmp_path / "large.mp4", **options)
    assert large.shape == (8, 3, 48, 48)
    with pytest.raises(ConfigError, match="other data"):
        vidgan.single(video, tmp_path / "third", **(options | {"segment": "4:8"}))


def test_a_forecast_keeps_the_source(video: Path, tmp_path: Path, two_steps: None) -> None:
    clips = vidgan.single(video, tmp_path / "out", method="forecast", clips=1, extend_by=3, segment="0:8")
    assert clips.shape == (1, 11, 3, 32, 32)
    assert torch.equal(clips[0, :8], torch.from_numpy(read_frames(video))[:8].permute(0, 3, 1, 2))
    record = json.loads((tmp_path / "out" / "single.json").read_text())
    assert record["run"].endswith("out-forecast") and record["cost"]["training_seconds"] > 0


def test_edits_write_a_clip_and_a_record(video: Path, tmp_path: Path) -> None:
    source = torch.from_numpy(read_frames(video))[:9].permute(0, 3, 1, 2)
    doubled = vidgan.single_edit(video, "rate", tmp_path / "rate.mp4", segment="0:9")
    assert torch.equal(doubled[::2], source)
    record = json.loads((tmp_path / "rate.json").read_text())
    assert record["clip_size"] == [17, 3, 32, 32] and record["operation"] == "rate"
    write_png(tmp_path / "edited.png", source[3].flip(0))
    followed = vidgan.single_edit(
        video, "follow", tmp_path / "follow.mp4", segment="0:9", image=tmp_path / "edited.png", at=3
    )
    assert torch.equal(followed[3], source[3].flip(0)) and not torch.equal(followed[8], source[8])


@pytest.mark.parametrize(
    ("operation", "options", "named"),
    [
        ("follow", {}, "--image"),
        ("rate", {"at": 3}, "--at"),
        ("harmonise", {"mask": Path("mask.png")}, "--composite"),
        ("follow", {"method": "pyramid"}, "follow is made by patch only"),
        ("rate", {"method": "forecast"}, "--method forecast"),
        ("shrink", {}, "harmonise, follow, rate, enlarge"),
        ("rate", {"run": Path("runs/x")}, "--run"),
    ],
)
def test_edits_refuse_what_has_no_effect(
    video: Path, tmp_path: Path, operation: str, options: dict, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        vidgan.single_edit(video, operation, tmp_path / "out.mp4", **options)
    assert not (tmp_path / "out.mp4").exists()
