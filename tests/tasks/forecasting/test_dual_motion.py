"""Dual Motion GAN's generator: identities between its parts, and where gradients flow."""

from typing import Any

import pytest
import torch
from small_networks import small_dual_motion

from vidgan.losses.latent import kl_standard_normal
from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import warp
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.config import DualMotionConfig
from vidgan.tasks.forecasting.decoding import (
    PRIOR_TRUST,
    Decoding,
    MotionDrift,
    agreement,
    displacement_deviation,
    flow_change,
    restore_detail,
)
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN, build_dual_motion
from vidgan.tasks.forecasting.flow_estimator import PyramidEstimator
from vidgan.tasks.forecasting.fusion import MaskFusion
from vidgan.tasks.forecasting.motion_decoder import MotionDecoder
from vidgan.tasks.forecasting.motion_encoder import MotionEncoder
from vidgan.types import Prediction

PAPER: dict[str, Any] = {
    "skip_connections": False,
    "extrapolate_flow": False,
    "residual_frame": False,
    "fusion": {"kind": "conv"},
    "estimator": {"kind": "hourglass", "widths": (8, 8, 8, 8)},
}
OURS: dict[str, Any] = {"estimator": {"kind": "pyramid", "widths": (8, 8)}}
HINTED: dict[str, Any] = {**OURS, "motion_hints": True}
BLEND: dict[str, Any] = {
    "motion_hints": True,
    "estimator": {"kind": "lucas_kanade"},
    "fusion": {"kind": "blend"},
}
VARIANTS = {"paper": PAPER, "ours": OURS, "hinted": HINTED, "blend": BLEND}


def build(size: tuple[int, int] = (32, 32), **options: Any) -> DualMotionGAN:
    return small_dual_motion(image_size=size, **options)


def context_clip(batch: int = 2, times: int = 3, size: tuple[int, int] = (32, 32), channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(batch, times, channels, *size, generator=generator) * 2 - 1


def draws(key: int = 0, batch: int = 2) -> Draws:
    return Draws("posterior", key, rows=range(batch))


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest) -> DualMotionGAN:
    return build(**VARIANTS[request.param])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("size", [(64, 64), (128, 160), (32, 48)])
def test_shapes_types_and_ranges(name: str, size: tuple[int, int]) -> None:
    prediction = build(size, **VARIANTS[name])(context_clip(1, 2, size), horizon=2)
    for field in ("frames", "warped", "direct"):
        frames = getattr(prediction, field)
        assert frames.shape == (1, 2, 3, *size) and frames.dtype == torch.float32
        assert frames.abs().max() <= 1
    assert prediction.flow.shape == prediction.implied_flow.shape == (1, 2, 2, *size)
    assert prediction.mean.shape == prediction.logvar.shape == (1, 2, 8, size[0] // 16, size[1] // 16)
    assert prediction.observed_flow.shape == (1, 1, 2, *size)


def test_the_released_size() -> None:
    """Channels 64-128-256-512 and total stride 16, as in the public re-implementation: 2.76 M in the convolutions."""
    with torch.device("meta"):
        encoder: Any = build_dual_motion(DualMotionConfig(), image_size=(256, 256)).encoder
    stages = sum(parameter.numel() for parameter in encoder.stages.parameters())
    assert stages == pytest.approx(2.76e6, rel=0.01)
    assert encoder.shared.cell.hidden_channels == 512


@pytest.mark.parametrize("times", [2, 3, 7])
def test_any_context_length(model: DualMotionGAN, times: int) -> None:
    assert model(context_clip(1, times)).frames.shape == (1, 1, 3, 32, 32)


def test_the_warped_frame_is_the_last_frame_moved_by_the_flow(model: DualMotionGAN) -> None:
    clip = context_clip()
    prediction = model(clip)
    torch.testing.assert_close(prediction.warped[:, 0], warp(clip[:, -1], prediction.flow[:, 0]))
    frames = prediction.direct[:, 0], clip[:, -1]
    # Least squares need no search for what A implies: they start from the flow that A was made with.
    fixed = model.fixed_estimator
    implied = model.estimator(*frames) if fixed is None else fixed(*frames, prediction.flow[:, 0])
    torch.testing.assert_close(prediction.implied_flow[:, 0], implied)
    torch.testing.assert_close(prediction.observed_flow[:, 0], model.estimator(clip[:, -1], clip[:, -2]))


@pytest.mark.parametrize("times", [2, 4])
def test_a_longer_horizon_is_feedback_by_hand(model: DualMotionGAN, times: int) -> None:
    clip = context_clip(times=times)
    together = model(clip, horizon=3)
    flows = [model.estimator(clip[:, i + 1], clip[:, i]) for i in range(times - 1)]
    for k in range(3):
        # Q without weights is not run again: the flow of the last true frames continues.
        fixed = model.fixed_estimator is not None
        flow = torch.stack([*flows, *[flows[-1]] * k], dim=1) if fixed else None
        single = model(torch.cat([clip, together.frames[:, :k]], dim=1), flow=flow)
        for field in ("frames", "warped", "direct", "flow", "implied_flow", "mean", "logvar"):
            torch.testing.assert_close(getattr(together, field)[:, k], getattr(single, field)[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(together.observed_flow, model(clip).observed_flow)


def test_the_mean_is_one_forecast_and_samples_differ(model: DualMotionGAN) -> None:
    clip = context_clip()
    assert torch.equal(model(clip).frames, model(clip).frames)
    first, again, other = (model(clip, horizon=2, draws=draws(key)) for key in (0, 0, 1))
    assert torch.equal(first.frames, again.frames)
    for k in range(2):
        assert (first.frames[:, k] - other.frames[:, k]).abs().max() > 1e-3
    assert torch.equal(first.mean[:, 0], other.mean[:, 0])
    assert kl_standard_normal(first.mean, first.logvar) > 0


def test_a_deterministic_encoder_has_one_forecast() -> None:
    model = build(probabilistic=False)
    clip = context_clip()
    prediction = model(clip, horizon=2)
    assert torch.equal(model(clip, horizon=2, draws=draws()).frames, prediction.frames)
    assert (prediction.logvar == prediction.logvar.min()).all()
    total(model(clip, draws=draws())).backward()
    assert all(value.grad is not None for value in model.parameters())
    with pytest.raises(ValueError, match="probabilistic"):
        model.predict(to_byte(clip), samples=2)


def test_each_step_draws_fresh_noise() -> None:
    model = build(**PAPER)
    prediction = model(context_clip(), horizon=2, draws=draws())
    noise = draws()
    for k in range(2):
        code = prediction.mean[:, k] + noise.normal(8, 2, 2) * torch.exp(prediction.logvar[:, k] / 2)
        torch.testing.assert_close(prediction.direct[:, k], torch.tanh(model.frame_generator(code, [])))


def test_rows_are_independent(model: DualMotionGAN) -> None:
    clip = context_clip(3)
    whole = model(clip, horizon=2, draws=draws(batch=3))
    alone = model(clip[1:2], horizon=2, draws=Draws("posterior", 0, rows=[1]))
    torch.testing.assert_close(whole.frames[1:2], alone.frames, atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.flow[1:2], alone.flow, atol=1e-4, rtol=0)


def total(prediction: Prediction) -> torch.Tensor:
    return sum((part.square().mean() for part in prediction), torch.zeros(()))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("horizon", [1, 2])
def test_every_parameter_gets_a_gradient(name: str, horizon: int) -> None:
    model = build(**VARIANTS[name])
    total(model(context_clip(), horizon=horizon, draws=draws())).backward()
    assert [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def gradient_sum(module: torch.nn.Module) -> float:
    return sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)


def test_restored_detail_is_returned_and_not_fed_back() -> None:
    clip = context_clip()
    model = build(**BLEND)
    plain = model(clip, horizon=2)
    restored = model(clip, horizon=2, decoding=Decoding(restore_detail=0.5))
    true, previous = clip[:, -1], clip[:, -2]
    observed = model.estimator(true, previous)
    change = flow_change(observed, warp(model.estimator(previous, clip[:, -3]), observed))
    for step, last in enumerate((true, plain.frames[:, 0])):
        expected = restore_detail(plain.frames[:, step], last, true, displacement_deviation(change, step + 1), 0.5)
        torch.testing.assert_close(restored.frames[:, step], expected)
    assert (restored.frames - plain.frames).abs().max() > 0.01
    for field in ("warped", "direct", "flow", "implied_flow", "mean"):
        torch.testing.assert_close(getattr(restored, field), getattr(plain, field))


@pytest.mark.parametrize("times", [3, 4])
def test_hindsight_corrects_the_next_frame_by_the_error_of_the_last_one(times: int) -> None:
    # Smooth images: about noise, which no motion explains, the past says the same everywhere.
    clip = gaussian_blur(context_clip(times=times).flatten(0, 1), 2.0).unflatten(0, (2, times))
    model, hindsight = build(**BLEND).eval(), Decoding(hindsight=True)
    prediction, plain = model(clip, horizon=3, decoding=hindsight), model(clip, horizon=3)
    before = model(clip[:, :-1])
    trust = agreement(before.frames[:, 0], before.warped[:, 0], clip[:, -1])
    assert trust.max() - trust.min() > 0.05  # it varies
    mixed = plain.warped[:, 0] + trust * (plain.frames[:, 0] - plain.warped[:, 0])
    torch.testing.assert_close(prediction.frames[:, 0], mixed, atol=1e-4, rtol=0)
    # Frames are fed back uncorrected, so nothing else changes.
    torch.testing.assert_close(prediction.frames[:, 1:], plain.frames[:, 1:], atol=1e-4, rtol=0)
    for field in ("warped", "direct", "flow", "implied_flow", "mean"):
        torch.testing.assert_close(getattr(prediction, field), getattr(plain, field), atol=1e-4, rtol=0)
    known = torch.stack([model.estimator(clip[:, i + 1], clip[:, i]) for i in range(times - 1)], dim=1)
    torch.testing.assert_close(
        model(clip, flow=known, decoding=hindsight).frames, prediction.frames[:, :1], atol=1e-5, rtol=0
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(part.dtype == torch.float32 for part in model(clip, decoding=hindsight))


def test_without_a_past_hindsight_takes_the_prior() -> None:
    clip, model = context_clip(times=2), build(**BLEND).eval()
    prediction, plain = model(clip, decoding=Decoding(hindsight=True)), model(clip)
    mixed = plain.warped + PRIOR_TRUST * (plain.frames - plain.warped)
    torch.testing.assert_close(prediction.frames, mixed)


def test_users_get_decoded_forecasts_and_training_restored_detail_alone() -> None:
    clip = to_byte(context_clip(times=4))
    settings = {"hindsight": True, "restore_detail": 0.5, "motion_spread": 1.0}
    model, plain = build(**BLEND, decoding=settings), build(**BLEND)
    assert model.decoding == Decoding(**settings)
    assert model.decoding.in_training() == Decoding(restore_detail=0.5)
    for seed in (None, 3):
        forecast = model.forecast(clip, 2, seed=seed)
        noise = None if seed is None else Draws(seed, "forecast", rows=range(2))
        with torch.no_grad():
            expected = plain.eval()(to_float(clip), horizon=2, draws=noise, decoding=Decoding(**settings))
        torch.testing.assert_close(forecast.frames, expected.frames)
    assert torch.equal(model(to_float(clip)).frames, plain(to_float(clip)).frames), "the network itself does not decode"


def test_samples_diverge_where_motion_changed() -> None:
    model = build(**BLEND).eval()
    clip = gaussian_blur(context_clip(1, 4, (32, 64)), 2.0)
    clip[..., :32] = clip[:, :1, ..., :32]  # the left half stands still
    forecasts = []
    for decoding in (Decoding(), Decoding(motion_spread=1.0)):
        with torch.no_grad():
            best = model(clip, horizon=3, decoding=decoding).frames
            drawn = [model(clip, horizon=3, draws=draws(key, 1), decoding=decoding).frames for key in range(4)]
        forecasts.append((best, torch.stack(drawn).std(dim=0)[0, :, 0]))  # (K, H, W)
    (best, narrow), (same, wide) = forecasts
    assert torch.equal(best, same)  # the single best guess is not spread
    still, moving = wide[..., :20].mean(dim=(1, 2)), wide[..., 44:].mean(dim=(1, 2))  # (K,)
    assert bool((moving > 3 * narrow[..., 44:].mean(dim=(1, 2))).all())
    assert bool((moving > 5 * still).all()) and float(moving[2]) > float(moving[0])


def test_the_drift_of_motion_is_a_random_walk_as_strong_as_the_change() -> None:
    former = torch.zeros(400, 2, 32, 32)
    change = flow_change(former + torch.tensor([0.3, 0.4])[:, None, None], former)
    assert torch.allclose(change, torch.full((400, 1, 32, 32), 0.125**0.5), atol=1e-4)
    assert not bool(flow_change(former, former).any())
    walk, position, expected = MotionDrift(Draws("drift", rows=range(400)), change), torch.zeros(400, 2, 2, 2), 0.0
    for frame in (1, 2, 3, 4):
        moved = walk.step()[:, :, ::31, ::31]  # at the corners, which are points of the noise's own grid: unit variance
        assert moved.std().item() == pytest.approx((0.125 * frame) ** 0.5, rel=0.06)
        position = position + moved
        expected = float(displacement_deviation(change, frame).mean())
        assert position.std().item() == pytest.approx(expected, rel=0.06)
    assert expected == pytest.approx((0.125 * (1 + 4 + 9 + 16)) ** 0.5, rel=1e-4)


def test_gradient_reaches_the_flow_generator_through_the_warp(model: DualMotionGAN) -> None:
    clip = context_clip()
    (model(clip).warped - clip[:, :1]).abs().mean().backward()
    assert gradient_sum(model.flow_generator) > 0
    assert gradient_sum(model.frame_generator) == 0


def test_gradient_of_the_implied_flow_reaches_the_frame_generator(model: DualMotionGAN) -> None:
    model(context_clip()).implied_flow.square().mean().backward()
    assert gradient_sum(model.frame_generator) > 0
    assert gradient_sum(model.flow_generator) == 0


def test_gradient_of_the_forecast_reaches_both_generators(model: DualMotionGAN) -> None:
    clip = context_clip()
    (model(clip).frames - clip[:, :1]).abs().mean().backward()
    assert gradient_sum(model.flow_generator) > 0
    assert gradient_sum(model.frame_generator) > 0


def test_the_mask_blend_lies_between_its_parts() -> None:
    prediction = build(**OURS)(context_clip())
    low = torch.minimum(prediction.warped, prediction.direct)
    high = torch.maximum(prediction.warped, prediction.direct)
    assert ((prediction.frames >= low - 1e-6) & (prediction.frames <= high + 1e-6)).all()


def test_without_corrections_it_continues_the_observed_flow() -> None:
    model = build(**OURS)
    for head in (model.flow_generator.head, model.frame_generator.head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    clip = context_clip()
    prediction = model(clip)
    torch.testing.assert_close(prediction.flow, prediction.observed_flow)
    torch.testing.assert_close(prediction.direct, prediction.warped)
    torch.testing.assert_close(prediction.frames, prediction.warped)


def test_hints_of_steady_motion_are_zero() -> None:
    """A scene that shifts by whole pixels: the flow repeats and explains the last frame wherever that was visible."""
    model = build(**HINTED)
    wide = context_clip(1, 1, (32, 48))[:, 0]
    previous, last = wide[..., 6:38], wide[..., 4:36]  # the scene moves right by 2
    flow = torch.tensor([-2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    hints = model._hints(model.evidence(last, previous, flow, flow))
    torch.testing.assert_close(hints[:, :2], flow / 6)
    torch.testing.assert_close(hints[:, 2:4], torch.zeros(1, 2, 32, 32), atol=1e-5, rtol=0)
    torch.testing.assert_close(hints[:, 4:, :, 4:], torch.zeros(1, 3, 32, 28), atol=1e-5, rtol=0)
    faster = model._hints(model.evidence(last, previous, flow, flow / 2))
    torch.testing.assert_close(faster[:, 2:4], 6 * torch.tanh(flow / 2 / 6))


def test_flow_keeps_its_limit() -> None:
    model = build(**PAPER)
    torch.nn.init.constant_(model.flow_generator.head.bias, 1e4)
    assert model(context_clip()).flow.abs().max() <= 6.0


def test_outputs_are_float32_under_autocast(model: DualMotionGAN) -> None:
    clip = context_clip()
    with torch.autocast("cpu", torch.bfloat16):
        prediction = model(clip, horizon=2, draws=draws())
    assert {part.dtype for part in prediction} == {torch.float32}
    exact = model(clip, horizon=2, draws=draws())
    assert (prediction.frames - exact.frames).abs().mean() < 0.02


def test_the_generator_is_composed_from_parts_of_any_channel_count() -> None:
    widths = (8, 8, 16, 16)
    decoder: dict[str, Any] = {
        "dim_latent": 8,
        "widths": widths,
        "skip_channels": [16 + 2, 16 + 2, 8 + 2, 8 + 2, 1 + 2],
    }
    model = DualMotionGAN(
        encoder=MotionEncoder(channels=1, widths=widths, dim_latent=8),
        estimator=PyramidEstimator(channels=1, max_flow=6.0, widths=(8, 8)),
        frame_generator=MotionDecoder(**decoder, out_channels=1),
        flow_generator=MotionDecoder(**decoder, out_channels=2),
        fusion=MaskFusion(channels=1, max_flow=6.0),
        image_size=(32, 32),
        channels=1,
        max_flow=6.0,
        skip_connections=True,
        extrapolate_flow=True,
        motion_hints=False,
        residual_frame=True,
        reads_earlier_motion=False,
    )
    assert model(context_clip(channels=1)).frames.shape == (2, 1, 1, 32, 32)


def test_neither_draws_nor_mean_touch_the_global_random_state(model: DualMotionGAN) -> None:
    before = torch.get_rng_state()
    model(context_clip(), draws=draws())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (32, 40)}, "multiples of 16"),
        ({"motion_hints": True, "skip_connections": False}, "skip_connections"),
        ({"motion_hints": True, "extrapolate_flow": False}, "extrapolate_flow"),
        ({"fusion": {"kind": "sum"}}, "conv, mask, blend"),
        ({"estimator": {"kind": "raft"}}, "hourglass, pyramid, lucas_kanade"),
        ({"estimator": {"kind": "lucas_kanade", "widths": (8, 8)}}, "widths"),
        ({"estimator": {"kind": "hourglass", "widths": (8, 8)}}, "widths"),
        ({"estimator": {"kind": "pyramid", "widths": ()}}, "widths"),
        ({"fusion": {"kind": "blend"}, "extrapolate_flow": False}, "extrapolate_flow"),
        ({"widths": (8, 8)}, "widths"),
        ({"max_flow": 0.0}, "max_flow"),
        ({"decoding": {"restore_detail": 1.5}}, "restore_detail"),
        ({"decoding": {"motion_spread": 1.0}}, "motion_spread"),
        ({"decoding": {"motion_spread": 1.0}, "motion_hints": True, "probabilistic": False}, "probabilistic"),
        ({"decoding": {"motion_spread": -1.0}, "motion_hints": True}, "motion_spread"),
        ({"norm": "group"}, "norm"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_wrong_inputs_are_refused() -> None:
    model = build(**OURS)
    with pytest.raises(ValueError, match="T of 2 or more"):
        model(context_clip(times=1))
    with pytest.raises(ValueError, match="multiples of 16"):
        model(context_clip(size=(32, 40)))
    with pytest.raises(ValueError, match="horizon"):
        model(context_clip(), horizon=0)
    with pytest.raises(ValueError, match="one row per clip"):
        model(context_clip(), draws=draws(batch=3))
