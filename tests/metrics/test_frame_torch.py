"""The batched metrics against the exact ones, and their gradients against finite differences."""

import math

import numpy as np
import pytest
import torch
from test_frame import GOLDEN, golden_pair, scenes

from vidgan.evaluation import copy_last, score_forecast
from vidgan.metrics.frame import METRICS
from vidgan.metrics.frame_torch import TORCH_METRICS, metrics_on


@pytest.mark.parametrize("amplitude", GOLDEN)
def test_golden_values(amplitude: int) -> None:
    prediction, truth = (frame.float() / 255 for frame in golden_pair(amplitude))
    for name in ("mse", "psnr", "ssim", "ssim_u255", "ssim_u2"):
        expected = pytest.approx(GOLDEN[amplitude][name], abs=1e-5)
        assert TORCH_METRICS[name](prediction, truth).item() == expected, name


@pytest.mark.parametrize("kind", ["noise", "bright", "ramp", "edges"])
@pytest.mark.parametrize("name", TORCH_METRICS)
def test_equal_to_the_exact_path(name: str, kind: str) -> None:
    prediction, truth = scenes(163, 166)[kind]
    exact = METRICS[name].function(prediction, truth)
    batched = TORCH_METRICS[name](prediction.float() / 255, truth.float() / 255)
    assert batched.shape == (2,) and batched.dtype == torch.float32
    np.testing.assert_allclose(batched.numpy(), exact, atol=1e-5, rtol=1e-5)


def test_an_evaluation_on_a_device_gives_the_same_scores() -> None:
    random = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (3, 6, 3, 24, 32), dtype=torch.uint8, generator=random)
    names = ["mse", "mae", "psnr", "ssim", "ssim_u255", "ssim_u2", "sharpness", "ssim_grey"]
    exact, batched = (
        score_forecast(
            {"copy-last": copy_last}, [(clips, ["a", "b", "c"])], context=3, horizon=3, metrics=names, extra=extra
        )
        for extra in (None, metrics_on(torch.device("cpu")))
    )
    assert exact.definitions == batched.definitions
    for name in names:
        expected = exact.scores["copy-last"][name].mean.mean
        assert batched.scores["copy-last"][name].mean.mean == pytest.approx(expected, abs=1e-5), name
        assert name == "ssim_grey" or batched.scores["copy-last"][name] != exact.scores["copy-last"][name]  # other code


@pytest.mark.parametrize("name", ["mse", "psnr", "ssim", "ssim_u255", "sharpness"])
def test_gradients(name: str) -> None:
    random = torch.Generator().manual_seed(0)
    prediction, truth = torch.rand(2, 1, 12, 13, dtype=torch.float64, generator=random)
    prediction.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: TORCH_METRICS[name](x, truth), (prediction,))


def test_gradients_of_ms_ssim_stay_finite() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 161, 161, generator=random)
    for start in (truth * 0.8, 1 - truth):  # the negative has negative structure, which the definition counts as 0
        prediction = start.clone().requires_grad_(True)
        value = TORCH_METRICS["ms_ssim"](prediction, truth)
        value.backward()
        assert prediction.grad is not None and bool(prediction.grad.isfinite().all())
    assert value == 0.0
    # One step along the gradient raises the score.
    prediction = (truth * 0.8).requires_grad_(True)
    before = TORCH_METRICS["ms_ssim"](prediction, truth)
    (slope,) = torch.autograd.grad(before, prediction)
    assert TORCH_METRICS["ms_ssim"](prediction + slope / slope.norm(), truth) > before


def test_low_precision_is_computed_in_float32() -> None:
    prediction, truth = (frame.float() / 255 for frame in golden_pair(9))
    value = TORCH_METRICS["ssim"](prediction.bfloat16(), truth.bfloat16())
    assert value.dtype == torch.float32 and value.item() == pytest.approx(GOLDEN[9]["ssim"], abs=0.01)


def test_identical_frames() -> None:
    frame = golden_pair(3)[1].float() / 255
    assert TORCH_METRICS["psnr"](frame, frame).item() == math.inf
    assert TORCH_METRICS["ssim"](frame, frame).item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", TORCH_METRICS)
def test_invalid_frames_are_rejected(name: str) -> None:
    frame = torch.zeros(3, 200, 200)
    with pytest.raises(ValueError, match=r"prediction is torch\.uint8"):
        TORCH_METRICS[name](frame.to(torch.uint8), frame)
    with pytest.raises(ValueError, match="one shape"):
        TORCH_METRICS[name](frame, frame[:1])


def test_the_smallest_size_is_reported() -> None:
    frame = torch.zeros(3, 160, 200)
    with pytest.raises(ValueError, match="161x161 pixels, got 160x200"):
        TORCH_METRICS["ms_ssim"](frame, frame)
