"""Does a run of MoCoGAN show one moving object, as the clips do that it was trained on? Read off the pixels.

    python tools/moving_object.py runs/shapes [RUN ...] --clips 300 --out object.json

For data whose frames show one bright object on a dark ground, such as MoCoGAN's shapes. Beside the generated clips, of
every category equally many, stand as many held-out real clips, and half of those beside the other half says how far
sets of real clips lie apart. `category`: share of clips whose net motion is nearest to the mean of real training clips
of the category asked for. Definitions of the other measures: vidgan/data/shape_scores.py. Writes a table for
results_tables.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidgan import MoCoGAN
from vidgan.data.synthetic.shape_scores import Reading, path_scores, read_shapes
from vidgan.evaluation.subjects import Subject, find_subject
from vidgan.files import check_overwrite, write_text

Clips = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="real clips are those of the first one's data")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    subjects = [find_subject(run) for run in options.run]
    train, labels = real_clips(subjects[0], "train", options.clips, options.seed)
    held, held_labels = real_clips(subjects[0], "test", options.clips, options.seed)
    known = net_motion(read_shapes(train))
    means = np.stack([np.nanmean(known[labels == kind], axis=0) for kind in range(labels.max() + 1)])  # (K, 2)
    half = np.arange(len(held)) % 2 == 0
    sets = {f"{subject.name}, step {subject.step}": generated(subject, options) for subject in subjects} | {
        "real, held out": (held, held_labels),
        "one half of them": (held[half], held_labels[half]),
        "the other half": (held[~half], held_labels[~half]),
    }
    rows = {name: measures(clips, kinds, means) for name, (clips, kinds) in sets.items()}
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


def generated(subject: Subject, options: argparse.Namespace) -> tuple[Clips, Labels]:
    """Clips (N, T, H, W, 3), of every category equally many, and the categories asked for (N,).

    Raises:
        SystemExit: the model has no categories.
    """
    model = subject.model
    if not isinstance(model, MoCoGAN) or not model.facts.get("categories"):
        raise SystemExit(f"{subject.name}: no MoCoGAN with categories")
    names = model.facts["categories"]
    each = options.clips // len(names)
    made = [model.sample(each, seed=options.seed + n, category=name).movedim(2, -1) for n, name in enumerate(names)]
    return np.concatenate([clips.numpy() for clips in made]), np.repeat(np.arange(len(names)), each)


def real_clips(subject: Subject, split: str, clips: int, seed: int) -> tuple[Clips, Labels]:
    """At most so many windows, one a clip and spread over the split, (N, T, H, W, 3), and their categories (N,)."""
    places = subject.places(split=split, one_each=True, seed=seed)
    found = places.spread(clips)
    return places.read_all(found).movedim(2, -1).numpy(), np.array([place.entry.category for place in found])


def net_motion(reading: Reading) -> npt.NDArray[np.float64]:
    """(N, 2): from the first place of the object to its last, NaN where it is not seen in both."""
    return reading.centre[:, -1] - reading.centre[:, 0]


def measures(clips: Clips, kinds: Labels, means: npt.NDArray[np.float64]) -> dict[str, Any]:
    """One row of the table."""
    reading = read_shapes(clips)
    distance = np.linalg.norm(net_motion(reading)[:, None] - means, axis=-1)  # (N, K)
    nearest = np.where(np.isnan(distance).any(axis=1), -1, np.nan_to_num(distance).argmin(axis=1))
    return {
        "one": float((reading.objects == 1).mean()),
        "colour": float(np.nanmean(np.nanstd(reading.colour, axis=1))),
        "category": float((nearest == kinds).mean()),
        **path_scores(reading),
    }


if __name__ == "__main__":
    sys.exit(main())
