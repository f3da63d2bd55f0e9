"""Parzen-window log-likelihood of held-out clips under a model's clips, with references that show what it is worth.

    python tools/parzen.py runs/shapes --clips 300 --out parzen.json

Clips are reduced to 4 grey frames of 8x8 in [0, 1], 256 numbers. The width of the windows is chosen on one half of the
held-out clips for each row, the likelihood is of the other half: mean and standard error in nats. References: real
training clips, the same blurred, and as many centres of k-means as a quarter of the clips. Where a reference beats the
training clips, the measure is not to be trusted (Theis et al. 2016). Writes a table for results_tables.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from moving_object import real_clips
from scipy.cluster.vq import kmeans2

from vidgan.evaluation.models import load_model
from vidgan.files import check_overwrite, write_text
from vidgan.metrics.parzen import best_sigma, parzen_log_likelihood
from vidgan.tasks.base import ClipModel

SIDE, FRAMES = 8, 4
BLUR = 3  # side of the box that blurs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run or model folder that generates clips")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    trained = load_model(options.run)
    if not isinstance(trained.model, ClipModel) or trained.model.needs_first_frame:
        raise SystemExit(f"{trained.name}: not a model that generates clips from noise")
    train = reduced(real_clips(trained, "train", options.clips, options.seed)[0])
    held = reduced(real_clips(trained, "test", options.clips, options.seed)[0])
    made = trained.model.sample(options.clips, seed=options.seed).movedim(2, -1).numpy()
    rows = scores({f"{trained.name}, step {trained.facts.step}": reduced(made)} | references(train), held)
    table = {
        "kind": "table",
        "title": f"Parzen-window log-likelihood of held-out clips, {options.clips} clips per row",
        "columns": ["", "nats", "standard error", "sigma"],
        "rows": [[name, *values] for name, values in rows.items()],
        "notes": [f"made by `python tools/{Path(__file__).name}`, seed {options.seed}"],
    }
    print(json.dumps(table, indent=1))
    if options.out:
        write_text(options.out, json.dumps(table, indent=1) + "\n")
    return 0


def reduced(clips: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(N, T, H, W, 3) uint8 -> (N, 256): grey, 4 frames at equal distances, averaged to 8x8, in [0, 1]."""
    times = np.linspace(0, clips.shape[1] - 1, FRAMES).round().astype(int)
    grey = torch.from_numpy(clips[:, times].mean(axis=-1) / 255)  # (N, 4, H, W) float64
    return F.adaptive_avg_pool2d(grey, SIDE).flatten(1).numpy()


def references(train: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Rows beside the model's: name -> samples (M, 256)."""
    maps = torch.from_numpy(train).unflatten(1, (FRAMES, SIDE, SIDE))
    blurred = F.avg_pool2d(maps, BLUR, stride=1, padding=BLUR // 2, count_include_pad=False).flatten(1).numpy()
    centres, _ = kmeans2(train, max(1, len(train) // 4), minit="++", seed=0)
    return {"real, training": train, "the same, blurred": blurred, "centres of k-means": centres}


def scores(
    rows: dict[str, npt.NDArray[np.float64]], held: npt.NDArray[np.float64]
) -> dict[str, tuple[float, float, float]]:
    """Mean and standard error of the log-likelihood of one half of `held`, and sigma, chosen on the other half."""
    validation, test = held[::2], held[1::2]
    result = {}
    for name, samples in rows.items():
        sigma = best_sigma(validation, samples)
        likelihood = parzen_log_likelihood(test, samples, sigma)
        error = float(likelihood.std(ddof=1) / len(test) ** 0.5)
        result[name] = (round(float(likelihood.mean()), 2), round(error, 2), round(sigma, 4))
    return result


if __name__ == "__main__":
    sys.exit(main())
