"""Train the weights that ship with the package: render or read videos, prepare, train, save.

    python tools/train_shipped.py --videos FOOTAGE                       all models
    python tools/train_shipped.py --only dual_motion/shapes              one of them
    python tools/train_shipped.py --only dual_motion/driving --videos FOOTAGE
    python tools/train_shipped.py --only mocogan/shapes --take RUN       save the model of an existing run

Shapes are rendered. Real videos are read from the folder FOOTAGE; each recipe lists its files. They are under licences
that allow distribution (MIT, BSD, Apache-2.0, CC BY), so the weights carry the licence of this project. Clips, weights
and draws depend on the recipe's seed alone; the same command resumes after an interruption. The saved folder (below
vidgan/weights) holds the moving average of the generator, its config, facts and a card.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidgan import DualMotionGAN, MoCoGAN, prepare, train
from vidgan.data.preparing.captioned_shapes import prepare_captioned_shapes
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.data.store.frames import save_array
from vidgan.data.store.index import INDEX_NAME
from vidgan.hub import SHIPPED, ModelFacts
from vidgan.runs import save_model
from vidgan.video.decode import read_frames

WEIGHTS = Path(__file__).resolve().parents[1] / "vidgan" / SHIPPED
MAX_BYTES = 5_000_000  # of a folder
FRAMES = 32  # of a rendered clip
CAPTIONS_HOLDOUT = 0.05  # share of captioned clips in the test split
FOOTAGE_SIZE = (128, 224)  # of a prepared frame of real video, with a margin around the crop that is trained on
READ_SIZE = (128, 160)  # that the models of real video read by default


@dataclass(frozen=True)
class Footage:
    """A video file that a model is trained on."""

    path: str  # below the folder of --videos
    licence: str
    every: tuple[int, ...]  # strides: a clip of every n-th frame, for each n
    fast_every: tuple[int, ...]  # the strides that `dual_motion/driving` takes


@dataclass(frozen=True)
class Recipe:
    """Data and config of a shipped model."""

    config: str
    size: int = 0  # of rendered frames
    clips: int = 0
    flow: bool = False
    seed: int = 0
    captions: bool = False  # render captioned shapes
    changes: tuple[str, ...] = ()  # of the config
    footage: tuple[Footage, ...] = ()  # instead of rendered clips
    fast: bool = False  # take `fast_every`
    test_pattern: str | None = None  # footage that is not trained on
    scores: str = ""  # measured on video that it was not trained on, for the card


_WORDS = (
    *("again", "book", "brother", "eat", "help", "learn", "night", "no", "school", "sister", "student", "walk", "yes"),
)
FOOTAGE = (
    Footage("driving/udacity/solidWhiteRight.mp4", "MIT", (1, 2, 3), (1, 2, 3)),
    Footage("driving/dashcam/alley_a.mp4", "MIT", (1, 2, 3), (1, 2, 3)),
    Footage("driving/dashcam/alley_b.mp4", "MIT", (1, 2, 3), (1, 2, 3)),
    Footage("clips/natural/01_dog.mp4", "Apache-2.0", (1, 3), (3,)),
    Footage("clips/natural/04_coffee.mp4", "Apache-2.0", (1, 3), (3,)),
    Footage("clips/natural/basketball.mp4", "BSD-3-Clause", (1, 3), (3,)),
    Footage("clips/natural/bedroom.mp4", "Apache-2.0", (1, 3), (3,)),
    Footage("clips/natural/bigbuckbunny.mp4", "CC BY 3.0", (1, 3), (3,)),
    Footage("clips/natural/box.mp4", "Apache-2.0", (1, 3), (3,)),
    Footage("clips/natural/vtest.avi", "Apache-2.0", (1, 2), (2,)),
    *(Footage(f"clips/gestures/{word}.mkv", "CC BY 4.0", (1, 3), (3,)) for word in _WORDS),
)
HELD_OUT = "eat|night|sister|01_dog|bedroom"
RECIPES = {
    "mocogan/shapes": Recipe(
        config="mocogan/shapes",
        size=64,
        clips=1000,
        changes=("data.stride=2", "train.steps=3000", "objective.augment=[translation,brightness]"),
    ),
    "mocogan/captions": Recipe(config="mocogan/captions", size=32, clips=3200, captions=True),
    "dual_motion/shapes": Recipe(config="dual_motion/shapes", size=64, clips=1000, flow=True),
    "dual_motion/natural": Recipe(
        config="dual_motion/natural",
        footage=FOOTAGE,
        flow=True,
        test_pattern=HELD_OUT,
        scores="next frame, PSNR of forecast / constant-velocity warp / copy-last: Caltech 24.08 / 24.67 / 18.64,"
        " KITTI gray51 24.74 / 25.12 / 18.49; natural clips of other licences: docs/results.md",
    ),
    "dual_motion/driving": Recipe(
        config="dual_motion/kitti",
        footage=FOOTAGE,
        fast=True,
        test_pattern=HELD_OUT,
        scores="next frame, PSNR of forecast / constant-velocity warp / copy-last: Caltech 24.91 / 24.67 / 18.64,"
        " KITTI gray51 25.26 / 25.12 / 18.49 (docs/results.md)",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/shipped"), help="videos, prepared clips and runs")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder that the models are saved to")
    parser.add_argument(
        "--videos", type=Path, metavar="FOOTAGE", help="folder with the real videos that a recipe lists"
    )
    parser.add_argument("--only", choices=sorted(RECIPES))
    parser.add_argument("--take", type=Path, metavar="RUN", help="save the model of this run instead of training one")
    parser.add_argument("--clips", type=int, help="number of clips to render; default: the recipe's")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="changes of the recipe's config")
    options = parser.parse_args(arguments)
    if options.take and (not options.only or options.clips or options.overrides):
        parser.error("--take needs --only NAME, and excludes --clips and a.b=c: nothing is trained")
    names = [options.only] if options.only else list(RECIPES)
    if not options.take and options.videos is None and (real := [name for name in names if RECIPES[name].footage]):
        parser.error(
            f"{', '.join(real)}: needs --videos, the folder with {RECIPES[real[0]].footage[0].path} and others"
        )
    for name in names:
        recipe = replace(RECIPES[name], clips=options.clips or RECIPES[name].clips)
        run = options.take or train_recipe(name, recipe, options.out, options.videos, options.overrides)
        folder = save(run, name, recipe, options.weights / name)
        print(f"{folder}: {size_of(folder) / 1e6:.2f} MB")
    return 0


def train_recipe(name: str, recipe: Recipe, out: Path, videos: Path | None, overrides: Sequence[str]) -> Path:
    """Train on rendered or real clips and return the run.

    Raises:
        SystemExit: a signal stopped the training (the run is saved).
    """
    changes = [f"out={out}", f"name={name.replace('/', '-')}", f"seed={recipe.seed}", *recipe.changes]
    folder = out / f"{name.replace('/', '-')}-data"
    if recipe.footage:
        assert videos is not None
        data = prepare_footage(folder, recipe, videos)
    elif recipe.captions:
        data = prepare_captioned_shapes(
            folder, clips=recipe.clips, size=recipe.size, seed=recipe.seed, holdout=CAPTIONS_HOLDOUT
        )
    else:
        data = prepare_shapes(
            folder, clips=recipe.clips, frames=FRAMES, size=recipe.size, seed=recipe.seed, flow=recipe.flow
        )
    result = train(recipe.config, [f"data.root={data}", *changes, *overrides])
    if result.exit_code:
        raise SystemExit(result.exit_code)
    return result.run_dir


def prepare_footage(folder: Path, recipe: Recipe, videos: Path) -> Path:
    """The real clips of a recipe as prepared data; a finished data set is kept."""
    data = folder / "data"
    if (data / INDEX_NAME).is_file():
        return data
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for footage in recipe.footage:
        frames = read_frames(videos / footage.path, size=FOOTAGE_SIZE)
        for stride in footage.fast_every if recipe.fast else footage.every:
            name = f"{footage.path.rpartition('.')[0].replace('/', '-')}-every-{stride}.npy"
            save_array(folder / "clips" / name, np.ascontiguousarray(frames[::stride]))
    prepare(
        folder / "clips",
        data,
        size=FOOTAGE_SIZE,
        flow="auto" if recipe.flow else None,
        test_pattern=recipe.test_pattern,
    )
    return data


def save(run: Path, name: str, recipe: Recipe, folder: Path) -> Path:
    """Save the run's model as shipped weights.

    Raises:
        ValueError: it is too large to ship.
    """
    model_class = MoCoGAN if name.startswith("mocogan/") else DualMotionGAN
    model: Any = model_class.from_pretrained(run)
    facts: dict[str, Any] = {
        "name": name,
        "licence": "Apache-2.0",
        "made_by": f"python tools/train_shipped.py --only {name}",
        "config": recipe.config,
    }
    if recipe.footage:
        model.image_size = READ_SIZE
        model.architecture["image_size"] = list(READ_SIZE)
        facts |= {"made_by": f"{facts['made_by']} --videos FOOTAGE", "held_out": recipe.test_pattern}
        facts["scores"] = recipe.scores
        held_out = re.compile(recipe.test_pattern or "$^")
        facts["footage"] = {one.path: one.licence for one in recipe.footage if not held_out.search(one.path)}
    else:
        facts |= {"trained_on": "moving shapes that vidgan rendered", "clips": recipe.clips}
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
