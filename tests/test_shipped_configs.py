"""Every shipped config trains for two steps, its networks at full size, on data of its kind."""

import json
from pathlib import Path

import pytest

from vidgan.commands.train import train
from vidgan.config import load_config, shipped_configs
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import CATEGORIES, render_shapes

SIZES = {"mocogan/sky": (128, 128), "mocogan/growing": (128, 128),
         "dual_motion/kitti": (128, 224), "dual_motion/paper": (128, 160),
         "dual_motion/vidgan": (128, 160), "mocogan/demo": (32, 32), "mocogan/layered": (32, 32),
         "mocogan/captions": (32, 32),
         "dual_motion/demo": (32, 32), "dual_motion/natural": (128, 224)}  # fmt: skip


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    render_shapes(folder / "videos", clips=9, frames=36, size=64, seed=0)
    for name in CATEGORIES:
        with (folder / "videos" / "captions.jsonl").open("a") as file:
            file.write(json.dumps({"category": name, "captions": [f"a shape moves {name}"]}) + "\n")
    return folder


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_two_steps(name: str, videos: Path, tmp_path: Path) -> None:
    size = SIZES.get(name, (64, 64))
    data = tmp_path / "data"
    one_clip = name.startswith("single_clip/")
    source = next((videos / "videos").rglob("*.mp4")) if one_clip else videos / "videos"
    prepare(source, data, size=size, flow="auto", categories=not one_clip, holdout=0.0)
    batch = 1 if name.startswith("dual_motion/") else 2
    changes = [f"data.root={data}", f"out={tmp_path}", "train.steps=2", f"train.batch_size={batch}", "train.warmup=0"]
    changes.append("every.evaluate=null")
    if name.startswith("unpaired/"):
        changes.append(f"data.other={data}")
    if one_clip:
        changes.append("data.frames=36")
    result = train(load_config(shipped_configs()[name], changes), quiet=True)
    assert result.steps == 2
    assert (result.run_dir / "model" / "model.safetensors").is_file()
