"""What a second stage makes of the clips of a model of captions, measured by exact detectors on captioned shapes.

    python tools/stage_two_scores.py captions runs/upscale-captions --out docs/results/stage-two.json
    python tools/stage_two_scores.py captions runs/upscale-captions --plain runs/upscale-plain --clips 640
    python tools/stage_two_scores.py --render runs/captioned-64                         data of both second stages

The clips of stage I are made as in tools/caption_scores.py, and enlarged by bicubic scaling, by an upscaling run that
reads no captions (--plain), and by one that reads them. Detectors read each attribute from the enlarged frames. Clips
that are right after only one of two ways are counted, because the clips are the same.

Is the caption read? The same clips are enlarged by captions with another word for one attribute. The rows of the second
table count the clips that then show the other value. "Rendered" clips are true ones, reduced as in training.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from caption_scores import Attributes, caption_of_number, generated, rendered
from einops import rearrange

from vidgan import MoCoGAN
from vidgan.data.preparing.captioned_shapes import prepare_captioned_shapes
from vidgan.data.synthetic.captioned import SLOTS, combinations, read_slots
from vidgan.files import check_overwrite, write_text
from vidgan.hub import ModelFacts
from vidgan.metrics.captions import slot_accuracy
from vidgan.tasks.upscaling.scaling import bicubic_clips
from vidgan.tasks.upscaling.upscaler import ClipUpscaler
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, write_png

COLUMNS = ["clips", "number", *SLOTS, "all", "lowest interval"]
CHANGED = ("shape", "colour", "size")  # what one frame can show
SHEET = 8  # clips of a contact sheet
Shown = list[dict[str, str | None]]
Enlarge = Callable[[ByteClip, list[str]], ByteClip]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="stage I: a run, a model folder, or shipped weights by name")
    parser.add_argument("upscaler", nargs="?", help="stage II: an upscaling run that reads captions")
    parser.add_argument("--plain", help="an upscaling run that reads none")
    parser.add_argument("--clips", type=int, default=640, help="clips of each row")
    parser.add_argument("--work", type=Path, default=Path("runs/stage-two"), help="folder for contact sheets")
    parser.add_argument("--out", type=Path, help="the tables, as JSON; the second one as NAME-words.json")
    parser.add_argument("--render", type=Path, metavar="FOLDER", help="only prepare data: 1600 clips of 64x64")
    options = parser.parse_args(arguments)
    if options.render:
        print(prepare_captioned_shapes(options.render, clips=1600, size=64, seed=0, holdout=0.05))
        return 0
    if options.upscaler is None:
        parser.error("MODEL and UPSCALER are required (or --render FOLDER)")
    if options.out:
        check_overwrite(options.out, overwrite=False)
    first: Any = MoCoGAN.from_pretrained(options.model)
    second: Any = ClipUpscaler.from_pretrained(options.upscaler)
    plain: Any = None if options.plain is None else ClipUpscaler.from_pretrained(options.plain)
    ways: dict[str, Enlarge] = {"bicubic": lambda clips, texts: bicubic_clips(clips, second.scale)}
    if plain is not None:
        ways["stage II without captions"] = lambda clips, texts: plain.map_clips(clips)
    ways["stage II with captions"] = lambda clips, texts: second.map_clips(clips, texts)
    every = {"seen": combinations(held_out=False), "held out": combinations(held_out=True)}
    size, frames = second.image_size[0], ModelFacts.from_json(first.facts).frames
    rows, notes, words = [], [], []
    true = rendered(size, frames)
    both = [*every["seen"], *every["held out"]]
    rows.append(row("rendered at full size", both, shown_by(true(both))))
    for kind, combined in every.items():
        chosen = [combined[i % len(combined)] for i in range(options.clips)]
        texts = [caption_of_number(one, i) for i, one in enumerate(chosen)]
        clips = generated(first, caption_of_number)(chosen)
        rows.append(row(f"stage I, {kind}", chosen, shown_by(clips)))
        right: dict[str, list[bool]] = {}
        for name, enlarge in ways.items():
            large = enlarge(clips, texts)
            found = shown_by(large)
            rows.append(row(f"{name}, {kind}", chosen, found))
            right[name] = [one == dict(other) for one, other in zip(found, chosen, strict=True)]
            print(rows[-1], flush=True)
            picture(options.work / f"{name}-{kind}.png", large)
        for name in list(ways)[:-1]:
            pairs = list(zip(right[name], right["stage II with captions"], strict=True))
            notes.append(
                f"{kind}: {pairs.count((False, True))} clips are right only by stage II with captions,"
                f" {pairs.count((True, False))} only by {name}"
            )
        if kind == "seen":
            continue
        for source, small in {"stage I": clips, "rendered": second.pair(true(chosen)).input}.items():
            for slot in CHANGED:
                words.append(other_words(second, f"{source}, {kind}", small, chosen, slot, options.work))
                print(words[-1], flush=True)
    facts = ModelFacts.from_json(second.facts)
    notes.insert(0, f"share of clips that show each attribute; stage II: step {facts.step}, batch {facts.batch_size}")
    print(*rows, *notes, *words, sep="\n")
    if options.out:
        write_text(options.out, json.dumps({"kind": "table", "columns": COLUMNS, "rows": rows, "notes": notes}))
        columns = ["clips: exchanged word", "number", "show the new word", "keep the old one", "show neither"]
        table = {"kind": "table", "columns": columns, "rows": words, "notes": []}
        write_text(options.out.with_name(f"{options.out.stem}-words.json"), json.dumps(table))
    return 0


def shown_by(clips: ByteClip) -> Shown:
    """What detectors read from clips."""
    return read_slots(rearrange(clips, "b t c h w -> b t h w c").numpy())


def row(name: str, chosen: Sequence[Attributes], shown: Shown) -> list[Any]:
    """A row of the first table."""
    scores = slot_accuracy(chosen, shown)
    weakest = min((scores[slot] for slot in SLOTS), key=lambda score: score[0])
    shares = [round(scores[slot][0], 3) for slot in (*SLOTS, "all")]
    return [name, len(chosen), *shares, f"{weakest[1]:.2f} to {weakest[2]:.2f}"]


def other_words(
    model: Any, name: str, clips: ByteClip, chosen: Sequence[Attributes], slot: str, work: Path
) -> list[Any]:
    """A row of the second table: clips enlarged by captions with another value of one attribute."""
    values = list(SLOTS[slot])
    changed: list[Mapping[str, str]] = []
    for number, one in enumerate(chosen):
        others = [value for value in values if value != one[slot]]
        changed.append({**one, slot: others[number % len(others)]})
    large = model.map_clips(clips, [caption_of_number(one, i) for i, one in enumerate(changed)])
    picture(work / f"{name}-{slot}.png", large)
    shown = [one[slot] for one in shown_by(large)]
    shows = [value == other[slot] for value, other in zip(shown, changed, strict=True)]
    keeps = [value == one[slot] for value, one in zip(shown, chosen, strict=True)]
    shares = float(np.mean(shows)), float(np.mean(keeps))
    return [f"{name}: {slot}", len(chosen), *(round(share, 3) for share in (*shares, 1 - sum(shares)))]


def picture(path: Path, clips: ByteClip) -> None:
    """Some of the clips as a contact sheet."""
    write_png(Path(str(path).replace(" ", "-").replace(",", "")), contact_sheet(clips[:SHEET]), overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
