"""Unpaired translation with a known truth: colour families of moving shapes.

    python -m pipelines.colour_families --out studies/families --seeds 0 1 2

Domain A shows red and yellow shapes, domain B cyan and blue ones. Shapes, paths and sizes have the same distribution,
and no clip of one domain is a recoloured clip of the other. A faithful translation changes the hue alone. Which hue
becomes which is not in the data, so the mapping is scored up to the best permutation. Held-out clips are scored, for
each seed: what was kept of them (MATCHED in vidgan/data/synthetic/shape_scores.py), how consistently hues are mapped,
and whether the way back depends on a hidden signal. The rows are `families.json`.
"""

import argparse
import colorsys
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

from vidgan import UnpairedTranslator, prepare, train
from vidgan.data.synthetic.shape_scores import MATCHED, best_permutation, matched_attributes, read_shapes
from vidgan.data.synthetic.shapes import recoloured, render_moving_shape
from vidgan.evaluation.windows import WindowSet
from vidgan.files import write_text
from vidgan.video.encode import contact_sheet, write_mp4, write_png

HUES = {"a": (0.0, 0.15), "b": (0.5, 0.66)}  # red and yellow; cyan and blue
SPREAD = 0.02  # of a hue
NEAR = 0.1  # distance of hues up to which a colour belongs to a family
FRAMES = 12


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=70, help="of each domain, held-out ones included")
    parser.add_argument("--size", type=int, default=32, help="side of a frame in pixels")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of unpaired/shapes")
    options = parser.parse_args(arguments)
    roots = {domain: render(options.out, domain, options.clips, options.size) for domain in HUES}
    rows = []
    for seed in options.seeds:
        changes = [f"data.root={roots['a']}", f"data.other={roots['b']}", f"out={options.out}/runs", f"seed={seed}"]
        run = train("unpaired/shapes", [*changes, f"name=families-{seed}", *options.set])
        rows.append({"seed": seed, "steps": run.steps, **score(run.run_dir, roots["a"])})
        write_text(options.out / "families.json", json.dumps({"definitions": MATCHED, "rows": rows}, indent=2) + "\n")


def render(out: Path, domain: str, clips: int, size: int) -> Path:
    """The prepared clips of one domain."""
    videos = out / "videos" / domain
    draw = np.random.default_rng(ord(domain))
    for number in range(clips):
        shape = render_moving_shape(ord(domain), number, frames=FRAMES, size=size)
        hue = HUES[domain][number % 2] + draw.uniform(-SPREAD, SPREAD)
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, 0.9, 0.95))
        write_mp4(videos / f"{number:04d}.mp4", recoloured(shape, (red, green, blue)), fps=12, overwrite=True)
    return prepare(videos, out / domain, size=(size, size), holdout=0.3).root


def score(run: Path, root: Path) -> dict[str, Any]:
    """The scores of one run on the held-out clips of domain A; also writes them as a picture."""
    model = UnpairedTranslator.from_pretrained(run)
    windows = WindowSet(root, FRAMES)
    given = windows.read_all(windows.windows)
    output = model.map_clips(given)
    rows = torch.stack([given[:4], output[:4], model.map_clips(output[:4], to="a")], dim=1).flatten(0, 1)
    write_png(run / "held_out.png", contact_sheet(rows), overwrite=True)
    readings = [read_shapes(rearrange(clips, "n t c h w -> n t h w c").numpy()) for clips in (given, output)]
    before, after = (families(reading.colour, HUES[domain]) for reading, domain in zip(readings, HUES, strict=True))
    share, order = best_permutation(before, after, len(HUES["a"]))
    detector = {
        name: float(metric.function(given, output, None).mean()) for name, metric in model.own_metrics().items()
    }
    return {"clips": len(given), **matched_attributes(*readings), "hue": share, "mapping": order, **detector}


def families(colours: np.ndarray, hues: Sequence[float]) -> np.ndarray:
    """The family of each clip's mean colour (N, T, 3); -1 for none."""
    found = []
    for clip in colours:
        visible = clip[np.isfinite(clip).all(axis=1)]
        hue = colorsys.rgb_to_hsv(*visible.mean(axis=0))[0] if len(visible) else float("nan")
        distances = [abs((hue - one + 0.5) % 1 - 0.5) for one in hues]
        nearest = int(np.argmin(distances))
        found.append(nearest if distances[nearest] < NEAR else -1)
    return np.array(found)


if __name__ == "__main__":
    main()
