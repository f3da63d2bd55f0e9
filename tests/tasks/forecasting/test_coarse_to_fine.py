"""The generator with a motion pyramid: identities between its parts, its memory, where gradients flow, saving."""

from pathlib import Path
from typing import Any

import pytest
import torch

from vidgan.losses.flow import flow_l1
from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import warp
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.coarse_to_fine import CoarseToFineConfig, CoarseToFineDualMotion, is_inside
from vidgan.tasks.forecasting.decoding import Decoding, agreement
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN, build_generator
from vidgan.tasks.streaming import Watcher
from vidgan.types import Prediction

SIZE = (32, 48)


def build(**options: Any) -> CoarseToFineDualMotion:
    torch.manual_seed(0)
    settings = {"widths": (8, 8, 8, 8), "hidden": 8, "dim_latent": 8, "hypotheses": 2} | options
    model = build_generator(CoarseToFineConfig(**settings), image_size=SIZE)
    assert isinstance(model, CoarseToFineDualMotion)
    return model


def pan(batch: int = 2, times: int = 4, speed: float = 2.0) -> torch.Tensor:
    """A smooth texture that moves to the right by `speed` pixels a frame, and another one per row."""
    noise = torch.rand(batch, 3, SIZE[0] + 32, SIZE[1] + 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    texture = 3 * gaussian_blur(noise, 2.0)
    frames = []
    for t in range(times):
        flow = torch.zeros(batch, 2, *texture.shape[-2:])
        flow[:, 0] = -speed * t
        frames.append(warp(texture, flow)[..., 16:-16, 16:-16])
    return torch.stack(frames, dim=1).clamp(-1, 1)


def draws(key: int = 0, batch: int = 2) -> Draws:
    return Draws("posterior", key, rows=range(batch))


def test_an_untrained_network_already_extrapolates_motion() -> None:
    clip = pan(times=5)
    prediction = build().eval()(clip[:, :3], horizon=2)
    inner = (..., slice(8, -8), slice(12, -12))
    for k in range(2):
        still = (clip[:, 2] - clip[:, 3 + k])[inner].abs().mean()
        assert (prediction.warped[:, k] - clip[:, 3 + k])[inner].abs().mean() < 0.35 * still
        assert (prediction.flow[:, k, 0][inner].mean() + 2).abs() < 0.4
    true = torch.tensor([-2.0, 0.0])[:, None, None].expand(2, 1, 2, 16, 24)
    assert flow_l1(prediction.observed_flow[..., 8:-8, 12:-12], true) < 0.5


def test_without_corrections_a_still_scene_stays() -> None:
    clip = pan(1, 1).expand(-1, 3, -1, -1, -1)
    model = build().eval()
    with torch.no_grad():
        for level in (*model.estimator.levels, *model.flow_generator.levels):
            for value in level.head.parameters():
                value.zero_()
    prediction = model(clip, horizon=3)
    for k in range(3):
        torch.testing.assert_close(prediction.warped[:, k], clip[:, -1], atol=1e-3, rtol=0)
    assert prediction.flow.abs().max() < 1e-3


def test_shapes_types_and_ranges() -> None:
    prediction = build()(pan(), horizon=2, draws=draws())
    for field in ("frames", "warped", "direct"):
        frames = getattr(prediction, field)
        assert frames.shape == (2, 2, 3, *SIZE) and frames.dtype == torch.float32 and frames.abs().max() <= 1
    assert prediction.flow.shape == prediction.implied_flow.shape == (2, 2, 2, *SIZE)
    assert prediction.mean.shape == prediction.logvar.shape == (2, 2, 8, 2, 3)
    with pytest.raises(ValueError, match="context"):
        build()(pan(times=1))
    with pytest.raises(ValueError, match="multiples of 16"):
        build()(torch.zeros(1, 2, 3, 24, 32))
    with pytest.raises(ValueError, match="horizon must be 1 or more, got 0"):
        build()(pan(), horizon=0)


def test_later_frames_are_the_last_true_frame_warped_by_composed_flow() -> None:
    clip = pan()
    prediction = build()(clip, horizon=3)
    composed = prediction.flow[:, 0]
    for k in range(3):
        if k > 0:
            composed = prediction.flow[:, k] + warp(composed, prediction.flow[:, k])
        torch.testing.assert_close(prediction.warped[:, k], warp(clip[:, -1], composed), atol=1e-4, rtol=0)


def test_hindsight_blends_with_constant_velocity_as_the_last_frame_suggests() -> None:
    clip = pan(times=4)
    model = build().eval()
    with torch.no_grad():
        plain, hindsight = (model(clip, horizon=2, decoding=Decoding(hindsight=on)) for on in (False, True))
        before = model(clip[:, :-1])
        flow = plain.observed_flow[:, 0]
        steady = warp(clip[:, -2], before.observed_flow[:, 0])
    trust = agreement(before.frames[:, 0], steady, clip[:, -1]).mean(dim=(1, 2, 3), keepdim=True)
    assert float(trust.min()) >= 0 and float(trust.max()) <= 1
    for k, composed in enumerate((flow, flow + warp(flow, flow))):
        steady = warp(clip[:, -1], composed)
        expected = steady + trust * (plain.frames[:, k] - steady)
        torch.testing.assert_close(hindsight.frames[:, k], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(plain.warped, hindsight.warped)


@pytest.mark.parametrize("hindsight", [False, True])
def test_the_memory_of_single_frames_equals_that_of_the_context(hindsight: bool) -> None:
    clip = pan(times=5)
    model = build(hindsight=hindsight).eval()
    memory = None
    for frame in clip.unbind(dim=1):
        memory = model.observe(frame, memory)
    assert memory is not None
    whole = model(clip, horizon=2, decoding=model.decoding)
    carried = model.continued(memory, 2, decoding=model.decoding)
    for mine, other in zip(whole, carried, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=0)
    watcher = Watcher(model, context=3)
    for frame in to_byte(clip)[0]:
        watcher.see(frame)
    expected = model.predict(to_byte(clip)[:1], 2)[0].int()
    assert (watcher.forecast(2).int() - expected).abs().max() <= 1
    assert watcher.frames_seen == 5


def test_rows_are_independent_and_samples_differ() -> None:
    clip = pan(3)
    model = build(motion_spread=1.0).eval()
    with torch.no_grad():
        whole = model(clip, horizon=2, draws=draws(batch=3), decoding=model.decoding)
        alone = model(clip[1:2], horizon=2, draws=Draws("posterior", 0, rows=[1]), decoding=model.decoding)
        other = model(clip, horizon=2, draws=draws(1, 3), decoding=model.decoding)
    torch.testing.assert_close(whole.frames[1:2], alone.frames, atol=1e-4, rtol=0)
    assert (whole.frames - other.frames).abs().max() > 1e-3
    with pytest.raises(ValueError, match="motion_spread needs probabilistic"):
        CoarseToFineConfig(motion_spread=1.0, probabilistic=False)
    with pytest.raises(ValueError, match="probabilistic"):
        build(probabilistic=False).predict(to_byte(clip), samples=2)


def test_every_parameter_gets_a_gradient() -> None:
    def total(prediction: Prediction) -> torch.Tensor:
        return sum((part.square().mean() for part in prediction), torch.zeros(()))

    model = build()
    total(model(pan(), horizon=2, draws=draws())).backward()
    missing = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert missing == []
    assert not bool(model(pan(), implied=False).implied_flow.any())


def test_the_implied_flow_trains_the_frame_generator() -> None:
    model = build()
    model(pan()).implied_flow.abs().sum().backward()
    gradients = [value.grad for value in model.frame_generator.parameters()]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_it_is_saved_and_loaded_as_a_dual_motion_gan(tmp_path: Path) -> None:
    model = build().eval()
    model.facts = {"context": 3}
    model.save_pretrained(tmp_path / "model")
    loaded = DualMotionGAN.from_pretrained(tmp_path / "model")
    clip = to_byte(pan())
    assert torch.equal(loaded.predict(clip, 2), model.predict(clip, 2))
    with torch.no_grad():
        expected = to_byte(model(to_float(clip), horizon=2).frames)
    assert torch.equal(model.predict(clip, 2), expected)
    assert "DualMotionGAN" in (tmp_path / "model" / "README.md").read_text()


def test_flow_that_leaves_the_frame_is_marked() -> None:
    flow = torch.zeros(1, 2, 4, 5)
    flow[0, 0, 1, 0] = -0.25  # a quarter of a pixel beyond the left edge
    flow[0, 1, 3, 2] = 2.0
    inside = is_inside(flow)
    assert inside[0, 0, 1, 0] == 0.75 and inside[0, 0, 3, 2] == 0 and float(inside.sum()) == 20 - 1.25
