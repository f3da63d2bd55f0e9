"""How well the mask of a layered MoCoGAN segments moving shapes: its own clips, and real clips through inversion.

    python tools/layer_scores.py runs/layered --textured --clips 48 --real 6 --out scores.json

The model must be trained on moving shapes (`vidgan.data.synthetic.shapes`). Its own clips have no exact mask, so they
are segmented by the colour rule that the shapes obey. Real clips are rendered from a seed that nothing is trained on,
and compared with their exact masks. Every row gives the IoU of the mask, of its inverse, and of background subtraction.
Writes a table for results_tables.py, and sheets to --work.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan import MoCoGAN
from vidgan.data.synthetic.shapes import chroma_mask, render_moving_shape
from vidgan.evaluation.dissection.segmenting import Segmentation, score_masks
from vidgan.files import check_overwrite, write_text
from vidgan.hub import ModelFacts
from vidgan.tasks.synthesis.codes import layers_of
from vidgan.tasks.synthesis.inversion import InversionSettings, invert_clip
from vidgan.tasks.synthesis.layers import Layers, layer_panels
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, write_png

SEED = 1  # of the real clips; recipes train on other seeds
COLUMNS = ["clips", "number", "reference", "IoU", "IoU of the inverse", "background subtraction", "coverage", "true"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run or model folder of a layered MoCoGAN")
    parser.add_argument("--textured", action="store_true", help="real clips have textured backgrounds")
    parser.add_argument("--clips", type=int, default=48, help="clips that the model draws itself")
    parser.add_argument("--real", type=int, default=6, help="real clips that are inverted")
    parser.add_argument("--steps", type=int, default=150, help="of each inversion")
    parser.add_argument("--starts", type=int, default=2, help="of each inversion")
    parser.add_argument("--work", type=Path, default=Path("runs/layers"), help="folder for the sheets")
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    model = MoCoGAN.from_pretrained(options.model)
    facts = ModelFacts.from_json(model.facts)
    latents = model.latents(options.clips, facts.frames, seed=SEED)
    layers = model.render_layers(latents)
    own = model.render(latents)
    rule = torch.from_numpy(chroma_mask(rearrange(own, "b t c h w -> b t h w c").numpy()))
    rows = [row("own", score_masks(own, layers.segmentation(), rule, "colour rule"))]
    few = Layers(*(part[:4] for part in layers))
    write_png(options.work / "own.png", contact_sheet(layer_panels(few)), overwrite=True)
    psnr = []
    if options.real:
        real, truth = real_clips(options.real, facts, model.image_size[0], textured=options.textured)
        masks, shown = [], []
        for number, clip in enumerate(real):
            found = invert_clip(model, clip, InversionSettings(starts=options.starts, steps=options.steps, seed=SEED))
            layered = layers_of(model, found.codes)
            masks.append(layered.segmentation()[0])
            psnr.append(found.scores.psnr)
            shown += [clip, *layer_panels(layered)]
            print(f"clip {number}: {found.scores.psnr:.1f} dB, frozen: {found.scores.is_frozen}", flush=True)
        rows.append(row("real, inverted", score_masks(real, torch.stack(masks), truth, "exact mask")))
        write_png(options.work / "real.png", contact_sheet(torch.stack(shown)), overwrite=True)
    notes = [
        f"{facts.run}, step {facts.step}; IoU is the mean over clips; own clips seed {SEED}; real clips of seed {SEED},"
        f" inverted with {options.starts} starts and {options.steps} steps"
        + (f", mean PSNR {np.mean(psnr):.1f} dB" if psnr else "")
    ]
    title = "segmentation of moving shapes by the mask of a layered model"
    result = {"kind": "table", "title": title, "columns": COLUMNS, "rows": rows, "notes": notes}
    for line in (COLUMNS, *rows):
        print(*line, sep="\t")
    if options.out:
        write_text(options.out, json.dumps(result, indent=1) + "\n")
    return 0


def real_clips(number: int, facts: ModelFacts, size: int, *, textured: bool) -> tuple[ByteClip, Tensor]:
    """Rendered clips (N, T, 3, H, W) at the stride of training, and their exact masks (N, T, H, W) bool."""
    stride = facts.stride
    clips, masks = [], []
    for index in range(number):
        shape = render_moving_shape(SEED, index, frames=stride * facts.frames, size=size, textured=textured)
        clips.append(rearrange(torch.from_numpy(shape.frames[::stride]), "t h w c -> t c h w"))
        masks.append(torch.from_numpy(shape.mask[::stride] > 0.5))
    return torch.stack(clips), torch.stack(masks)


def row(name: str, score: Segmentation) -> list[Any]:
    """A row of the table."""
    values = (score.mask, score.inverted, score.baseline, score.coverage, score.reference_coverage)
    return [name, score.clips, score.reference, *(None if value is None else round(value, 3) for value in values)]


if __name__ == "__main__":
    raise SystemExit(main())
