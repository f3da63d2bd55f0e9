"""Baselines on clips with a known future."""

import numpy as np
import pytest
import torch

from vidgan.evaluation.baselines import BASELINES, ConstantVelocityWarp, copy_last, linear_extrapolation, mean_context


def random_clip(batch: int = 2, times: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, times, 3, 16, 16), generator=generator, dtype=torch.uint8)


def translating_clip(times: int, *, dx: int, dy: int, size: int = 32, channels: int = 3) -> torch.Tensor:
    """(1, T, C, size, size): a crop that slides over a smooth random texture, so that the scene moves by (dx, dy)."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, channels, 24, 24, generator=generator)
    texture = torch.nn.functional.interpolate(coarse, size=96, mode="bicubic", align_corners=False)[0]
    texture = (texture * 255).round().clamp(0, 255).to(torch.uint8)
    starts = [(32 - t * dy, 32 - t * dx) for t in range(times)]
    return torch.stack([texture[:, y : y + size, x : x + size] for y, x in starts])[None]


def test_copy_last() -> None:
    clip = random_clip()
    forecast = copy_last(clip, 4)
    assert forecast.shape == (2, 4, 3, 16, 16) and forecast.dtype == torch.uint8
    for k in range(4):
        assert torch.equal(forecast[:, k], clip[:, -1])


def test_mean_context() -> None:
    clip = torch.tensor([10, 20, 60], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    assert mean_context(clip, 2).flatten().tolist() == [30, 30]


def test_linear_extrapolation_continues_the_rate_and_clips() -> None:
    rising = torch.tensor([0, 100, 130], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    assert linear_extrapolation(rising, 5).flatten().tolist() == [160, 190, 220, 250, 255]
    falling = torch.tensor([50, 20], dtype=torch.uint8).view(1, 2, 1, 1, 1)
    assert linear_extrapolation(falling, 2).flatten().tolist() == [0, 0]


def exact_flow(dx: float, dy: float) -> ConstantVelocityWarp:
    return ConstantVelocityWarp(lambda current, _: np.stack([np.full(current.shape[:2], v) for v in (-dx, -dy)]))


def test_constant_velocity_is_exact_where_the_future_is_visible() -> None:
    clip = translating_clip(6, dx=2, dy=-1)
    forecast = exact_flow(2, -1)(clip[:, :3], 3)
    for k in range(3):
        entered = 2 * (k + 1)  # columns at the left and rows at the bottom that were outside the last frame
        expected = clip[:, 3 + k, :, : 32 - entered // 2, entered:]
        assert torch.equal(forecast[:, k, :, : 32 - entered // 2, entered:], expected)


@pytest.mark.parametrize("carry", [False, True])
def test_constant_velocity_beats_copying_a_moving_texture(carry: bool) -> None:
    clip = translating_clip(5, dx=3, dy=1)
    exact = exact_flow(3, 1)
    forecast = ConstantVelocityWarp(exact.flow_fn, carry=carry)(clip[:, :3], 2).float()
    copied = copy_last(clip[:, :3], 2).float()
    truth = clip[:, 3:].float()
    assert (forecast - truth).square().mean() < 0.3 * (copied - truth).square().mean()


def test_the_flow_function_gets_the_last_two_frames_in_order() -> None:
    clip = random_clip(batch=1)
    seen = []

    def flow(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        seen.append((current, previous))
        return np.zeros((2, *current.shape[:2]))

    ConstantVelocityWarp(flow)(clip, 1)
    np.testing.assert_array_equal(seen[0][0], clip[0, -1].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(seen[0][1], clip[0, -2].permute(1, 2, 0).numpy())


def test_carrying_moves_the_flow_with_the_object() -> None:
    """A bright bar that moves right by 2 pixels per step on black: only the carried flow preserves it."""
    frames = torch.zeros(1, 2, 3, 8, 32, dtype=torch.uint8)
    frames[:, 0, :, :, 8:12], frames[:, 1, :, :, 10:14] = 200, 200
    flow = np.zeros((2, 8, 32))
    flow[0, :, 4:20] = -2  # as a dense method spreads it, beyond the bar
    forecast = ConstantVelocityWarp(lambda *_: flow, carry=True)(frames, 3)
    assert (forecast[0, :, 0, 0] == 200).nonzero().tolist() == [[k, 12 + 2 * k + i] for k in range(3) for i in range(4)]


def test_grey_frames_are_accepted() -> None:
    clip = translating_clip(3, dx=1, dy=0, channels=1)
    assert exact_flow(1, 0)(clip, 2).shape == (1, 2, 1, 32, 32)


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        copy_last(torch.zeros(1, 2, 3, 16, 16), 1)
    with pytest.raises(ValueError, match="T of 2 or more"):
        linear_extrapolation(random_clip(times=1), 1)
    with pytest.raises(ValueError, match="horizon"):
        mean_context(random_clip(), 0)


def test_the_names() -> None:
    assert sorted(BASELINES) == ["constant_velocity", "copy_last", "linear_extrapolation", "mean_context"]
