"""Train the weights that ship with the package: render moving shapes, prepare, train, save.

    python tools/train_shipped.py                                    all models
    python tools/train_shipped.py --only dual_motion/shapes          one of them
    python tools/train_shipped.py --only mocogan/shapes --take RUN   save the model of an existing run

All training data are rendered, so the weights carry the licence of this project. Clips, weights and draws depend on the
recipe's seed alone; the same command resumes after an interruption. The saved folder (below vidgan/weights) holds the
moving average of the generator, its config, facts and a card.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidgan import DualMotionGAN, MoCoGAN, train
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.hub import SHIPPED, ModelFacts
from vidgan.runs import save_model

WEIGHTS = Path(__file__).resolve().parents[1] / "vidgan" / SHIPPED
MAX_BYTES = 5_000_000  # of a folder
FRAMES = 32  # of a rendered clip


@dataclass(frozen=True)
class Recipe:
    """Data and config of a shipped model."""

    config: str
    size: int
    clips: int
    flow: bool = False
    seed: int = 0
    changes: tuple[str, ...] = ()  # of the config


RECIPES = {
    "mocogan/shapes": Recipe(
        config="mocogan/shapes",
        size=64,
        clips=1000,
        changes=("data.stride=2", "train.steps=3000", "objective.augment=[translation,brightness]"),
    ),
    "dual_motion/shapes": Recipe(config="dual_motion/shapes", size=64, clips=1000, flow=True),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/shipped"), help="videos, prepared clips and runs")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder that the models are saved to")
    parser.add_argument("--only", choices=sorted(RECIPES))
    parser.add_argument("--take", type=Path, metavar="RUN", help="save the model of this run instead of training one")
    parser.add_argument("--clips", type=int, help="number of clips to render; default: the recipe's")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="changes of the recipe's config")
    options = parser.parse_args(arguments)
    if options.take and (not options.only or options.clips or options.overrides):
        parser.error("--take needs --only NAME, and excludes --clips and a.b=c: nothing is trained")
    for name in [options.only] if options.only else RECIPES:
        recipe = replace(RECIPES[name], clips=options.clips or RECIPES[name].clips)
        run = options.take or train_recipe(name, recipe, options.out, options.overrides)
        folder = save(run, name, recipe, options.weights / name)
        print(f"{folder}: {size_of(folder) / 1e6:.2f} MB")
    return 0


def train_recipe(name: str, recipe: Recipe, out: Path, overrides: Sequence[str]) -> Path:
    """Train on rendered clips and return the run.

    Raises:
        SystemExit: a signal stopped the training (the run is saved).
    """
    data = prepare_shapes(
        out / f"{name.replace('/', '-')}-data",
        clips=recipe.clips,
        frames=FRAMES,
        size=recipe.size,
        seed=recipe.seed,
        flow=recipe.flow,
    )
    changes = [f"data.root={data}", f"out={out}", f"name={name.replace('/', '-')}", f"seed={recipe.seed}"]
    result = train(recipe.config, [*changes, *recipe.changes, *overrides])
    if result.exit_code:
        raise SystemExit(result.exit_code)
    return result.run_dir


def save(run: Path, name: str, recipe: Recipe, folder: Path) -> Path:
    """Save the run's model as shipped weights.

    Raises:
        ValueError: it is too large to ship.
    """
    model_class = MoCoGAN if name.startswith("mocogan/") else DualMotionGAN
    model = model_class.from_pretrained(run)
    facts = {
        "name": name,
        "trained_on": "moving shapes that vidgan rendered",
        "licence": "Apache-2.0",
        "made_by": f"python tools/train_shipped.py --only {name}",
        "config": recipe.config,
        "clips": recipe.clips,
    }
    save_model(model, folder, ModelFacts.from_json(model.facts | facts))
    (folder / "model.safetensors").chmod(0o644)
    if (size := size_of(folder)) > MAX_BYTES:
        raise ValueError(f"{folder}: {size} bytes; shipped weights have at most {MAX_BYTES}")
    return folder


def size_of(folder: Path) -> int:
    """Total size of a folder's files, in bytes."""
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
