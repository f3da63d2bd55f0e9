"""`vidgan train-encoder`, `invert`, `edit` and `edit-flow`: files, resuming, refusals and exit codes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import run_vidgan, small_config

from vidgan.commands import invert as inverting
from vidgan.commands.train import train
from vidgan.tasks.synthesis.codes import load_codes, render_codes
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.video.decode import probe, read_frames
from vidgan.video.encode import write_mp4, write_png

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tasks" / "synthesis"))

from small_mocogan import small_mocogan

FRAMES = 8  # of a training clip of the small model


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """`run("invert", ...)` -> (exit code, output, errors)."""
    return lambda *arguments: run_vidgan(capfd, monkeypatch, *arguments)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "small"
    small_mocogan(categories=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the model's length, one of twenty frames and another size, one of a single frame."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for name, shape in {"fits": (8, 32, 32, 3), "long": (20, 48, 64, 3), "single": (1, 32, 32, 3)}.items():
        write_mp4(folder / f"{name}.mp4", rng.integers(0, 256, shape, dtype=np.uint8), fps=10)
    return folder


@pytest.fixture(scope="module")
def codes_file(model_dir: Path, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codes") / "codes.safetensors"
    inverting.invert(model_dir, [videos / "fits.mp4", videos / "long.mp4"], out, starts=1, steps=2)
    return out


FEW = ("--starts", 1, "--steps", 2)


def test_a_folder_becomes_codes_of_windows(
    run, model_dir: Path, videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "codes.safetensors"
    code, printed, _ = run("invert", model_dir, videos, "--out", out, *FEW)
    assert code == 0 and "single.mp4" in caplog.text and "left out" in caplog.text
    assert "long.mp4: 64x48 scaled and cropped to 32x32, 20 frames divided into 3 windows of 8" in printed
    assert "best frame repeated" in printed and "starts" in printed
    model = MoCoGAN.from_pretrained(model_dir)
    held = load_codes(out, model)
    assert list(held) == ["fits.mp4", "long.mp4@0", "long.mp4@8", "long.mp4@12"]
    report = json.loads(out.with_suffix(".json").read_text())
    assert [entry["name"] for entry in report["clips"]] == list(held)
    clip = torch.from_numpy(read_frames(videos / "fits.mp4")).permute(0, 3, 1, 2)
    error = (render_codes(model, held["fits.mp4"]).double() - clip).square().mean() / 255**2
    assert report["clips"][0]["scores"]["psnr"] == pytest.approx(float(-10 * error.log10()))
    assert out.with_suffix(".png").is_file() and probe(out.with_suffix(".mp4")).frames == FRAMES
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".mp4", ".png", ".safetensors"]


def test_an_interrupted_inversion_resumes(
    model_dir: Path, videos: Path, codes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "codes.safetensors"
    calls: list[int] = []
    invert_clip = inverting.invert_clip

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return invert_clip(*arguments, **options)

    monkeypatch.setattr(inverting, "invert_clip", interrupted)
    clips = [videos / "fits.mp4", videos / "long.mp4"]
    with pytest.raises(KeyboardInterrupt):
        inverting.invert(model_dir, clips, out, starts=1, steps=2)
    assert not out.exists()
    inverting.invert(model_dir, clips, out, starts=1, steps=2)
    assert len(calls) == 3 + 2, "the two finished windows were not inverted again"
    assert out.read_bytes() == codes_file.read_bytes()


def test_strict_reports_frozen_fits_after_writing(run, model_dir: Path, videos: Path, tmp_path: Path) -> None:
    """Noise cannot be fitted in two steps."""
    out = tmp_path / "codes.safetensors"
    code, printed, err = run("invert", model_dir, videos / "fits.mp4", "--out", out, *FEW, "--strict")
    assert code == 1 and "frozen: fits.mp4" in err and "FROZEN" in printed
    assert out.is_file() and json.loads(out.with_suffix(".json").read_text())["clips"][0]["scores"]["frozen"] is True


def test_encoder_and_tuned_run(run, model_dir: Path, videos: Path, tmp_path: Path) -> None:
    weights = (model_dir / "model.safetensors").read_bytes()
    encoder, tuned, out = tmp_path / "encoder", tmp_path / "tuned", tmp_path / "codes.safetensors"
    assert run("train-encoder", model_dir, "--out", encoder, "--steps", 2, "--batch-size", 2)[0] == 0
    clip = videos / "fits.mp4"
    code, printed, _ = run("invert", model_dir, clip, "--out", out, *FEW, "--encoder", encoder, "--tune", tuned)
    assert code == 0 and "before tuning" in printed
    entry = json.loads(out.with_suffix(".json").read_text())["clips"][0]
    assert entry["scores"]["psnr"] > entry["before_tuning"]["psnr"]
    assert (model_dir / "model.safetensors").read_bytes() == weights
    model = MoCoGAN.from_pretrained(tuned)
    assert model.facts["tuned_on"] == 1 and list(load_codes(out, model)) == ["fits.mp4"]
    assert run("edit", tuned, "reverse", out, "--out", tmp_path / "reversed")[0] == 0
    code, _, err = run("edit", model_dir, "reverse", out, "--out", tmp_path / "refused")
    assert code == 2 and "another model" in err and not (tmp_path / "refused").exists()
    code, _, err = run("invert", tuned, clip, "--out", tmp_path / "b.safetensors", "--encoder", encoder)
    assert code == 2 and "another model" in err


@pytest.mark.parametrize(
    ("arguments", "frames"),
    [
        (["content", "fits.mp4", "long.mp4@0"], 8),
        (["motion", "fits.mp4", "2"], 8),
        (["morph", "0", "1", "--amount", 0.3, "--part", "content"], 8),
        (["add", "0", "1", "2", "--amount", -0.5], 8),
        (["mix", "0", "1", "--level", 2], 8),
        (["reverse", "0"], 8),
        (["slow", "0", "--amount", 3], 22),
        (["retime", "0", "--frames", 5], 5),
        (["loop", "0"], 6),
        (["continue", "0", "--frames", 4, "--seed", 1], 12),
        (["category", "0", "--category", "1"], 8),
        (["truncate", "0"], 8),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_operation_writes_clip_and_codes(
    run, model_dir: Path, codes_file: Path, tmp_path: Path, arguments: list, frames: int
) -> None:
    operation, *rest = arguments
    at = next((i for i, word in enumerate(rest) if str(word).startswith("--")), len(rest))
    references = [f"{codes_file}#{clip}" for clip in rest[:at]]
    out = tmp_path / "edited"
    code, _, err = run("edit", model_dir, operation, *references, *rest[at:], "--out", out)
    assert code == 0, err
    model = MoCoGAN.from_pretrained(model_dir)
    (codes,) = load_codes(out / "codes.safetensors", model).values()
    assert len(render_codes(model, codes)) == frames == probe(out / "clip.mp4").frames
    assert probe(out / "side-by-side.mp4").frames == max(frames, 8) and (out / "sheet.png").is_file()
    assert json.loads((out / "edit.json").read_text())["operation"] == operation


def test_masked_edit_keeps_the_original_outside(run, model_dir: Path, codes_file: Path, videos: Path, tmp_path) -> None:
    mask = np.zeros((32, 32, 3), np.uint8)
    mask[:, 24:] = 255
    write_png(tmp_path / "mask.png", mask)
    out = tmp_path / "edited"
    original = videos / "fits.mp4"
    options = ("--mask", tmp_path / "mask.png", "--original", original, "--out", out)
    assert run("edit", model_dir, "truncate", f"{codes_file}#0", *options)[0] == 0
    clip, true = read_frames(out / "clip.mp4").astype(int), read_frames(original).astype(int)
    assert np.abs(clip - true)[:, :, :16].mean() < 8, "two codings of the same frames"
    assert np.abs(clip - true)[:, :, 28:].mean() > 30
    code, _, err = run("edit", model_dir, "reverse", f"{codes_file}#0", "--original", original, "--out", tmp_path / "b")
    assert code == 2 and "--mask" in err


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["turn", "{codes}#0"], ["turn", "reverse"]),
        (["morph", "{codes}#0"], ["morph", "2 codes"]),
        (["reverse", "{codes}"], ["4 clips", "0: fits.mp4"]),
        (["reverse", "{codes}#9"], ["'9'", "0: fits.mp4"]),
        (["reverse", "absent.safetensors"], ["absent.safetensors"]),
        (["reverse", "{codes}#0", "--amount", "1"], ["--amount", "no effect"]),
        (["retime", "{codes}#0"], ["--frames"]),
        (["mix", "{codes}#0", "{codes}#1", "--level", "9"], ["--level 9"]),
        (["category", "{codes}#0", "--category", "walk"], ["walk"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_edit_refuses(run, model_dir: Path, codes_file: Path, tmp_path: Path, arguments: list, keys: list) -> None:
    words = [word.replace("{codes}", str(codes_file)) for word in arguments]
    code, _, err = run("edit", model_dir, *words, "--out", tmp_path / "edited")
    assert code == 2 and all(key in err for key in keys) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_invert_refuses(run, model_dir: Path, videos: Path, shapes_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.safetensors"
    for arguments, key in (
        ([model_dir, videos / "single.mp4"], "single.mp4"),
        ([model_dir, videos / "absent.mp4"], "absent.mp4"),
        ([model_dir], "CLIP"),
        ([model_dir, videos / "fits.mp4", "--encoder", model_dir], "InversionEncoder"),
    ):
        code, _, err = run("invert", *arguments, "--out", out, *FEW)
        assert code == 2 and key in err and "Traceback" not in err
    code, _, err = run("invert", model_dir, videos / "fits.mp4", "--out", tmp_path / "codes.npz")
    assert code == 2 and ".safetensors" in err
    assert list(tmp_path.iterdir()) == []
    encoder = {"width": 4, "max_width": 8}
    config = small_config("mocogan", shapes_data, tmp_path, model__encoder=encoder, train__steps=1)
    continues_frames = train(config, quiet=True).run_dir
    for command in (["invert", continues_frames, videos / "fits.mp4"], ["train-encoder", continues_frames]):
        code, _, err = run(*command, "--out", out)
        assert code == 2 and "model.encoder" in err and not out.exists()


def test_edit_flow(run, shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("dual_motion", shapes_data, tmp_path, train__steps=1)
    forecaster = train(config, quiet=True).run_dir
    video = write_mp4(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8))
    out = tmp_path / "edited.mp4"
    code, printed, _ = run("edit-flow", forecaster, video, "--scale", 0.5, "--horizon", 4, "--out", out)
    assert (code, printed.strip()) == (0, str(out)) and probe(out).frames == 3 + 4
    assert json.loads(out.with_suffix(".json").read_text())["scale"] == 0.5 and out.with_suffix(".png").is_file()
    code, _, err = run("edit-flow", forecaster, video, "--region", tmp_path / "no.png", "--out", tmp_path / "b.mp4")
    assert code == 2 and "no.png" in err
