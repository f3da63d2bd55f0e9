"""`vidgan single`: the files, the record, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vidgan
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.errors import ConfigError
from vidgan.video.decode import read_frames


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
