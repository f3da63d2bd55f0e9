"""Frame metrics against values that were computed outside this project, and on cases worked out by hand."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vidgan.evaluation import METRICS, copy_last
from vidgan.metrics.frame import score_frames, to_grey


def golden_pair(amplitude: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The (prediction, truth) grid of the reference values: (3, 64, 64) uint8."""
    y, x, c = np.mgrid[0:64, 0:64, 0:3]
    truth = (7 * x + 13 * y + 29 * c) % 64 + 64 * ((x // 16 + y // 16) % 3)
    prediction = np.clip(truth + amplitude * ((x * y) % 11 - 5), 0, 255)
    return tuple(torch.from_numpy(a.astype(np.uint8)).permute(2, 0, 1) for a in (prediction, truth))  # type: ignore


GOLDEN = {
    3: {
        "mse": 0.0015331531,
        "psnr": 28.144145,
        "ssim": 0.9266760699,
        "ssim_u255": 0.9278604441,
        "ssim_u2": 0.9386170523,
        "psnr_wrap": 28.144145,
        "mse_frame": 18.8393849,
    },
    9: {
        "mse": 0.0129018236,
        "psnr": 18.893488,
        "ssim": 0.6088143156,
        "ssim_u255": 0.6245510086,
        "ssim_u2": 0.6582960462,
        "psnr_wrap": 27.437999,
    },
}
# Smallest side of the frames, for metrics with a large one.
SIDE = {"ms_ssim": 161}


def test_the_golden_grid_is_the_right_one() -> None:
    prediction, truth = golden_pair(3)
    assert (int(truth.sum()), int(prediction.sum())) == (1124352, 1108819)


@pytest.mark.parametrize("amplitude", GOLDEN)
def test_golden_values(amplitude: int) -> None:
    prediction, truth = golden_pair(amplitude)
    for name, expected in GOLDEN[amplitude].items():
        tolerance = {"abs": 1e-6} if name.startswith("ssim") else {"rel": 1e-7}
        assert METRICS[name].function(prediction, truth) == pytest.approx(expected, **tolerance), name


def test_by_hand() -> None:
    truth = torch.zeros(1, 2, 2, dtype=torch.uint8)
    prediction = torch.tensor([[[51, 0], [0, 102]]], dtype=torch.uint8)  # 0.2 and 0.4
    assert METRICS["mse"].function(prediction, truth) == pytest.approx((0.04 + 0.16) / 4)
    assert METRICS["mae"].function(prediction, truth) == pytest.approx(0.15)
    assert METRICS["mae_frame"].function(prediction, truth) == pytest.approx(0.6)
    assert METRICS["psnr"].function(prediction, truth) == pytest.approx(-10 * math.log10(0.05))
    # The one inner pixel steps by 0.4 from its upper and by 0.4 from its left neighbour: 0.8 against 0.
    assert METRICS["sharpness"].function(prediction, truth) == pytest.approx(-10 * math.log10(0.8))


def test_uint8_differences_do_not_wrap() -> None:
    # Squared in uint8 a difference of 16 is 256 mod 256 = 0: the overflow behind the inflated PSNRs of 2022-23.
    truth = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    assert METRICS["psnr"].function(truth + 16, truth) == pytest.approx(20 * math.log10(255 / 16))
    assert METRICS["mse"].function(truth - 100, truth + 100) == pytest.approx((200 / 255) ** 2)


@pytest.mark.parametrize("name", METRICS)
class TestEveryMetric:
    def test_one_number_per_frame(self, name: str) -> None:
        random = torch.Generator().manual_seed(0)
        size = (SIDE.get(name, 16), SIDE.get(name, 12))
        a, b = torch.randint(0, 256, (2, 2, 3, 3, *size), dtype=torch.uint8, generator=random)
        values = METRICS[name].function(a, b)
        assert values.shape == (2, 3) and values.dtype == np.float64
        assert values[1, 2] == METRICS[name].function(a[1, 2], b[1, 2])
        with ThreadPoolExecutor(3) as pool:
            np.testing.assert_array_equal(score_frames(METRICS[name], a, b, pool), values)

    def test_identical_frames_are_best(self, name: str) -> None:
        prediction, truth = (frame.repeat(1, 3, 3) for frame in golden_pair(3))
        metric = METRICS[name]
        exact, near = metric.function(truth, truth), metric.function(prediction, truth)
        assert exact > near if metric.better == "higher" else exact < near
        if name.startswith(("psnr", "sharpness")):
            assert exact == math.inf
        else:
            assert exact == pytest.approx(float("ssim" in name), abs=1e-15)

    def test_floats_and_other_shapes_are_rejected(self, name: str) -> None:
        frame = torch.zeros(3, 16, 16, dtype=torch.uint8)
        with pytest.raises(ValueError, match=r"target is torch\.float32.*to_byte"):
            METRICS[name].function(frame, torch.full((3, 16, 16), math.nan))
        with pytest.raises(ValueError, match="one shape"):
            METRICS[name].function(frame, frame[:1])
        with pytest.raises(ValueError, match=r"\(16, 16\)"):
            METRICS[name].function(frame[0], frame[0])


@pytest.mark.parametrize(("name", "least"), [("ssim", 11), ("ssim_grey", 11), ("ssim_u255", 7), ("ms_ssim", 161)])
def test_the_smallest_size_is_reported(name: str, least: int) -> None:
    frame = torch.zeros(3, least - 1, least, dtype=torch.uint8)
    with pytest.raises(ValueError, match=f"at least {least}x{least} pixels, got {least - 1}x{least}"):
        METRICS[name].function(frame, frame)
    large = torch.zeros(3, least, least, dtype=torch.uint8)
    assert METRICS[name].function(large, large) == 1


def scenes(height: int, width: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of uint8 frames (2, 3, H, W); bright, uniform frames are where moments in float32 lose precision."""
    random = torch.Generator().manual_seed(1)

    def noise(low: int, high: int) -> torch.Tensor:
        return torch.randint(low, high, (2, 3, height, width), generator=random)

    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    truths = {
        "noise": noise(0, 256),
        "bright": noise(250, 252),
        "ramp": ((x + 2 * y) % 256).expand(2, 3, -1, -1),
        "edges": (255 * (x > width // 2)).expand(2, 3, -1, -1),
    }
    errors = {"noise": noise(-40, 41), "bright": noise(-1, 2), "ramp": noise(-3, 4), "edges": 3 - 7 * (x > width // 2)}
    return {
        kind: ((truth + errors[kind]).clamp(0, 255).to(torch.uint8), truth.to(torch.uint8))
        for kind, truth in truths.items()
    }


@pytest.mark.parametrize("kind", ["noise", "bright", "ramp", "edges"])
def test_equal_to_scikit_image(kind: str) -> None:
    prediction, truth = scenes(37, 29)[kind]
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    for name, options in (("ssim", gaussian), ("ssim_u255", {"data_range": 255}), ("ssim_u2", {"data_range": 510})):
        expected = [
            structural_similarity(p.numpy(), t.numpy(), channel_axis=0, **options)
            for p, t in zip(prediction, truth, strict=True)
        ]
        np.testing.assert_allclose(METRICS[name].function(prediction, truth), expected, atol=1e-6, err_msg=name)
    expected = [peak_signal_noise_ratio(t.numpy(), p.numpy()) for p, t in zip(prediction, truth, strict=True)]
    np.testing.assert_allclose(METRICS["psnr"].function(prediction, truth), expected, rtol=1e-12)


def test_ms_ssim_is_the_published_product() -> None:
    """Against an independent implementation of the definition, with Gaussian filters of SciPy."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (1, 176, 192)).repeat(2, axis=1).astype(np.uint8)[:, :176]
    prediction = np.clip(truth + random.integers(-60, 61, truth.shape), 0, 255).astype(np.uint8)
    planes = [prediction[0].astype(float), truth[0].astype(float)]
    expected = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mean = [gaussian_filter(plane, 1.5, truncate=3.5) for plane in planes]
        cross = gaussian_filter(planes[0] * planes[1], 1.5, truncate=3.5) - mean[0] * mean[1]
        spread = [gaussian_filter(p * p, 1.5, truncate=3.5) - m * m for p, m in zip(planes, mean, strict=True)]
        term = (2 * cross + 58.5225) / (spread[0] + spread[1] + 58.5225)
        if scale == 4:
            term = term * (2 * mean[0] * mean[1] + 6.5025) / (mean[0] ** 2 + mean[1] ** 2 + 6.5025)
        expected *= term[5:-5, 5:-5].mean() ** weight
        planes = [plane.reshape(plane.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3)) for plane in planes if scale < 4]
    found = METRICS["ms_ssim"].function(torch.from_numpy(prediction), torch.from_numpy(truth))
    assert found == pytest.approx(expected, abs=1e-6) and 0.5 < expected < 0.99


def test_ms_ssim_of_odd_sizes_as_pytorch_msssim() -> None:
    prediction, truth = scenes(167, 183)["noise"]
    # pytorch-msssim 1.0.0 (data_range=255, size_average=False) in float64 on this pair
    np.testing.assert_allclose(METRICS["ms_ssim"].function(prediction, truth), [0.9614683203, 0.9616838634], atol=1e-6)


def test_grey_equals_pillow() -> None:
    _, frames = scenes(20, 20)["noise"]
    for frame in frames:
        pillow = Image.fromarray(frame.permute(1, 2, 0).numpy()).convert("L")
        np.testing.assert_array_equal(to_grey(frame)[0].numpy(), np.array(pillow))
    assert torch.equal(to_grey(frames[:, :1]), frames[:, :1])
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        to_grey(frames[:, :2])


def test_grey_ssim_is_ssim_of_the_luma() -> None:
    prediction, truth = golden_pair(9)
    grey = [np.array(Image.fromarray(f.permute(1, 2, 0).numpy()).convert("L")) for f in (prediction, truth)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(*grey, **options)
    assert METRICS["ssim_grey"].function(prediction, truth) == pytest.approx(expected, abs=1e-6)
    assert abs(expected - METRICS["ssim"].function(prediction, truth)) > 0.01  # another number than the RGB mean


# PSNR and SSIM over t = 2..9 of PredNet's own demonstration, and of copying the frame before.
CALTECH = {
    0: {"copy": (22.47, 0.700, 0.00595), "prednet": (28.04, 0.870, 0.00165)},
    1: {"copy": (15.12, 0.315, 0.03111), "prednet": (20.68, 0.629, 0.00863)},
    2: {"copy": (18.33, 0.573, 0.01485), "prednet": (25.18, 0.825, 0.00307)},
}


@pytest.mark.shared_data
@pytest.mark.parametrize("strip", CALTECH)
def test_real_driving_scenes(shared_data: Path, strip: int) -> None:
    clips = {}
    for kind in ("actual", "prednet"):
        image = Image.open(shared_data / "driving" / "caltech_prednet" / f"m1_{strip}_{kind}.png").convert("RGB")
        frames = torch.from_numpy(np.array(image)).reshape(128, 10, 160, 3)
        clips[kind] = frames.permute(1, 3, 0, 2)  # (10, 3, 128, 160)
    truth = clips["actual"][2:]
    before = clips["actual"][1:-1, None]  # the frame before each one
    forecasts = {"prednet": clips["prednet"][2:], "copy": copy_last(before, 1)[:, 0]}
    for name, forecast in forecasts.items():
        psnr, ssim, mse = (METRICS[metric].function(forecast, truth).mean() for metric in ("psnr", "ssim", "mse"))
        expected = CALTECH[strip][name]
        assert psnr == pytest.approx(expected[0], abs=0.05), name
        assert ssim == pytest.approx(expected[1], abs=0.005), name
        assert mse == pytest.approx(expected[2], abs=5e-5), name
