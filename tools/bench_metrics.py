"""Time the frame metrics beside scikit-image, pytorch-msssim and torchmetrics, and compare their values, in one run.

    python tools/bench_metrics.py [--quick] [--frames 128] [--size 128x160] [--json times.json]

Needs the `bench` dependency group. Every method scores the same uint8 frames from memory; repetitions take turns, so
that a busy machine slows all alike, and the median counts. scikit-image runs frame by frame on one core, as it is
commonly used; ours spreads frames over `--workers` threads (default: all cores); the torch libraries use torch's
threads. With a GPU the batched path runs there too, transfer included. `x` is how many times faster ours is; `differs`
is the largest difference of a frame's value from ours. torchmetrics pads the border where the definition has none, so
its SSIM differs by its own choice.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benching import machine, save
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vidgan.metrics.frame import METRICS, score_frames
from vidgan.metrics.frame_torch import TORCH_METRICS
from vidgan.seeding import generator

Values = np.ndarray
Method = Callable[[], Values]

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
BATCH = 16
SMALLEST_MS_SSIM = 176  # what torchmetrics asks for; the definition needs 161


def main() -> int:
    """Run the benchmark; returns 1 when a value differs from its definition, else 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16 frames, 2 repetitions")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--size", default="128x160", help="HEIGHTxWIDTH of the frames (default 128x160)")
    parser.add_argument("--metrics", default="psnr,ssim,ssim_u255,ms_ssim", help="names with commas")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="also write the numbers to this new file")
    args = parser.parse_args()
    if args.json is not None and args.json.exists():
        parser.error(f"{args.json} exists")
    if unknown := sorted(set(args.metrics.split(",")) - TORCH_METRICS.keys()):
        parser.error(f"unknown metrics {', '.join(unknown)}; there are {', '.join(TORCH_METRICS)}")
    height, width = (int(side) for side in args.size.split("x"))
    number, repeat = (16, 2) if args.quick else (args.frames, args.repeat)
    rows: list[dict[str, Any]] = []
    for metric in args.metrics.split(","):
        side = max(height, SMALLEST_MS_SSIM) if metric == "ms_ssim" else height
        prediction, target = frames(number, side, max(width, side))
        with ThreadPoolExecutor(args.workers) as pool:
            rows += measured(metric, methods(metric, prediction, target, pool), prediction, repeat)
    print(table(rows))
    facts = machine() | {"workers": args.workers, "frames": number}
    save(args.json, {"machine": facts, "rows": rows})
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    # torchmetrics' SSIM has another border: its difference is no fault.
    exact = [row for row in rows if row["method"] != "torchmetrics" or row["metric"] == "psnr"]
    return int(any(row["differs"] > 1e-4 for row in exact))


def frames(number: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth pictures and noisy copies of them: (N, 3, H, W) uint8 twice."""
    random = generator("bench metrics")
    coarse = torch.rand(number, 3, 9, 9, generator=random)
    truth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255
    noisy = truth + 12 * torch.randn(truth.shape, generator=random)
    return noisy.round().clamp(0, 255).to(torch.uint8), truth.round().to(torch.uint8)


def methods(metric: str, prediction: torch.Tensor, target: torch.Tensor, pool: ThreadPoolExecutor) -> dict[str, Method]:
    """Name -> function that scores all frames; ours first. Where a library lacks a metric, it is left out."""
    found: dict[str, Method] = {"vidgan": lambda: score_frames(METRICS[metric], prediction, target, pool)}
    pairs = list(zip(prediction.numpy(), target.numpy(), strict=True))
    options: dict[str, dict[str, Any]] = {"ssim": GAUSSIAN, "ssim_u255": {"data_range": 255}}
    if metric in options:
        found["scikit-image"] = lambda: np.array(
            [structural_similarity(p, t, channel_axis=0, **options[metric]) for p, t in pairs]
        )
    if metric == "psnr":
        found["scikit-image"] = lambda: np.array([peak_signal_noise_ratio(t, p) for p, t in pairs])
    found["vidgan batched, cpu"] = partial(batched, TORCH_METRICS[metric], prediction, target, "cpu", 255)
    for name, function in libraries(metric).items():
        found[name] = partial(batched, function, prediction, target, "cpu", 1)
    if torch.cuda.is_available():
        found["vidgan batched, gpu"] = partial(batched, TORCH_METRICS[metric], prediction, target, "cuda", 255)
        for name, function in libraries(metric).items():
            found[f"{name}, gpu"] = partial(batched, function, prediction, target, "cuda", 1)
    return found


def libraries(metric: str) -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """Functions of the other libraries on floats in 0..255, one value a frame."""
    found: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {}
    try:
        import pytorch_msssim
    except ImportError:
        print("pytorch-msssim is not installed (dependency group bench)", file=sys.stderr)
    else:
        if metric == "ssim":
            found["pytorch-msssim"] = lambda p, t: pytorch_msssim.ssim(p, t, data_range=255, size_average=False)
        if metric == "ms_ssim":
            found["pytorch-msssim"] = lambda p, t: pytorch_msssim.ms_ssim(p, t, data_range=255, size_average=False)
    try:
        from torchmetrics.functional import image
    except ImportError:
        print("torchmetrics is not installed (dependency group bench)", file=sys.stderr)
        return found
    if metric == "psnr":
        axes = (1, 2, 3)
        found["torchmetrics"] = lambda p, t: image.peak_signal_noise_ratio(p, t, 255.0, reduction="none", dim=axes)
    if metric == "ssim":
        found["torchmetrics"] = lambda p, t: image.structural_similarity_index_measure(
            p, t, data_range=255.0, reduction="none"
        )
    if metric == "ms_ssim":
        found["torchmetrics"] = lambda p, t: image.multiscale_structural_similarity_index_measure(
            p, t, data_range=255.0, reduction="none"
        )
    return found


def batched(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    prediction: torch.Tensor,
    target: torch.Tensor,
    device: str,
    scale: int,
) -> Values:
    """A torch function over all frames, `BATCH` at a time, from uint8 in memory to values in memory."""
    values = []
    with torch.inference_mode():
        for pair in zip(prediction.split(BATCH), target.split(BATCH), strict=True):
            p, t = (part.to(device).float() / scale for part in pair)
            values.append(function(p, t))
        return torch.cat(values).double().cpu().numpy()


def measured(metric: str, found: dict[str, Method], prediction: torch.Tensor, repeat: int) -> list[dict[str, Any]]:
    """Median time of each method, one untimed call before, and its largest difference from ours."""
    values = {name: method() for name, method in found.items()}
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(repeat):
        for name, method in found.items():
            began = time.perf_counter()
            method()
            times[name].append(time.perf_counter() - began)
    seconds = {name: statistics.median(samples) for name, samples in times.items()}
    ours = seconds["vidgan"]
    return [
        {
            "metric": metric,
            "size": "x".join(str(side) for side in prediction.shape[-2:]),
            "method": name,
            "ms_per_frame": 1000 * taken / len(prediction),
            "times_ours": taken / ours,
            "mean": float(values[name].mean()),
            "differs": float(np.abs(values[name] - values["vidgan"]).max()),
        }
        for name, taken in seconds.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'metric':10} {'size':9} {'method':22} {'ms/frame':>9} {'x':>7} {'mean':>9} {'differs':>9}"]
    for row in rows:
        lines.append(
            f"{row['metric']:10} {row['size']:9} {row['method']:22} {row['ms_per_frame']:9.3f} "
            f"{row['times_ours']:7.2f} {row['mean']:9.5f} {row['differs']:9.1e}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
