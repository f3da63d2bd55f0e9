"""Which of the attributes that a caption names a MoCoGAN shows, measured by exact detectors on captioned shapes.

    python tools/caption_scores.py captions --out docs/results/captions.json
    python tools/caption_scores.py captions --ids runs/ids --clips 640 --out scores.json
    python tools/caption_scores.py --render runs/ids-data --ids-data    data of the model with one word per combination

Seen combinations of colour, shape, size, motion and speed occur in the training data; held-out ones do not. Captions
vary in sentence and words. Rendered clips of the same captions are the first row: what the detectors can reach. A model
of --ids was trained on the same clips with one word per combination, which is a one-hot category in the same networks;
held-out combinations have no such word. Diversity is that of 8 clips of one caption, relative to rendered clips.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

from vidgan import MoCoGAN
from vidgan.data.preparing.captioned_shapes import prepare_captioned_shapes
from vidgan.data.synthetic.captioned import (
    SLOTS,
    caption_of,
    combinations,
    id_of,
    read_slots,
    render_captioned_shape,
)
from vidgan.files import check_overwrite, write_text
from vidgan.hub import ModelFacts
from vidgan.metrics.captions import MISMATCHED, r_precision, slot_accuracy
from vidgan.metrics.clip_statistics import describe, pairwise_diversity
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, write_png

SEED = 1  # the recipe trains on seed 0
SAME = 8  # clips of one caption
CAPTIONS = 16  # captions whose clips are compared with each other
SHEET = 16  # clips of a contact sheet
Attributes = Mapping[str, str]
Render = Callable[[Sequence[Attributes]], ByteClip]
COLUMNS = ["clips", "number", *SLOTS, "all", "lowest interval", "R-precision", "diversity"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a run, a model folder, or shipped weights by name")
    parser.add_argument("--ids", help="a model that was trained with one word per combination")
    parser.add_argument("--clips", type=int, default=320, help="clips of each row, at most")
    parser.add_argument("--work", type=Path, default=Path("runs/captions"), help="folder for contact sheets")
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    parser.add_argument("--render", type=Path, metavar="FOLDER", help="only prepare data: 3200 clips of 32x32")
    parser.add_argument("--ids-data", action="store_true", help="with --render: one word per combination")
    options = parser.parse_args(arguments)
    if options.render:
        print(prepare_captioned_shapes(options.render, clips=3200, size=32, seed=0, holdout=0.05, ids=options.ids_data))
        return 0
    if options.model is None:
        parser.error("MODEL is required (or --render FOLDER)")
    if options.out:
        check_overwrite(options.out, overwrite=False)
    model: Any = MoCoGAN.from_pretrained(options.model)
    facts = ModelFacts.from_json(model.facts)
    seen, held = (every[: options.clips] for every in (combinations(held_out=False), combinations(held_out=True)))
    rows = [row("rendered", rendered(model.image_size[0], facts.frames), (seen + held)[: options.clips], None)]
    models = [
        ("captions", model, caption_of_number),
        ("one word per combination", options.ids, lambda one, i: id_of(one)),
    ]
    for name, each, text in models:
        if each is None:
            continue
        each = MoCoGAN.from_pretrained(each) if isinstance(each, str) else each
        render = generated(each, text)
        sets = [("seen", seen)] if name != "captions" else [("seen", seen), ("held out", held)]
        for kind, chosen in sets:
            repeated = [chosen[i % len(chosen)] for i in range(options.clips)]
            rows.append(row(f"{name}, {kind}", render, repeated, rendered(model.image_size[0], facts.frames)))
            print(rows[-1], flush=True)
            write_png(options.work / f"{name}-{kind}.png".replace(" ", "-"), contact_sheet(render(spread(chosen))),
                      overwrite=True)  # fmt: skip
    notes = [
        "share of clips that show each attribute; R-precision: the right caption against"
        f" {MISMATCHED} others, {1 / (1 + MISMATCHED):.2f} by chance; a joint guess is right in 1 of 192 clips",
        f"step {facts.step} of the model, batch {facts.batch_size}; lowest interval: 95 %, of the weakest attribute",
    ]
    print(*rows, *notes, sep="\n")
    if options.out:
        write_text(options.out, json.dumps({"kind": "table", "columns": COLUMNS, "rows": rows, "notes": notes}))
    return 0


def caption_of_number(attributes: Attributes, number: int) -> str:
    """One of the captions of a combination, by number."""
    return caption_of(attributes, number, number // 3, number // 2)


def rendered(size: int, frames: int) -> Render:
    """Renders true clips of combinations."""

    def render(chosen: Sequence[Attributes]) -> ByteClip:
        clips = [render_captioned_shape(SEED, i, one, size=size, frames=frames).frames for i, one in enumerate(chosen)]
        return rearrange(torch.from_numpy(np.stack(clips)), "b t h w c -> b t c h w")

    return render


def generated(model: Any, text: Callable[[Attributes, int], str]) -> Render:
    """Generates clips of combinations, each clip from noise of its own."""
    frames = ModelFacts.from_json(model.facts).frames

    def render(chosen: Sequence[Attributes]) -> ByteClip:
        latents = model.latents(len(chosen), frames, seed=SEED, text=text(chosen[0], 0))
        codes = [model.latents(1, frames, seed=SEED + i, text=text(one, i)).text for i, one in enumerate(chosen)]
        clips: ByteClip = model.render(latents._replace(text=torch.cat(codes)))
        return clips

    return render


def row(name: str, render: Render, chosen: Sequence[Attributes], true: Render | None) -> list[Any]:
    """A row of the table; `true` renders the clips that diversity is relative to."""
    clips = render(chosen)
    shown = read_slots(rearrange(clips, "b t c h w -> b t h w c").numpy())
    scores = slot_accuracy(chosen, shown)
    weakest = min((scores[slot] for slot in SLOTS), key=lambda score: score[0])
    every = [*combinations(held_out=False), *combinations(held_out=True)]
    precision, _ = r_precision(chosen, shown, every, seed=SEED)
    ratio = None if true is None else round(diversity(render, chosen) / diversity(true, chosen), 2)
    shares = [round(scores[slot][0], 3) for slot in (*SLOTS, "all")]
    return [name, len(chosen), *shares, f"{weakest[1]:.2f} to {weakest[2]:.2f}", round(precision, 3), ratio]


def diversity(render: Render, chosen: Sequence[Attributes]) -> float:
    """Mean difference of clips of one caption, over some captions."""
    picked = spread(chosen)[:CAPTIONS]
    return float(np.mean([pairwise_diversity(describe(render([one] * SAME)).pooled) for one in picked]))


def spread(chosen: Sequence[Attributes]) -> list[Attributes]:
    """Some of the combinations, evenly spread."""
    return [chosen[i * len(chosen) // SHEET] for i in range(SHEET)] if len(chosen) > SHEET else list(chosen)


if __name__ == "__main__":
    sys.exit(main())
