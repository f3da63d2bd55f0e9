"""The weights that ship with the package, loaded by name from the command line and from Python."""

import json
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from einops import rearrange
from helpers import run_vidgan
from PIL import Image
from small_networks import style_mocogan

from vidgan import DualMotionGAN, MoCoGAN, evaluate
from vidgan.data.synthetic.captioned import read_slots
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.errors import PretrainedError
from vidgan.evaluation.baselines import ConstantVelocityWarp
from vidgan.hub import find_shipped, read_facts, shipped_weights
from vidgan.types import ByteClip
from vidgan.video.decode import probe
from vidgan.video.encode import write_mp4
from vidgan.video.optical_flow import default_method, estimate_flow


@pytest.fixture
def vidgan(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """`vidgan("generate", ...)` in a folder of its own -> (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_vidgan(capfd, monkeypatch, *arguments)


def test_shipped_weights_are_small_and_documented() -> None:
    shapes = {"mocogan/captions", "mocogan/shapes", "dual_motion/shapes"}
    real = {"dual_motion/natural", "dual_motion/driving"}
    assert set(shipped_weights()) == shapes | real
    for name, folder in shipped_weights().items():
        assert {path.name for path in folder.iterdir()} == {
            "model.safetensors", "config.json", "vidgan.json", "README.md",
        }  # fmt: skip
        assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
        facts, card = read_facts(folder), (folder / "README.md").read_text()
        assert (facts["name"], facts["licence"]) == (name, "Apache-2.0")
        if name in shapes:
            assert facts["trained_on"] == "moving shapes that vidgan rendered" and facts["trained_on"] in card
        else:
            assert set(facts["footage"].values()) <= {"MIT", "BSD-3-Clause", "Apache-2.0", "CC BY 3.0", "CC BY 4.0"}
            assert all(path in card for path in facts["footage"]) and "scores" in facts
        assert f'{facts["class"]}.from_pretrained("{name}")' in card


def test_a_short_name_is_resolved_by_class() -> None:
    clips = MoCoGAN.from_pretrained("shapes").sample(2, seed=3)
    assert torch.equal(clips, MoCoGAN.from_pretrained("mocogan/shapes").sample(2, seed=3))
    assert DualMotionGAN.from_pretrained("shapes").facts["name"] == "dual_motion/shapes"
    with pytest.raises(PretrainedError, match="shapes: .*dual_motion/shapes or mocogan/shapes"):
        find_shipped("shapes")
    with pytest.raises(PretrainedError, match="MoCoGAN, not a DualMotionGAN"):
        DualMotionGAN.from_pretrained("mocogan/shapes")
    with pytest.raises(PretrainedError, match="squares: .*dual_motion/shapes, mocogan/captions, mocogan/shapes"):
        MoCoGAN.from_pretrained("squares")


def test_a_model_folder_precedes_shipped_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes").mkdir()  # without weights
    assert MoCoGAN.from_pretrained("shapes").facts["name"] == "mocogan/shapes"
    with pytest.raises(PretrainedError, match="shapes"):
        MoCoGAN.from_pretrained(Path("shapes"))
    style_mocogan().save_pretrained("shapes")
    assert "name" not in MoCoGAN.from_pretrained("shapes").facts


def test_generate_with_shipped_weights(vidgan, tmp_path: Path) -> None:
    assert vidgan("generate", "--pretrained", "shapes", "--clips", 2)[:2] == (0, "shapes-clips\n")
    facts = json.loads((tmp_path / "shapes-clips" / "generated.json").read_text())["facts"]
    assert probe(tmp_path / "shapes-clips" / "clip-0001.mp4").frames == facts["frames"]
    category = facts["categories"][-1]
    assert vidgan("generate", "--pretrained", "mocogan/shapes", "--category", category, "--out", "one")[0] == 0


def test_predict_warns_that_the_weights_are_of_another_domain(
    vidgan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = np.random.default_rng(0).integers(0, 256, (20, 90, 161, 3), dtype=np.uint8)
    write_mp4(tmp_path / "street.mp4", video)
    code, out, _ = vidgan("predict", "--pretrained", "shapes", "street.mp4", "--horizon", 3)
    assert (code, out) == (0, "street-future.mp4\n")
    assert "moving shapes that vidgan rendered" in caplog.text
    context = json.loads((tmp_path / "street-future.json").read_text())["context"]
    info = probe(tmp_path / "street-future.mp4")
    assert (info.frames, info.height, info.width) == (context + 3, 64, 64)


@pytest.mark.parametrize("name", ["driving", "natural"])
def test_weights_for_real_video_extrapolate_motion(name: str) -> None:
    """A textured plane that moves by 3 pixels a frame: far better than copying, from frames of any size."""
    noise = np.random.default_rng(1).integers(0, 256, (12, 24, 3)).astype(np.uint8)
    plane = np.asarray(Image.fromarray(noise).resize((300, 120), Image.Resampling.BICUBIC))
    clip = torch.from_numpy(np.stack([plane[8:104, 40 - 3 * t : 168 - 3 * t] for t in range(7)])).permute(0, 3, 1, 2)
    model = DualMotionGAN.from_pretrained(name)
    assert model.image_size == (128, 160)
    future = model.predict(clip[None, :4], 3)[0]
    error, copied = ((one.float() - clip[4:].float()).square().mean(dim=(1, 2, 3)) for one in (future, clip[3:4]))
    assert bool((error < 0.1 * copied).all())


def test_generate_from_a_caption_with_shipped_weights(vidgan, tmp_path: Path) -> None:
    """Of 8 clips of a caption, most are small, red and move up."""
    text = "a small red square moves up, slowly"
    assert vidgan("generate", "--pretrained", "captions", "--text", text, "--clips", 8, "--out", "clips")[0] == 0
    assert json.loads((tmp_path / "clips" / "generated.json").read_text())["text"] == [text]
    clips = MoCoGAN.from_pretrained("captions").sample(8, text=text)
    shown = read_slots(clips.permute(0, 1, 3, 4, 2).numpy())
    wanted = {"colour": "red", "size": "small", "motion": "up", "speed": "slowly"}
    assert all(sum(clip[slot] == value for clip in shown) >= 6 for slot, value in wanted.items())


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["generate", "--pretrained", "shape"], ["shape: ", "mocogan/shapes", "mean shapes"]),
        (["predict", "--pretrained", "kitti", "a.mp4"], ["kitti: ", "dual_motion/shapes"]),
        (["evaluate", "--pretrained", "x"], ["x: ", "dual_motion/shapes, mocogan/captions, mocogan/shapes"]),
        (["evaluate", "--pretrained", "mocogan/shapes"], ["--data DATA"]),
        (["generate", "runs/mine", "--pretrained", "shapes"], ["runs/mine", "shapes"]),
        (["generate"], ["RUN", "--pretrained"]),
        (["predict", "a.mp4"], ["RUN", "--pretrained"]),
        (["predict", "runs/mine", "a.mp4", "b.mp4"], ["3 paths", "RUN VIDEO"]),
        (["evaluate"], ["RUN", "--pretrained"]),
        (["generate", "runs/none"], ["runs/none: "]),
        (["predict", "--pretrained", "nobody/such", "a.mp4"], ["nobody/such: "]),
        (["evaluate", "--pretrained", "nobody/such"], ["nobody/such: "]),
    ],
)
def test_user_errors_name_the_argument(
    vidgan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], keys: list[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    code, _, err = vidgan(*arguments)
    assert code == 2 and all(key in " ".join(err.split()) for key in keys) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_models_lists_shipped_weights(vidgan) -> None:
    listed = vidgan("models")[1].partition("shipped weights (--pretrained)\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == [
        "dual_motion/driving", "dual_motion/natural", "dual_motion/shapes", "mocogan/captions", "mocogan/shapes",
    ]  # fmt: skip
    assert "DualMotionGAN, " in listed and " MB, trained on moving shapes" in listed


def test_evaluate_by_name(vidgan, shapes_data: Path) -> None:
    options = ["--data", shapes_data, "--horizon", 1, "--metrics", "psnr"]
    code, out, _ = vidgan("evaluate", "--pretrained", "dual_motion/shapes", *options, "--json")
    assert code == 0
    scores = evaluate("dual_motion/shapes", data=shapes_data, horizon=1, metrics=("psnr",))
    assert json.loads(out)["scores"]["fused P"] == scores.to_dict()["scores"]["fused P"]


def psnr(forecast: ByteClip, truth: ByteClip) -> float:
    error = (forecast.double() - truth.double()).square().mean(dim=(1, 2, 3, 4))
    return float((10 * (255**2 / error).log10()).mean())


def test_the_forecaster_beats_its_baselines() -> None:
    """On unseen clips, its frames are closer to the truth than constant velocity, and its flow closer than none."""
    model = DualMotionGAN.from_pretrained("shapes")
    context = int(model.facts["context"])
    shapes = [render_moving_shape(1, index, frames=context + 5, size=64) for index in range(12)]
    clips = rearrange(torch.from_numpy(np.stack([shape.frames for shape in shapes])), "b t h w c -> b t c h w")
    observed, truth = clips[:, :context], clips[:, context:]
    forecast = model.predict(observed, 5)
    method = default_method()
    baseline = ConstantVelocityWarp(lambda now, before: estimate_flow(now, before, method=method), carry=True)
    extrapolated = baseline(observed, 5)
    for steps in (1, 5):
        best = psnr(forecast[:, :steps], truth[:, :steps])
        assert best > psnr(extrapolated[:, :steps], truth[:, :steps]) + 0.5
        assert best > psnr(observed[:, -1:].expand(-1, steps, -1, -1, -1), truth[:, :steps]) + 5
    true_flow = torch.from_numpy(np.stack([shape.flow[context - 1 :] for shape in shapes]))
    error = (model.forecast(observed, 5).flow - true_flow).norm(dim=2).mean()
    assert error < 0.9 * true_flow.norm(dim=2).mean(), "zero flow is closer"


def test_the_generator_renders_one_shape_of_one_colour() -> None:
    """Every frame contains a bright shape of a plausible size, and its colour is constant over the clip."""
    clips = MoCoGAN.from_pretrained("shapes").sample(12, seed=0).double()  # (B, T, 3, H, W)
    bright = clips.amax(dim=2, keepdim=True) > 128
    share = bright.double().mean(dim=(2, 3, 4))  # (B, T)
    assert float(share.min()) > 0.04 and float(share.max()) < 0.3
    colour = (clips * bright).sum(dim=(3, 4)) / bright.sum(dim=(3, 4))  # (B, T, 3)
    within, between = colour.std(dim=1).mean(), colour.mean(dim=1).std(dim=0).mean()
    assert within < 0.25 * between
    assert float((clips[:, 1:] - clips[:, :-1]).abs().mean()) > 0.5, "nothing moves"
