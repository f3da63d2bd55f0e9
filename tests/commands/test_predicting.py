"""`vidgan predict` samples a video in time as the model's training clips were sampled."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from helpers import small_config

from vidgan.commands.predict import predict
from vidgan.commands.train import train
from vidgan.data.unprepared import read_one
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
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
    film = rearrange(torch.from_numpy(read_one(tmp_path / "film.mp4", size=model.image_size)), "t h w c -> t c h w")
    assert torch.equal(future, model.predict(film[None, : 3 * step : step], horizon=1)[0])
