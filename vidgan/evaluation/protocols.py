"""Protocols by name: how many frames are seen, how many are forecast, which definitions are printed.

A number can be compared with a published one only when windows, frame size, metric definitions and the copy-last row
agree: reproduce the copy-last row first. ``comparable`` says which published tables a protocol may be held against.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vidgan.evaluation.frame import METRICS

DEFAULT_METRICS = ("mse", "psnr", "ssim", "mae", "sharpness")


@dataclass(frozen=True, kw_only=True)
class ForecastProtocol:
    """How a forecaster is scored. `samples` > 1: stochastic, best of that many (chosen per window and per metric).

    Raises:
        ValueError: a length below 1, or an unknown metric.
    """

    name: str
    context: int
    horizon: int
    metrics: tuple[str, ...] = DEFAULT_METRICS
    frame_size: tuple[int, int] | None = None  # (H, W) that published numbers use
    samples: int = 1
    windows: str = "every window that the data set gives"
    comparable: str = "nothing published: compare with the baselines of the same table"

    def __post_init__(self) -> None:
        for key in ("context", "horizon", "samples"):
            if getattr(self, key) < 1:
                raise ValueError(f"protocol {self.name!r}: {key} must be at least 1, got {getattr(self, key)}")
        check_metrics(self.metrics)


def check_metrics(names: Sequence[str]) -> None:
    """Raise ValueError if a metric is unknown, or if there is none."""
    if not names:
        raise ValueError("no metric was asked for")
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"unknown metrics: {', '.join(unknown)}; there are {', '.join(METRICS)}")


def find_protocol(name: str) -> ForecastProtocol:
    """The protocol of that name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


_ALL = (
    ForecastProtocol(
        name="caltech-10to1",
        context=10,
        horizon=1,
        metrics=("mse", "psnr", "ssim"),
        frame_size=(128, 160),
        windows="Caltech Pedestrian sets 06-10, every third frame (10 Hz), 11 frames, not overlapping, from the front",
        comparable="PredNet, Dual Motion GAN, Cycle GAN column (MSE-pix, SSIM-G); copy-last there: MSE 7.95e-3",
    ),
    ForecastProtocol(
        name="caltech-10to1-openstl",
        context=10,
        horizon=1,
        metrics=("mse_frame", "psnr", "ssim_u2"),
        frame_size=(128, 160),
        windows="Caltech Pedestrian sets 06-10, frames 2, 5, 8, ..., 11 frames, from the end of a video backwards",
        comparable="OpenSTL's KITTI to Caltech table",
    ),
    ForecastProtocol(
        name="moving-mnist-10to10",
        context=10,
        horizon=10,
        metrics=("mse_frame", "mae_frame", "ssim_u2", "ssim", "psnr"),
        frame_size=(64, 64),
        windows="all 10,000 sequences of mnist_test_seq.npy, frames 0-9 seen; one channel, for the frame sums of three "
        "equal channels are three times the published ones",
        comparable="OpenSTL and SimVP tables (state the epochs: they move MSE by a factor of 2)",
    ),
    ForecastProtocol(
        name="kth-10to20",
        context=10,
        horizon=20,
        metrics=("psnr", "ssim_u255", "ssim", "ssim_u2"),
        frame_size=(128, 128),
        windows="KTH persons 17-25",
        comparable="MCNet, PredRNN and MMVP tables; every PSNR of 2022-23 near 33 there is an arithmetic overflow",
    ),
    ForecastProtocol(
        name="kth-10to40",
        context=10,
        horizon=40,
        metrics=("psnr", "ssim_u255", "ssim", "ssim_u2"),
        frame_size=(128, 128),
        windows="KTH persons 17-25",
        comparable="MCNet, PredRNN and MMVP tables; every PSNR of 2022-23 near 33 there is an arithmetic overflow",
    ),
    ForecastProtocol(
        name="kth-svg-10to30",
        context=10,
        horizon=30,
        metrics=("psnr", "ssim_u2", "ssim"),
        frame_size=(64, 64),
        samples=100,
        windows="KTH persons 21-25, a random start in every video",
        comparable="SVG, SRVP, SLAMP, MCVD: best of 100 samples, per metric",
    ),
    ForecastProtocol(
        name="bair-2to28",
        context=2,
        horizon=28,
        metrics=("psnr", "ssim_u2", "ssim"),
        frame_size=(64, 64),
        samples=100,
        windows="the 256 BAIR test trajectories, image_aux1",
        comparable="SVG, SAVP, SLAMP, MCVD: best of 100 samples, per metric",
    ),
)

PROTOCOLS: dict[str, ForecastProtocol] = {protocol.name: protocol for protocol in _ALL}
