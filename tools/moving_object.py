"""Measure from pixels whether a model's clips show one moving object, as its training clips do.

    python tools/moving_object.py runs/shapes [RUN ...] --clips 300 --out object.json

For data whose frames show one bright object on a dark background, such as MoCoGAN's shapes. Equally many clips of each
category are generated and compared with held-out real clips. The difference between halves of the held-out clips is the
floor. `category`: share of clips whose net motion is nearest to the mean of real training clips of the requested
category. vidgan/data/synthetic/shape_scores.py defines the other measures. Writes a table for results_tables.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidgan.data.synthetic.shape_scores import Reading, path_scores, read_shapes
from vidgan.evaluation.models import TrainedModel, load_model
from vidgan.files import check_overwrite, write_text
from vidgan.tasks.base import ClipModel

Clips = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="runs; real clips are from the data of the first")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    models = [load_model(run) for run in options.run]
    train, labels = real_clips(models[0], "train", options.clips, options.seed)
    held, held_labels = real_clips(models[0], "test", options.clips, options.seed)
    motion = net_motion(read_shapes(train))
    means = np.stack([np.nanmean(motion[labels == number], axis=0) for number in range(labels.max() + 1)])  # (K, 2)
    half = np.arange(len(held)) % 2 == 0
    sets = {f"{trained.name}, step {trained.facts.step}": generated(trained, options) for trained in models} | {
        "real, held out": (held, held_labels),
        "one half of them": (held[half], held_labels[half]),
        "the other half": (held[~half], held_labels[~half]),
    }
    rows = {name: measures(clips, categories, means) for name, (clips, categories) in sets.items()}
    table = {
        "kind": "table",
        "title": f"One moving object, {options.clips} clips of each run",
        "columns": ["", *next(iter(rows.values()))],
        "rows": [[name, *(round(value, 3) for value in row.values())] for name, row in rows.items()],
        "notes": [f"made by `python tools/{Path(__file__).name}`, seed {options.seed}"],
    }
    print(json.dumps(table, indent=1))
    if options.out:
        write_text(options.out, json.dumps(table, indent=1) + "\n")
    return 0


def generated(trained: TrainedModel, options: argparse.Namespace) -> tuple[Clips, Labels]:
    """Clips (N, T, H, W, 3), equally many of each category, and the requested categories (N,).

    Raises:
        SystemExit: the model generates no clips, or has no categories.
    """
    model, names = trained.model, trained.facts.categories
    if not isinstance(model, ClipModel) or not names:
        raise SystemExit(f"{trained.name}: not a model that generates clips of categories")
    each = options.clips // len(names)
    clips = [model.sample(each, seed=options.seed + n, category=name).movedim(2, -1) for n, name in enumerate(names)]
    return np.concatenate([part.numpy() for part in clips]), np.repeat(np.arange(len(names)), each)


def real_clips(trained: TrainedModel, split: str, clips: int, seed: int) -> tuple[Clips, Labels]:
    """At most `clips` windows, one per clip and evenly spaced over the split, (N, T, H, W, 3), and their categories."""
    windows = trained.windows(split=split, one_each=True, seed=seed)
    chosen = windows.spread(clips)
    return windows.read_all(chosen).movedim(2, -1).numpy(), np.array([window.entry.category for window in chosen])


def net_motion(reading: Reading) -> npt.NDArray[np.float64]:
    """(N, 2): displacement of the object from the first to the last frame, NaN if it is missing in one of them."""
    return reading.centre[:, -1] - reading.centre[:, 0]


def measures(clips: Clips, categories: Labels, means: npt.NDArray[np.float64]) -> dict[str, Any]:
    """One row of the table."""
    reading = read_shapes(clips)
    distance = np.linalg.norm(net_motion(reading)[:, None] - means, axis=-1)  # (N, K)
    nearest = np.where(np.isnan(distance).any(axis=1), -1, np.nan_to_num(distance).argmin(axis=1))
    return {
        "one": float((reading.objects == 1).mean()),
        "colour": float(np.nanmean(np.nanstd(reading.colour, axis=1))),
        "category": float((nearest == categories).mean()),
        **path_scores(reading),
    }


if __name__ == "__main__":
    sys.exit(main())
