"""`vidgan translate`: streams, options, refusals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import run_vidgan, small_config

from vidgan.commands.train import train
from vidgan.commands.translate import translate
from vidgan.errors import ConfigError, DataError, PretrainedError
from vidgan.tasks.translation.translator import Translator
from vidgan.video.decode import read_frames
from vidgan.video.encode import write_mp4

Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def runs(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A run of one step for a condition; each is trained once."""
    made: dict[str, Path] = {}

    def run(kind: str, **changes: Any) -> Path:
        if kind not in made:
            config = small_config(
                "translation", shapes_data, tmp_path_factory.mktemp("runs"), train__steps=1,
                model__condition={"kind": kind}, **changes,
            )  # fmt: skip
            made[kind] = train(config, quiet=True).run_dir
        return made[kind]

    return run


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of 40x48 with a coloured gradient that moves."""
    x = np.linspace(0, 255, 48)[None, None, :, None] * np.array([1.0, 0.5, 0.1])
    clip = np.stack([np.roll(np.broadcast_to(x, (1, 40, 48, 3))[0], 2 * time, axis=1) for time in range(8)])
    return write_mp4(tmp_path_factory.mktemp("video") / "in.mp4", clip.astype(np.uint8), fps=10)


def test_the_file_is_what_the_model_makes_of_the_frames(runs: Runs, video: Path, tmp_path: Path) -> None:
    result = translate(runs("grey"), video, tmp_path / "out.mp4")
    assert (result.frames, result.size, result.fps) == (8, (32, 32), 10)
    model = Translator.from_pretrained(runs("grey"))
    frames = torch.from_numpy(read_frames(video, size=(32, 32))).permute(0, 3, 1, 2)
    expected = model.map_clips(model.of_video(frames[None]))[0]
    written = torch.from_numpy(read_frames(tmp_path / "out.mp4")).permute(0, 3, 1, 2)
    assert (written.float() - expected.float()).abs().mean() < 8
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["frames"] == 8 and record["own_size"] is False and record["fps_from"] == "video"


def test_own_size_and_first_frames(runs: Runs, video: Path, tmp_path: Path) -> None:
    result = translate(runs("grey"), video, tmp_path / "out.mp4", own_size=True, frames=3)
    assert (result.frames, result.size) == (3, (40, 48))


def test_interpolation_has_more_frames_at_a_higher_rate(runs: Runs, video: Path, tmp_path: Path) -> None:
    result = translate(runs("dropped"), video, tmp_path / "out.mp4")
    assert (result.frames, result.fps) == (15, 20)
    with pytest.raises(DataError, match="needs 2"):
        translate(runs("dropped"), video, tmp_path / "one.mp4", frames=1)


def test_masks(runs: Runs, video: Path, tmp_path: Path) -> None:
    holes = np.zeros((8, 40, 48, 3), np.uint8)
    holes[:, 10:20, 10:20] = 255
    mask = write_mp4(tmp_path / "mask.mp4", holes, fps=10)
    short = write_mp4(tmp_path / "short.mp4", holes[:5], fps=10)
    small = write_mp4(tmp_path / "small.mp4", holes[:, :30], fps=10)
    one = write_mp4(tmp_path / "one.mp4", holes[:1], fps=10)
    for name, path in (("a", mask), ("b", one)):
        translate(runs("holes"), video, tmp_path / f"{name}.mp4", mask=path)
    assert np.array_equal(read_frames(tmp_path / "a.mp4"), read_frames(tmp_path / "b.mp4"))
    with pytest.raises(DataError, match="5 frames.*has 8"):
        translate(runs("holes"), video, tmp_path / "c.mp4", mask=short)
    with pytest.raises(DataError, match="48x30.*48x40"):
        translate(runs("holes"), video, tmp_path / "c.mp4", mask=small)
    with pytest.raises(ConfigError, match="--mask is missing"):
        translate(runs("holes"), video, tmp_path / "c.mp4")
    with pytest.raises(ConfigError, match="--mask.*no effect"):
        translate(runs("grey"), video, tmp_path / "c.mp4", mask=mask)
    assert not list(tmp_path.glob("c.*"))


def test_grey_videos_are_refused_where_colour_is_read(runs: Runs, tmp_path: Path) -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 255, (4, 32, 32, 1), dtype=np.uint8), 3, axis=-1)
    path = write_mp4(tmp_path / "grey.mp4", grey, fps=10)
    with pytest.raises(DataError, match=r"grey\.mp4: is grey"):
        translate(runs("dark"), path, tmp_path / "out.mp4")
    assert translate(runs("grey"), path, tmp_path / "out.mp4").frames == 4


def test_the_command_and_another_model(
    runs: Runs, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, _ = run_vidgan(capfd, monkeypatch, "translate", runs("grey"), video)
    assert code == 0 and printed.strip() == "in-translated.mp4" and (tmp_path / "in-translated.mp4").is_file()
    code, _, error = run_vidgan(capfd, monkeypatch, "translate", runs("grey"), video)
    assert code == 2 and "in-translated.mp4" in error
    code, _, error = run_vidgan(capfd, monkeypatch, "translate", runs("grey"), tmp_path / "none.mp4", "--overwrite")
    assert code == 2 and "none.mp4" in error
    with pytest.raises(PretrainedError, match="no such folder"):
        translate(tmp_path / "none", video, tmp_path / "x.mp4")
