"""Inversion: own clips are found again, the model stays, the wrong use is refused."""

from dataclasses import replace

import pytest
import torch
from small_mocogan import small_mocogan

from vidgan.errors import ConfigError, DataError
from vidgan.tasks.synthesis.codes import Codes, as_path, load_codes, model_hash, path_of, render_codes, save_codes
from vidgan.tasks.synthesis.inversion import InversionSettings, inputs_for_path, invert_clip
from vidgan.tasks.synthesis.inversion_encoder import EncoderSettings, InversionEncoder, train_encoder
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.tuning import TuningSettings, tune_generator

FRAMES = 6


@pytest.fixture(scope="module")
def model() -> MoCoGAN:
    return small_mocogan(categories=2)


@pytest.fixture(scope="module")
def own(model: MoCoGAN) -> Codes:
    return Codes.from_latents(model.latents(3, FRAMES, seed=4), 1, model)


def weights_of(model: MoCoGAN) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("motion", ["inputs", "path"])
def test_own_clips_are_found_and_the_model_stays(model: MoCoGAN, own: Codes, motion: str) -> None:
    before = weights_of(model)
    clip = render_codes(model, own)
    steps = []
    found = invert_clip(
        model, clip, InversionSettings(motion=motion, starts=3, steps=100), on_step=lambda: steps.append(1)
    )
    assert found.scores.psnr > 35 and not found.scores.is_frozen
    assert found.scores.psnr > found.scores.best_frame_psnr + 3
    assert len(found.start_psnr) == 3 and len(steps) == 100 + 30
    assert torch.equal(render_codes(model, found.codes), found.reconstruction)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    others = model.latents(100, FRAMES, seed=9).content
    assert (found.codes.content - own.content).norm() < (others - own.content).norm(dim=1).median()


def test_the_true_codes_are_kept(model: MoCoGAN, own: Codes, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an encoder that knows the codes, the best codes are at least as good."""
    true = as_path(model, own)
    encoder = InversionEncoder.for_model(model)
    monkeypatch.setattr(encoder, "encode", lambda clip: true)
    clip = render_codes(model, own)
    found = invert_clip(model, clip, InversionSettings(motion="path", starts=1, steps=3), encoder=encoder)
    assert found.scores.psnr > 50 and found.codes.category == own.category


def test_a_large_smoothness_makes_the_path_straight(model: MoCoGAN, own: Codes) -> None:
    bends = []
    for smoothness in (0.0, 100.0):
        settings = InversionSettings(motion="path", starts=1, steps=60, smoothness=smoothness)
        path = invert_clip(model, render_codes(model, own), settings).codes.motion
        bends.append(float(path.diff(n=2, dim=0).abs().max() / path.diff(dim=0).abs().max()))
    assert bends[1] < 0.2 * bends[0]


@pytest.mark.parametrize("warm_up", [0, 5])
def test_inputs_that_lead_to_a_path(warm_up: int) -> None:
    model = small_mocogan(warm_up=warm_up)
    latents = model.latents(2, FRAMES, seed=0)
    path = model.path(latents.motion, latents.category)
    found = inputs_for_path(model, path, latents.category, torch.zeros_like(latents.motion))
    error = (model.path(found, latents.category) - path).square().mean() / path.var()
    assert found.shape == latents.motion.shape and error < 0.02


def test_wrong_clips_and_models_are_refused(model: MoCoGAN) -> None:
    with pytest.raises(ValueError, match="3, 32, 32"):
        invert_clip(model, torch.zeros(4, 3, 16, 16, dtype=torch.uint8))
    model.encoder = torch.nn.Identity()
    try:
        with pytest.raises(ConfigError, match=r"model\.encoder"):
            invert_clip(model, torch.zeros(4, 3, 32, 32, dtype=torch.uint8))
    finally:
        model.encoder = None


def test_an_encoder_learns_from_own_clips_and_is_bound_to_its_model(model: MoCoGAN, tmp_path) -> None:
    before = weights_of(model)
    curve: list[dict[str, float]] = []
    settings = EncoderSettings(steps=40, batch_size=8, fresh=4, frames=FRAMES, learning_rate=5e-3)
    encoder = train_encoder(model, settings, on_step=curve.append)
    first, last = (sum(losses["path"] for losses in part) for part in (curve[:10], curve[-10:]))
    assert last < 0.8 * first
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    again = train_encoder(model, replace(settings, steps=2))
    other = train_encoder(model, replace(settings, steps=2))
    assert model_hash(again) == model_hash(other)
    encoder.save_pretrained(tmp_path)
    loaded = InversionEncoder.from_pretrained(tmp_path)
    clip = render_codes(model, Codes.from_latents(model.latents(1, FRAMES, seed=1), 0, model))
    assert torch.equal(loaded.encode(clip).motion, encoder.encode(clip).motion)
    loaded.check_for(model, tmp_path)
    with pytest.raises(ConfigError, match="another model"):
        loaded.check_for(small_mocogan(), tmp_path)


def test_tuning_improves_the_fit_of_a_copy(model: MoCoGAN, own: Codes) -> None:
    before = weights_of(model)
    clip = render_codes(model, replace(own, content=own.content + 1))  # not what the codes draw
    tuned = tune_generator(model, [own], [clip], TuningSettings(steps=30))
    errors = [float((render_codes(m, own).float() - clip.float()).square().mean()) for m in (model, tuned)]
    assert errors[1] < 0.5 * errors[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(path_of(tuned, own), path_of(model, own))
    loose = tune_generator(model, [own], [clip], TuningSettings(steps=30, locality=0))
    others = model.latents(4, FRAMES, seed=50)
    drift = [float((m.render(others).float() - model.render(others).float()).square().mean()) for m in (tuned, loose)]
    assert drift[0] < drift[1]


def test_codes_files(model: MoCoGAN, own: Codes, tmp_path) -> None:
    mixed = replace(as_path(model, own), fine_content=own.content + 1, fine_from=1)
    path = tmp_path / "codes.safetensors"
    save_codes(path, {"one": own, "two.mp4@8": mixed})
    loaded = load_codes(path, model)
    assert list(loaded) == ["one", "two.mp4@8"]
    for name, codes in (("one", own), ("two.mp4@8", mixed)):
        assert torch.equal(render_codes(model, loaded[name]), render_codes(model, codes))
        assert loaded[name].kind == codes.kind and loaded[name].category == codes.category
    with pytest.raises(DataError, match="another model"):
        load_codes(path, small_mocogan())
    with pytest.raises(DataError, match=r"absent\.safetensors"):
        load_codes(tmp_path / "absent.safetensors", model)
    content = path.read_bytes()
    for damaged in (b"", b"nonsense", content[:-40]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"codes\.safetensors"):
            load_codes(path, model)
    save_codes(path, {"one": replace(own, content=own.content * float("nan"))})
    with pytest.raises(DataError, match="damaged"):
        load_codes(path, model)


def test_the_hash_changes_with_any_weight(model: MoCoGAN) -> None:
    before = model_hash(model)
    with torch.no_grad():
        weight = next(model.frame.parameters())
        weight.view(-1)[0] += 1
        assert model_hash(model) != before
        weight.view(-1)[0] -= 1
