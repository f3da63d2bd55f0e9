"""`vidgan layers` and `vidgan edit --without-units` on codes of a small layered model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import run_vidgan

from vidgan.commands.edit import edit
from vidgan.commands.layers import layers
from vidgan.errors import ConfigError
from vidgan.pixels import to_byte
from vidgan.tasks.synthesis.codes import Codes, layers_of, render_codes, save_codes
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.mocogan import MoCoGAN, build_mocogan
from vidgan.tasks.synthesis.units import without_units
from vidgan.video.decode import probe
from vidgan.video.encode import write_mp4

FRAMES = 8


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    frame = {"kind": "style", "width": 4, "max_width": 4, "mapping_width": 4}
    config = MoCoGANConfig(dim_content=4, dim_motion=4, frame=frame, layers={"width": 4, "max_width": 4})
    model = build_mocogan(config, image_size=(32, 32), num_categories=0).eval()
    model.facts = {"frames": FRAMES}
    folder = tmp_path_factory.mktemp("model") / "layered"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def codes_file(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = MoCoGAN.from_pretrained(model_dir)
    latents = model.latents(2, FRAMES, seed=1)
    path = tmp_path_factory.mktemp("codes") / "codes.safetensors"
    save_codes(path, {name: Codes.from_latents(latents, row, model) for row, name in enumerate(("a", "b"))})
    return path


def test_the_layers_of_a_clip_and_the_background_of_another(
    model_dir: Path,
    codes_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = MoCoGAN.from_pretrained(model_dir)
    latents = model.latents(2, FRAMES, seed=1)
    truth = model.render_layers(latents)
    code, printed, error = run_vidgan(
        capfd, monkeypatch, "layers", model_dir, f"{codes_file}#a", "--out", tmp_path / "out", "--background",
        f"{codes_file}#b",
    )  # fmt: skip
    assert (code, printed.strip()) == (0, str(tmp_path / "out")), error
    assert (np.load(tmp_path / "out" / "mask.npy") == truth.segmentation()[0].numpy()).all()
    names = ("clip", "foreground", "mask", "background", "composed")
    assert all(probe(tmp_path / "out" / f"{name}.mp4").frames == FRAMES for name in names)
    assert json.loads((tmp_path / "out" / "layers.json").read_text())["coverage"] == pytest.approx(
        float(truth.mask[0].mean()), abs=1e-5
    )
    swapped = layers(model_dir, f"{codes_file}#a", tmp_path / "again", background=f"{codes_file}#b")
    assert torch.allclose(swapped.background[0], truth.background[1], atol=1e-5)
    assert torch.allclose(swapped.mask[0], truth.mask[0], atol=1e-5)


def test_an_object_is_pasted_over_a_video(model_dir: Path, codes_file: Path, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    write_mp4(video, np.full((FRAMES, 32, 32, 3), 180, np.uint8), fps=8)
    found = layers(model_dir, f"{codes_file}#a", tmp_path / "out", background=video)
    assert float((found.background - (180 / 127.5 - 1)).abs().max()) < 0.03
    write_mp4(tmp_path / "still.mp4", np.zeros((1, 32, 32, 3), np.uint8), fps=8)
    with pytest.raises((ConfigError, ValueError), match=r"still\.mp4"):
        layers(model_dir, f"{codes_file}#a", tmp_path / "other", background=tmp_path / "still.mp4")
    assert not (tmp_path / "other").exists()


def test_codes_give_the_layers_of_their_clip(model_dir: Path) -> None:
    model = MoCoGAN.from_pretrained(model_dir)
    codes = Codes.from_latents(model.latents(1, FRAMES, seed=2), 0, model)
    assert to_byte(layers_of(model, codes).clip())[0].equal(render_codes(model, codes))


def test_an_edit_without_units(model_dir: Path, codes_file: Path, tmp_path: Path) -> None:
    model = MoCoGAN.from_pretrained(model_dir)
    codes = Codes.from_latents(model.latents(2, FRAMES, seed=1), 0, model)
    with without_units(model, {"layers.3": [0, 1]}):
        changed = render_codes(model, codes)
    edited = edit(model_dir, "none", [f"{codes_file}#a"], tmp_path / "out", without_units=["layers.3:0,1"])
    assert edited.equal(changed) and not edited.equal(render_codes(model, codes))
    with pytest.raises(ConfigError, match="--without-units"):
        edit(model_dir, "none", [f"{codes_file}#a"], tmp_path / "other", without_units=["layers.3:7"])


def test_a_model_of_whole_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whole frames"):
        layers("mocogan/shapes", tmp_path / "codes.safetensors", tmp_path / "out")
