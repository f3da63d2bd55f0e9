"""Layered MoCoGAN: composition, edits, gradients, guards and training."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config
from pydantic import ValidationError
from small_networks import small_mocogan

from vidgan.commands.train import train
from vidgan.config import RunConfig
from vidgan.errors import ConfigError
from vidgan.pixels import to_byte
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.layers import (
    Layers,
    layer_panels,
    paste,
    remove_object,
    shift_foreground,
    swap_background,
)
from vidgan.tasks.synthesis.mocogan import MoCoGAN, build_mocogan
from vidgan.training.diagnostics import diagnose


def layered(**options: Any) -> MoCoGAN:
    frame = {"kind": "style", "width": 4, "max_width": 8, "mapping_width": 8}
    config: dict[str, Any] = {"dim_content": 4, "dim_motion": 4, "frame": frame, "layers": {"width": 4, "max_width": 8}}
    torch.manual_seed(0)
    return build_mocogan(MoCoGANConfig(**config | options), image_size=(32, 32), num_categories=0)


def random_layers(clips: int = 2, frames: int = 3, size: int = 8) -> Layers:
    random = torch.Generator().manual_seed(0)
    parts = [2 * torch.rand(clips, frames, 3, size, size, generator=random) - 1 for _ in range(2)]
    return Layers(parts[0], torch.rand(clips, frames, 1, size, size, generator=random), parts[1])


def test_the_mask_selects_the_layers_exactly() -> None:
    layers = random_layers()
    assert layers._replace(mask=torch.ones_like(layers.mask)).clip().equal(layers.foreground)
    assert layers._replace(mask=torch.zeros_like(layers.mask)).clip().equal(layers.background)
    half = Layers(torch.ones(1, 1, 3, 2, 2), torch.full((1, 1, 1, 2, 2), 0.5), torch.zeros(1, 1, 3, 2, 2))
    assert half.clip().equal(torch.full((1, 1, 3, 2, 2), 0.5))
    assert layers.segmentation().equal(layers.mask[:, :, 0] > 0.5)


def test_a_shift_moves_exactly_the_masked_pixels() -> None:
    layers = random_layers()
    shifted = shift_foreground(layers, torch.tensor([[2, 0], [-1, 3]]))
    assert shifted.mask[0, :, :, :, 2:].equal(layers.mask[0, :, :, :, :-2]) and not shifted.mask[0, :, :, :, :2].any()
    assert shifted.foreground[1, :, :, 3:, :-1].equal(layers.foreground[1, :, :, :-3, 1:])
    assert not shifted.mask[1, :, :, :3].any() and not shifted.mask[1, :, :, :, -1:].any()
    assert shifted.clip()[1, :, :, :3].equal(layers.background[1, :, :, :3])
    assert shift_foreground(layers, torch.zeros(2, 2, dtype=torch.int64)).clip().equal(layers.clip())


def test_removal_swap_and_paste() -> None:
    layers = random_layers()
    other = Layers(*(part.flip(0) for part in layers))
    assert remove_object(layers).equal(layers.background)
    swapped = swap_background(layers, other)
    assert swapped.equal(layers.mask * layers.foreground + (1 - layers.mask) * layers.background.flip(0))
    assert swap_background(layers, layers).equal(layers.clip())
    assert paste(layers, other.background).equal(swapped)
    with pytest.raises(ValueError, match="accepted"):
        paste(layers, other.background[:, :2])
    assert layer_panels(layers)[4].equal(to_byte(layers.clip())[1]) and len(layer_panels(layers)) == 8


def test_the_background_is_drawn_once_from_the_content_alone() -> None:
    model = layered().eval()
    latents = model.latents(3, 5, seed=0)
    layers = model.render_layers(latents, batch_size=2)
    assert to_byte(layers.clip()).equal(model.render(latents, batch_size=2))
    assert layers.background.equal(layers.background[:, :1].expand_as(layers.background))
    other = model.render_layers(latents._replace(motion=model.latents(3, 5, seed=1).motion))
    assert other.background.equal(layers.background) and not other.mask.equal(layers.mask)
    assert float(layers.mask.min()) >= 0 and float(layers.mask.max()) <= 1


def test_a_camera_moves_the_background_and_starts_close_to_rest() -> None:
    model = layered(layers={"width": 4, "max_width": 8, "camera": 0.3}).eval()
    layers = model.render_layers(model.latents(2, 4, seed=0))
    assert not layers.background[:, 0].equal(layers.background[:, 1])
    assert model.background is not None
    with torch.no_grad():
        model.background.camera.weight.zero_()
    still = model.render_layers(model.latents(2, 4, seed=0)).background
    assert torch.allclose(still, still[:, :1].expand_as(still), atol=1e-6)


def test_gradients_reach_both_layers_and_each_alone() -> None:
    model = layered()
    latents = model.draw_latents(Draws(0, rows=range(2)), 3)
    layers = model(latents, as_layers=True)
    layers.clip().square().mean().backward()
    for part in (model.frame, model.background, model.motion):
        assert part is not None and any(float(weight.grad.abs().sum()) > 0 for weight in part.parameters())
    model.zero_grad()
    model(latents, as_layers=True).mask.mean().backward()
    assert model.background is not None and all(weight.grad is None for weight in model.background.parameters())


def test_a_model_of_whole_frames_has_no_layers() -> None:
    model = small_mocogan()
    assert not model.is_layered
    with pytest.raises(ValueError, match="layers"):
        model.render_layers(model.latents(1, 3))
    with pytest.raises(ValueError, match="layers"):
        model(model.latents(1, 3), as_layers=True)


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = layered().eval()
    model.facts = {}
    model.save_pretrained(tmp_path / "model")
    latents = model.latents(2, 3, seed=0)
    assert MoCoGAN.from_pretrained(tmp_path / "model").render(latents).equal(model.render(latents))


def config_of(data: Path, out: Path, **changes: Any) -> RunConfig:
    options = {
        "model__layers": {"width": 4, "max_width": 4},
        "objective__weights__mask_coverage": 1.0,
        "objective__weights__mask_binary": 0.1,
        "objective__coverage": [0.05, 0.3],
        "objective__shift_foreground": 0.1,
    }
    return small_config("mocogan", data, out, **options | changes)


def journal(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]


def test_training_logs_the_guards_and_resumes_bit_for_bit(shapes_data: Path, tmp_path: Path) -> None:
    whole = train(config_of(shapes_data, tmp_path / "whole", every__preview=2), quiet=True)
    first = train(config_of(shapes_data, tmp_path / "parts", train__steps=2), quiet=True)
    parts = train(config_of(shapes_data, tmp_path / "parts"), accept_changes=True, quiet=True)
    assert first.steps == 2 and parts.steps == 4
    weights = [path.run_dir / "model" / "model.safetensors" for path in (whole, parts)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    record = [record for record in journal(whole.run_dir) if "mask/mean" in record][-1]
    assert 0 < record["mask/mean"] < 1 and 0 < record["mask/entropy"] <= 1
    assert record["loss/generator/mask_binary"] <= 0.5 and record["loss/generator/mask_coverage"] >= 0
    assert list((whole.run_dir / "previews").glob("*.webp"))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"objective__coverage": None}, "coverage"),
        ({"objective__coverage": [0.4, 0.3]}, "coverage"),
        ({"objective__coverage": [0.1, 1.5]}, "coverage"),
        ({"model__layers": None}, "weights.mask_coverage needs model.layers"),
        ({"model__layers": {"width": 4, "max_width": 2}}, "max_width"),
        ({"model__warp_first_frame": True, "model__encoder": {}}, "exclude each other"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValidationError), match=key):
        config_of(tmp_path, tmp_path, **changes)


def test_a_trivial_mask_is_a_warning() -> None:
    def names(mean: float) -> list[str]:
        return [fault.name for fault in diagnose([{"step": n, "mask/mean": mean} for n in range(60)])]

    assert names(0.001) == names(0.95) == ["trivial_mask"]
    assert names(0.1) == []
