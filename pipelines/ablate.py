"""Ablation of the synthesis recipe: the demo's config on moving shapes, one setting changed per run.

    python pipelines/ablate.py --out studies/ablation --steps 400 --only recipe "no moving average" hinge

Every run trains on the same rendered clips, from the same seed, for equal steps, or with `--seconds` for equal time:

    python pipelines/ablate.py --out studies/parts --runs pipelines/gan_parts.yaml --seconds 400

Clips of its moving average are scored
by the measures of vidgan/data/synthetic/shape_scores.py and against other rendered clips. These were written to video
files and read back like the training clips, because coding changes colours at edges, which alone separates two sets.
The runs are listed in ablate.yaml and gan_parts.yaml. Existing rows are kept; the table is `ablation.json`.
"""

import argparse
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import TypeAlias

import numpy as np
import torch
from omegaconf import OmegaConf

from vidgan import MoCoGAN, train
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.data.synthetic.shape_scores import DEFINITIONS, shape_scores
from vidgan.data.synthetic.shapes import CATEGORIES
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.settings import ALL
from vidgan.evaluation.windows import WindowSet
from vidgan.files import write_text

Row: TypeAlias = dict[str, float | None]

RUNS = Path(__file__).with_suffix(".yaml")
RENDERED, STRIDE = 32, 2  # frames of a rendered clip, stride in training
SCORED = 240  # generated clips that are scored
PROBED = 32, 64  # steps of the two short runs that tell the cost of a step; penalties come on every 8th


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=400, help="training steps of every run")
    length.add_argument("--seconds", type=float, help="processor time of every run; a step's cost is measured first")
    parser.add_argument("--clips", type=int, default=480, help="number of rendered clips, held-out ones included")
    parser.add_argument("--size", type=int, default=32, help="side of a frame in pixels")
    parser.add_argument("--only", nargs="+", metavar="RUN", help="names of runs to make; default: all")
    parser.add_argument("--runs", type=Path, default=RUNS, help="file that lists the runs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    rendered = partial(prepare_shapes, frames=RENDERED, size=options.size)
    data = rendered(options.out / "data", clips=options.clips, seed=options.seed)
    others = rendered(options.out / "others", clips=2 * SCORED, seed=options.seed + 1, holdout=0.0)

    def make(config: str, settings: list[str]) -> Row:
        def trained(steps: int, *more: str) -> tuple[Path, float]:
            start = process_time()
            run = train(config, [f"data.root={data}", f"seed={options.seed}", *settings, f"train.steps={steps}", *more])
            return run.run_dir, process_time() - start

        steps = options.steps
        if options.seconds is not None:
            with TemporaryDirectory() as probe:
                short, long = (trained(number, f"out={probe}", f"name={number}")[1] for number in PROBED)
            steps = max(1, round(options.seconds * (PROBED[1] - PROBED[0]) / (long - short)))
        run, seconds = trained(steps)
        return score(run, options.seed, others) | {"steps": float(steps), "seconds": seconds / steps}

    columns, rows = study(read_runs(options.runs, "mocogan/demo"), options.out, options.only, make)
    lasted = f"{options.steps} steps" if options.seconds is None else f"{options.seconds:g} seconds of one thread"
    conditions = f"{lasted}, {SCORED} clips of the moving average, seconds of one thread per step"
    table = {
        "kind": "table",
        "columns": ["run", *columns],
        "rows": [[name, *(row.get(column) for column in columns)] for name, row in rows.items()],
        "notes": [conditions, *map(": ".join, DEFINITIONS.items())],
    }
    write_text(options.out / "ablation.json", json.dumps(table, indent=1))
    print(json.dumps(table, indent=1))


def study(
    runs: Mapping[str, tuple[str, list[str]]],
    out: Path,
    only: Collection[str] | None,
    make: Callable[[str, list[str]], Row],
) -> tuple[list[str], dict[str, Row]]:
    """Make the missing rows, one folder of `out` each, and return all columns and all rows.

    Args:
        runs: name -> config and changes.
        only: names of the runs to make; None for all.
        make: (config, changes, including the folder) -> row.

    Raises:
        SystemExit: an unknown name in `only`.
    """
    if unknown := set(only or ()) - set(runs):
        raise SystemExit(f"--only {', '.join(sorted(unknown))}: no such run; accepted are {', '.join(runs)}")
    rows: dict[str, Row] = {}
    for name, (config, changes) in runs.items():
        folder = out / folder_name(name)
        file = folder / "row.json"
        if not file.is_file() and (only is None or name in only):
            write_text(file, json.dumps(make(config, [f"out={out}", f"name={folder.name}", *changes]), indent=1))
        if file.is_file():
            rows[name] = json.loads(file.read_text())
    return list(dict.fromkeys(column for row in rows.values() for column in row)), rows


def read_runs(file: Path, config: str) -> dict[str, tuple[str, list[str]]]:
    """Name -> config and changes, from a file of names and changes.

    A first change `config=NAME` names another config, `run=NAME` an earlier run whose changes come first.
    """
    runs: dict[str, tuple[str, list[str]]] = {}
    for name, listed in OmegaConf.load(file).items():
        changes = list(listed)
        kind, _, named = changes[0].partition("=") if changes else ("", "", "")
        before: list[str] = []
        first = config
        if kind == "config":
            first, changes = named, changes[1:]
        elif kind == "run":
            (first, before), changes = runs[named], changes[1:]
        runs[str(name)] = (first, [*before, *changes])
    return runs


def folder_name(run: str) -> str:
    """The folder name of a run."""
    return re.sub(r"\W+", "-", run).strip("-")


def score(run: Path, seed: int, others: Path) -> Row:
    """The measures of a run against other prepared clips, and the floor of the Frechet distance."""
    model = MoCoGAN.from_pretrained(run)
    each = SCORED // len(CATEGORIES)
    clips = torch.cat([model.sample(each, seed=seed + number, category=name) for number, name in enumerate(CATEGORIES)])
    requested = np.repeat(np.arange(len(CATEGORIES)), each)
    windows = WindowSet(others, model.facts["frames"], stride=STRIDE, split=ALL, one_each=True, seed=seed)
    real = windows.read_all(windows.spread(2 * SCORED))
    scores = score_synthesis(real, clips, seed=seed).scores
    return {
        **shape_scores(clips.movedim(2, -1).numpy(), requested),
        **{name: scores["generated"][name].mean.mean for name in ("diversity", "frechet_inhouse")},
        "floor": scores["real"]["frechet_inhouse"].mean.mean,
    }


if __name__ == "__main__":
    main()
