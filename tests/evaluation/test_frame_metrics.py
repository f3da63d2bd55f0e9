"""Frame metrics against golden values that were computed outside this project, and on numbers checked by hand."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.evaluation import METRICS, copy_last
from vidgan.evaluation.frame import score_frames


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
        "mse_frame": 18.8393849,
    },
    9: {
        "mse": 0.0129018236,
        "psnr": 18.893488,
        "ssim": 0.6088143156,
        "ssim_u255": 0.6245510086,
        "ssim_u2": 0.6582960462,
    },
}


def test_the_golden_grid_is_the_right_one() -> None:
    prediction, truth = golden_pair(3)
    assert (int(truth.sum()), int(prediction.sum())) == (1124352, 1108819)


@pytest.mark.parametrize("amplitude", GOLDEN)
def test_golden_values(amplitude: int) -> None:
    prediction, truth = golden_pair(amplitude)
    for name, expected in GOLDEN[amplitude].items():
        assert METRICS[name].function(prediction, truth) == pytest.approx(expected, rel=1e-7), name


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
    def test_one_number_a_frame(self, name: str) -> None:
        random = torch.Generator().manual_seed(0)
        a, b = torch.randint(0, 256, (2, 2, 3, 3, 16, 12), dtype=torch.uint8, generator=random)
        values = METRICS[name].function(a, b)
        assert values.shape == (2, 3) and values.dtype == np.float64
        assert values[1, 2] == METRICS[name].function(a[1, 2], b[1, 2])
        with ThreadPoolExecutor(3) as pool:
            np.testing.assert_array_equal(score_frames(METRICS[name], a, b, pool), values)

    def test_identical_frames_are_best(self, name: str) -> None:
        prediction, truth = golden_pair(3)
        metric = METRICS[name]
        exact, near = metric.function(truth, truth), metric.function(prediction, truth)
        assert exact > near if metric.better == "higher" else exact < near
        assert exact == {"psnr": math.inf, "sharpness": math.inf}.get(name, float(name.startswith("ssim")))

    def test_refuses_floats_and_other_shapes(self, name: str) -> None:
        frame = torch.zeros(3, 16, 16, dtype=torch.uint8)
        with pytest.raises(ValueError, match=r"target is torch\.float32.*to_byte"):
            METRICS[name].function(frame, torch.full((3, 16, 16), math.nan))
        with pytest.raises(ValueError, match="one shape"):
            METRICS[name].function(frame, frame[:1])
        with pytest.raises(ValueError, match=r"\(16, 16\)"):
            METRICS[name].function(frame[0], frame[0])


def test_ssim_names_the_least_size() -> None:
    frame = torch.zeros(3, 10, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match="11x11 pixels, got 10x16"):
        METRICS["ssim"].function(frame, frame)


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
    before = clips["actual"][1:-1, None]  # each frame of a window of one seen frame
    forecasts = {"prednet": clips["prednet"][2:], "copy": copy_last(before, 1)[:, 0]}
    for name, forecast in forecasts.items():
        psnr, ssim, mse = (METRICS[metric].function(forecast, truth).mean() for metric in ("psnr", "ssim", "mse"))
        expected = CALTECH[strip][name]
        assert psnr == pytest.approx(expected[0], abs=0.05), name
        assert ssim == pytest.approx(expected[1], abs=0.005), name
        assert mse == pytest.approx(expected[2], abs=5e-5), name
