"""Time the frame metrics beside scikit-image, pytorch-msssim and torchmetrics, and compare their values, in one run.

    python tools/bench_metrics.py [--quick] [--frames 128] [--size 128x160] [--json times.json]

Needs the `bench` dependency group. Every method scores the same uint8 frames from memory. The methods take turns, so
that other load slows all of them alike, and the median time is reported. scikit-image runs frame by frame
on one core, as it is commonly used. vidgan spreads frames over `--workers` threads (default: all cores), and the torch
libraries use torch's threads. The batched metrics also run on a GPU if there is one, transfer included. `x` is the time
relative to vidgan's, `differs` the largest difference of a frame's value from vidgan's. torchmetrics pads the border,
which the definition of SSIM does not, so its SSIM differs.
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
MS_SSIM_SIDE = 176  # minimum of torchmetrics; the definition needs 161


def main() -> int:
    """Run the benchmark; return 1 if a value differs from its definition, else 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16 frames, 2 repetitions")
    parser.add_argument("--frames", type=int, default=128, help="number of frames (default 128)")
    parser.add_argument("--size", default="128x160", help="HEIGHTxWIDTH of the frames in pixels (default 128x160)")
    parser.add_argument("--metrics", default="psnr,ssim,ssim_u255,ms_ssim", help="comma-separated metric names")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each method (default 5)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads of vidgan's CPU path")
    parser.add_argument("--json", type=Path, help="also write the results to this new file")
    args = parser.parse_args()
    if args.json is not None and args.json.exists():
        parser.error(f"{args.json} exists")
    if unknown := sorted(set(args.metrics.split(",")) - TORCH_METRICS.keys()):
        parser.error(f"--metrics: unknown {', '.join(unknown)}; accepted: {', '.join(TORCH_METRICS)}")
    height, width = (int(side) for side in args.size.split("x"))
    number, repeat = (16, 2) if args.quick else (args.frames, args.repeat)
    rows: list[dict[str, Any]] = []
    for metric in args.metrics.split(","):
        side = max(height, MS_SSIM_SIDE) if metric == "ms_ssim" else height
        prediction, target = make_frames(number, side, max(width, side))
        with ThreadPoolExecutor(args.workers) as pool:
            rows += measure(metric, find_methods(metric, prediction, target, pool), prediction, repeat)
    print(format_table(rows))
    facts = machine() | {"workers": args.workers, "frames": number}
    save(args.json, {"machine": facts, "rows": rows})
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    # torchmetrics uses another border for SSIM, so its difference is not an error.
    exact = [row for row in rows if row["method"] != "torchmetrics" or row["metric"] == "psnr"]
    return int(any(row["differs"] > 1e-4 for row in exact))


def make_frames(number: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy copies of smooth images, and the images: (N, 3, H, W) uint8 each."""
    random = generator("bench metrics")
    coarse = torch.rand(number, 3, 9, 9, generator=random)
    truth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255
    noisy = truth + 12 * torch.randn(truth.shape, generator=random)
    return noisy.round().clamp(0, 255).to(torch.uint8), truth.round().to(torch.uint8)


def find_methods(
    metric: str, prediction: torch.Tensor, target: torch.Tensor, pool: ThreadPoolExecutor
) -> dict[str, Method]:
    """Name -> function that scores all frames, vidgan first, of every library that has the metric."""
    methods: dict[str, Method] = {"vidgan": lambda: score_frames(METRICS[metric], prediction, target, pool)}
    pairs = list(zip(prediction.numpy(), target.numpy(), strict=True))
    options: dict[str, dict[str, Any]] = {"ssim": GAUSSIAN, "ssim_u255": {"data_range": 255}}
    if metric in options:
        methods["scikit-image"] = lambda: np.array(
            [structural_similarity(p, t, channel_axis=0, **options[metric]) for p, t in pairs]
        )
    if metric == "psnr":
        methods["scikit-image"] = lambda: np.array([peak_signal_noise_ratio(t, p) for p, t in pairs])
    methods["vidgan batched, cpu"] = partial(score_batches, TORCH_METRICS[metric], prediction, target, "cpu", 255)
    for name, function in library_functions(metric).items():
        methods[name] = partial(score_batches, function, prediction, target, "cpu", 1)
    if torch.cuda.is_available():
        methods["vidgan batched, gpu"] = partial(score_batches, TORCH_METRICS[metric], prediction, target, "cuda", 255)
        for name, function in library_functions(metric).items():
            methods[f"{name}, gpu"] = partial(score_batches, function, prediction, target, "cuda", 1)
    return methods


def library_functions(metric: str) -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """Functions of pytorch-msssim and torchmetrics on floats in 0..255, one value per frame."""
    functions: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {}
    try:
        import pytorch_msssim
    except ImportError:
        print("pytorch-msssim is not installed (dependency group bench)", file=sys.stderr)
    else:
        if metric == "ssim":
            functions["pytorch-msssim"] = lambda p, t: pytorch_msssim.ssim(p, t, data_range=255, size_average=False)
        if metric == "ms_ssim":
            functions["pytorch-msssim"] = lambda p, t: pytorch_msssim.ms_ssim(p, t, data_range=255, size_average=False)
    try:
        from torchmetrics.functional import image
    except ImportError:
        print("torchmetrics is not installed (dependency group bench)", file=sys.stderr)
        return functions
    if metric == "psnr":
        axes = (1, 2, 3)
        functions["torchmetrics"] = lambda p, t: image.peak_signal_noise_ratio(p, t, 255.0, reduction="none", dim=axes)
    if metric == "ssim":
        functions["torchmetrics"] = lambda p, t: image.structural_similarity_index_measure(
            p, t, data_range=255.0, reduction="none"
        )
    if metric == "ms_ssim":
        functions["torchmetrics"] = lambda p, t: image.multiscale_structural_similarity_index_measure(
            p, t, data_range=255.0, reduction="none"
        )
    return functions


def score_batches(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    prediction: torch.Tensor,
    target: torch.Tensor,
    device: str,
    scale: int,
) -> Values:
    """Apply a torch function to all frames, `BATCH` at a time, from uint8 in memory to values in memory."""
    values = []
    with torch.inference_mode():
        for pair in zip(prediction.split(BATCH), target.split(BATCH), strict=True):
            p, t = (part.to(device).float() / scale for part in pair)
            values.append(function(p, t))
        return torch.cat(values).double().cpu().numpy()


def measure(metric: str, methods: dict[str, Method], prediction: torch.Tensor, repeat: int) -> list[dict[str, Any]]:
    """Median time of each method after an untimed call, and its largest difference from vidgan's values."""
    values = {name: method() for name, method in methods.items()}
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeat):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(samples) for name, samples in times.items()}
    ours = seconds["vidgan"]
    return [
        {
            "metric": metric,
            "size": "x".join(str(side) for side in prediction.shape[-2:]),
            "method": name,
            "ms_per_frame": 1000 * median / len(prediction),
            "times_ours": median / ours,
            "mean": float(values[name].mean()),
            "differs": float(np.abs(values[name] - values["vidgan"]).max()),
        }
        for name, median in seconds.items()
    ]


def format_table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'metric':10} {'size':9} {'method':22} {'ms/frame':>9} {'x':>7} {'mean':>9} {'differs':>9}"]
    for row in rows:
        lines.append(
            f"{row['metric']:10} {row['size']:9} {row['method']:22} {row['ms_per_frame']:9.3f} "
            f"{row['times_ours']:7.2f} {row['mean']:9.5f} {row['differs']:9.1e}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
