"""`vidgan dissect` on a small run: the page, the result, own masks, and what it refuses."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import run_vidgan, small_config

from vidgan.commands.dissect import dissect
from vidgan.commands.generate import generate
from vidgan.commands.train import train
from vidgan.errors import ConfigError
from vidgan.pixels import to_byte
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.units import without_units


@pytest.fixture(scope="module")
def layered_run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {
        "model__frame": {"kind": "style", "width": 4, "max_width": 4, "mapping_width": 4},
        "model__layers": {"width": 4, "max_width": 4},
        "train__steps": 1,
    }
    out = tmp_path_factory.mktemp("runs")
    return train(small_config("mocogan", shapes_data, out, **changes), quiet=True).run_dir


def masks(folder: Path, clips: int, shape: tuple[int, ...] = (13, 32, 32)) -> Path:
    (folder / "own").mkdir(parents=True)
    for number in range(clips):
        mask = np.zeros(shape, np.uint8)
        mask[..., 8:20, 8:20] = 255
        np.save(folder / "own" / f"clip-{number:04d}.npy", mask)
    return folder


def test_page_and_result(
    layered_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "found"
    arguments = ["dissect", layered_run, "--out", out, "--clips", 8, "--random-sets", 2]
    code, printed, error = run_vidgan(capfd, monkeypatch, *arguments, "--masks", masks(tmp_path / "masks", 4))
    assert (code, printed.strip()) == (0, str(out)), error
    result = json.loads((out / "dissection.json").read_text())
    assert result["layers"] == {f"layers.{n}": 4 for n in range(4)}
    shares = [sum(row) for layer in result["split"]["by_unit"]["places"].values() for row in layer]
    assert shares == pytest.approx([1] * 16, abs=1e-4)
    assert set(result["concepts"]["own"]["nulls"]) == {"labels of other clips", "random weights"}
    assert result["masks"][0]["reference"] == "background subtraction"
    assert result["settings"]["clips"] == 8 and result["artefacts"]["without_random"]["mean"] > 0
    page = (out / "dissection.html").read_text()
    for title in ("Content or motion", "Units and concepts", "Given masks", "Effects", "Artefact units", "Layers"):
        assert f"<h2>{title}</h2>" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page) and ">nan<" not in page
    code, _, error = run_vidgan(capfd, monkeypatch, *arguments)
    assert code == 2 and str(out) in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found", "masks"]


def test_refusals(layered_run: Path, shapes_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 8"):
        dissect(layered_run, tmp_path / "out", clips=7)
    with pytest.raises(ConfigError, match=r"own/clip-0000.npy.*\(13, 32, 32\)"):
        dissect(layered_run, tmp_path / "out", clips=8, masks=masks(tmp_path / "short", 4, (12, 32, 32)))
    with pytest.raises(ConfigError, match="no such folder"):
        dissect(layered_run, tmp_path / "out", clips=8, masks=tmp_path / "missing")
    (tmp_path / "odd" / "own").mkdir(parents=True)
    (tmp_path / "odd" / "own" / "clip-0000.npy").write_bytes(b"no array")
    with pytest.raises(ConfigError, match="odd/own/clip-0000.npy"):
        dissect(layered_run, tmp_path / "out", clips=8, masks=tmp_path / "odd")
    with pytest.raises(ConfigError, match="DualMotionGAN"):
        dissect("dual_motion/shapes", tmp_path / "out", data=shapes_data)
    with pytest.raises(ConfigError, match="accepted is the model's size, 64x64"):
        dissect("mocogan/shapes", tmp_path / "out", data=shapes_data)
    assert not (tmp_path / "out").exists()


def test_clips_without_units_and_single_layers(layered_run: Path, tmp_path: Path) -> None:
    model = MoCoGAN.from_pretrained(layered_run)
    latents = model.latents(2, 13, seed=3)
    layers = model.render_layers(latents)
    make = partial(generate, layered_run, tmp_path / "clips", clips=2, seed=3, overwrite=True)
    assert make(layer="background").equal(to_byte(layers.background))
    assert make(layer="mask")[:, :, 0].equal(to_byte(2 * layers.mask - 1)[:, :, 0])
    with without_units(model, {"layers.1": [0, 2], "layers.2": [1]}):
        changed = model.render(latents)
    assert make(without_units=["layers.1:0,2", "layers.2:1"]).equal(changed)
    assert json.loads((tmp_path / "clips" / "generated.json").read_text())["without_units"] == [
        "layers.1:0,2",
        "layers.2:1",
    ]
    assert not changed.equal(model.render(latents))
    for options, key in (
        ({"layer": "sky"}, "--layer sky: accepted are foreground, mask, background"),
        ({"without_units": ["layers.9:1"]}, "--without-units: there is no layer 'layers.9'"),
        ({"without_units": ["layers.1:64"]}, "--without-units: layer layers.1"),
        ({"without_units": ["layers.1"]}, "--without-units: units 'layers.1'"),
    ):
        with pytest.raises(ConfigError, match=key):
            make(**options)
    with pytest.raises(ConfigError, match="whole frames"):
        generate("mocogan/shapes", tmp_path / "other", layer="mask")


def test_a_rule_scores_the_masks_of_a_layered_model(layered_run: Path, tmp_path: Path) -> None:
    def top(clips: torch.Tensor) -> torch.Tensor:
        label = torch.zeros(*clips.shape[:2], *clips.shape[3:], dtype=torch.bool)
        label[:, :, :16] = True
        return label

    result = dissect(layered_run, tmp_path / "out", clips=8, random_sets=2, rules={"top": top})
    assert [entry.reference for entry in result.masks] == ["background subtraction", "top"]
    assert result.masks[1].reference_coverage == 0.5 and "top" in result.matches.concepts
