"""The tools that make the shipped weights and measure their flow."""

import json
from dataclasses import replace
from pathlib import Path

import degradation
import flow_error
import numpy as np
import pytest
import torch
import train_shipped

from vidgan import DualMotionGAN
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.data.store.index import load_index
from vidgan.data.store.storage import open_store
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.hub import read_facts
from vidgan.video.encode import write_mp4


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine prepared clips of 10 frames with their true flow."""
    return prepare_shapes(tmp_path_factory.mktemp("true"), clips=9, frames=10, size=64, seed=4, flow=True)


def test_prepared_shapes_keep_their_true_flow(shapes: Path) -> None:
    index = load_index(shapes)
    assert index.flow == "rendered" and len(index.clips) == 9
    store = open_store(shapes, index)
    for entry in index.clips:
        true = render_moving_shape(4, int(Path(entry.source).stem), frames=10, size=64)
        np.testing.assert_allclose(store.flow(entry, 0, 9), true.flow, atol=2e-3)  # kept in half precision
        assert np.abs(store.frames(entry, range(10)).astype(int) - true.frames).mean() < 3, "the clip of that number"
    assert prepare_shapes(shapes.parent, clips=9, frames=10, size=64, seed=4, flow=True) == shapes
    assert load_index(shapes) == index, "what is finished stays"


def test_flow_errors_are_those_of_the_true_motion(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["dual_motion/shapes", "--data", str(shapes), "--horizon", "5", "--out", str(tmp_path / "table.json")]
    assert flow_error.main(options) == 0
    table = json.loads((tmp_path / "table.json").read_text())
    rows = {name: values for name, *values in table["rows"]}
    true = np.stack([render_moving_shape(4, index, frames=10, size=64).flow[4:] for index in range(9)])
    length = np.linalg.norm(true, axis=2)  # (9, 5, H, W)
    moving = [[length[i, k][length[i, k] > 0].mean() for k in range(5)] for i in range(9)]
    expected = [length[:, 0].mean(), np.mean(moving, axis=0)[0], length.mean(), np.mean(moving)]
    np.testing.assert_allclose(rows["no motion"], expected, atol=2e-3)
    assert rows["predicted flow f"][0] < rows["no motion"][0] < rows["last flow (DIS), carried"][0]
    assert rows["last flow (true), carried"][0] < rows["last flow (true), in place"][0] < rows["no motion"][0]
    assert "predicted flow f" in capsys.readouterr().out
    with pytest.raises(FileExistsError):
        flow_error.main(options)


def test_weights_are_made_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--out", str(tmp_path / "work"), "--weights", str(tmp_path / "weights")]
    quick = ["train.steps=2", "train.warmup=0", "train.batch_size=2"]
    assert train_shipped.main(["--only", "dual_motion/shapes", "--clips", "9", *where, *quick]) == 0
    folder = tmp_path / "weights" / "dual_motion" / "shapes"
    facts = read_facts(folder)
    assert (facts["step"], facts["clips"], facts["name"]) == (2, 9, "dual_motion/shapes")
    assert load_index(tmp_path / "work" / "dual_motion-shapes-data" / "data").flow == "rendered"
    assert "4.16 MB" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        train_shipped.main(["--take", str(folder)])


def test_weights_of_real_video_name_their_footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("walk", "eat")):
        frames = np.random.default_rng(number).integers(0, 256, (20, 96, 160, 3), dtype=np.uint8)
        write_mp4(tmp_path / "videos" / f"{name}.mp4", frames)
    footage = tuple(train_shipped.Footage(f"{name}.mp4", "MIT", (1, 2), (2,)) for name in ("walk", "eat"))
    small = ("model.widths=[4,4,4,4]", "model.dim_latent=4")
    name = "dual_motion/driving"
    recipe = replace(train_shipped.RECIPES[name], footage=footage, test_pattern="eat", changes=small)
    monkeypatch.setattr(train_shipped, "RECIPES", {name: recipe})
    where = ["--out", str(tmp_path / "work"), "--weights", str(tmp_path / "weights")]
    quick = ["train.steps=1", "train.warmup=0", "train.batch_size=1", "data.allow_few=true"]
    with pytest.raises(SystemExit):
        train_shipped.main(["--only", name, *where, *quick])  # without --videos
    command = ["--only", name, "--videos", str(tmp_path / "videos"), *where, *quick]
    assert train_shipped.main(command) == 0
    facts = read_facts(tmp_path / "weights" / name)
    assert facts["footage"] == {"walk.mp4": "MIT"} and facts["held_out"] == "eat"
    assert DualMotionGAN.from_pretrained(tmp_path / "weights" / name).image_size == (128, 160)
    stored = {path.name for path in (tmp_path / "work" / "dual_motion-driving-data" / "clips").iterdir()}
    assert stored == {"walk-every-2.npy", "eat-every-2.npy"}


def test_degradation_compares_with_the_better_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, columns = np.mgrid[:64, :64]
    still = np.stack([columns * 4, rows * 4, rows * 0 + 90], axis=-1).astype(np.uint8)
    write_mp4(tmp_path / "videos" / "still.mp4", np.repeat(still[None], 12, axis=0), fps=20)
    out = tmp_path / "result"
    options = ["dual_motion/shapes", str(tmp_path / "videos"), "--horizon", "2", "--windows", "2", "--out", str(out)]
    assert degradation.main(options) == 0
    table = json.loads(out.with_suffix(".json").read_text())
    assert (
        table["title"].startswith("3 windows of 1 videos") and len(table["rows"]) == 2
    )  # two at 20 frames/s, one at 10
    assert out.with_suffix(".png").is_file()
    window = degradation.Window("a", 0, None, torch.zeros(1), np.array([[105.0, 50.0], [100.0, 80.0], [120.0, 40.0]]))
    np.testing.assert_allclose(window.excess, [1.05, 1.25])
    with pytest.raises(SystemExit, match="no video that matches"):
        degradation.main([*options[:-1], str(tmp_path / "other"), "--pattern", "none"])
