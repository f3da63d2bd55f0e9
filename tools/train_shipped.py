"""Make the weights that come with the package: render moving shapes, prepare, train, save.

    python tools/train_shipped.py                                    both models, each with its recipe below
    python tools/train_shipped.py --only dual_motion/shapes          one of them
    python tools/train_shipped.py --only mocogan/shapes --take RUN   save what a run has learned already

Nothing but rendered clips is trained on, so the weights carry the licence of this project. Clips, weights and draws
depend on the recipe's seed alone; the same command again goes on where it was stopped. The saved folder (below
vidgan/weights) holds the moving average of the generator, its constructor's arguments, facts and a card.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidgan import DualMotionGAN, MoCoGAN, train
from vidgan.data.synthetic.shapes_data import prepare_shapes
from vidgan.exports import save_model
from vidgan.hub import SHIPPED

WEIGHTS = Path(__file__).resolve().parents[1] / "vidgan" / SHIPPED
LARGEST = 5_000_000  # bytes of a folder
FRAMES = 32  # of a rendered clip


@dataclass(frozen=True)
class Recipe:
    """What a model is trained on, and how."""

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
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the models are saved")
    parser.add_argument("--only", choices=sorted(RECIPES))
    parser.add_argument("--take", type=Path, metavar="RUN", help="save this run's model in place of training one")
    parser.add_argument("--clips", type=int, help="in place of the recipe's")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="changes of the config")
    options = parser.parse_args(arguments)
    if options.take and (not options.only or options.clips or options.overrides):
        parser.error("--take needs --only NAME, and trains nothing: no --clips, no a.b=c")
    for name in [options.only] if options.only else RECIPES:
        recipe = replace(RECIPES[name], clips=options.clips or RECIPES[name].clips)
        run = options.take or trained(name, recipe, options.out, options.overrides)
        folder = save(run, name, recipe, options.weights / name)
        print(f"{folder}: {size_of(folder) / 1e6:.2f} MB")
    return 0


def trained(name: str, recipe: Recipe, out: Path, overrides: Sequence[str]) -> Path:
    """The run that learned from freshly rendered clips. Raises SystemExit where a signal stopped it (it is saved)."""
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
    """The run's model as shipped weights.

    Raises:
        ValueError: it is too large to ship.
    """
    kind = MoCoGAN if name.startswith("mocogan/") else DualMotionGAN
    model = kind.from_pretrained(run)
    told = {
        "name": name,
        "trained_on": "moving shapes that vidgan rendered",
        "licence": "Apache-2.0",
        "made_by": f"python tools/train_shipped.py --only {name}",
        "config": recipe.config,
        "clips": recipe.clips,
    }
    save_model(model, folder, model.facts | told)
    (folder / "model.safetensors").chmod(0o644)
    if (size := size_of(folder)) > LARGEST:
        raise ValueError(f"{folder}: {size} bytes; weights that ship have {LARGEST} at most")
    return folder


def size_of(folder: Path) -> int:
    """Bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
