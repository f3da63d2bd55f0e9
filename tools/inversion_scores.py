"""How well a MoCoGAN inverts clips, and what motion transfer between the inverted clips keeps.

    python tools/inversion_scores.py shapes --encoder encoder --clips 6 --own 4 --work runs/inversion --out scores.json
    python tools/inversion_scores.py runs/actions --encoder encoder --data data/actions --work runs/inversion

Without --data, clips of moving shapes are rendered that no recipe trains on (seed 1); colour, shape and path are then
measured from the pixels. With --data, one window of each of some test clips is inverted, and transfer is measured by
the mean frame (identity) and by the temporal differences (motion). Clips and reconstructions go to --work as sheets.
Writes a table for results_tables.py.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan import MoCoGAN
from vidgan.data.dataset import ClipDataset
from vidgan.data.synthetic.shape_scores import read_shapes
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.files import check_overwrite, write_text
from vidgan.hub import ModelFacts
from vidgan.metrics.still_fits import reconstruction_scores
from vidgan.tasks.synthesis.codes import Codes, render_codes
from vidgan.tasks.synthesis.editing import transfer_motion
from vidgan.tasks.synthesis.inversion import Inversion, InversionSettings, invert_clip
from vidgan.tasks.synthesis.inversion_encoder import InversionEncoder
from vidgan.tasks.synthesis.tuning import TuningSettings, tune_generator
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, write_png

SEED = 1  # the recipes train on seed 0
COLUMNS = [
    "clips", "number", "PSNR", "lowest", "best frame repeated", "mean frame", "motion energy", "correlation", "frozen",
    "CPU s a clip",
]  # fmt: skip
POOL = 4  # pixels, over which temporal differences are averaged before they are compared


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run, a model folder, or shipped weights by name")
    parser.add_argument("--encoder", type=Path, help="folder of `vidgan train-encoder`")
    parser.add_argument("--data", type=Path, help="prepared clips, of which the test split is inverted")
    parser.add_argument("--clips", type=int, default=6, help="real clips")
    parser.add_argument("--own", type=int, default=4, help="clips that the model draws itself")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--starts", type=int, default=1)
    parser.add_argument("--path", action="store_true", help="fit free paths too")
    parser.add_argument("--tune", action="store_true", help="tune the generator to the real clips too")
    parser.add_argument("--work", type=Path, default=Path("runs/inversion"), help="folder for the sheets")
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    model = MoCoGAN.from_pretrained(options.model)
    encoder = InversionEncoder.from_pretrained(options.encoder) if options.encoder else None
    if encoder is not None:
        encoder.check_for(model, options.encoder)
    facts = ModelFacts.from_json(model.facts)
    drawn = model.latents(options.own, facts.frames, seed=SEED)
    own = [render_codes(model, Codes.from_latents(drawn, row, model)) for row in range(options.own)]
    real = real_clips(options.data, options.clips, facts, model.image_size)
    rows: list[list[Any]] = []
    inverted: dict[str, list[Inversion]] = {}
    for motion in ("inputs", "path") if options.path else ("inputs",):
        for name, clips in (("own", own), ("real", real)):
            settings = InversionSettings(motion=motion, starts=options.starts, steps=options.steps, seed=SEED)
            row, found = inversion_row(model, encoder, clips, settings, f"{name}, {motion}")
            rows.append(row)
            inverted[f"{name}-{motion}"] = found
            sheet = in_turn(clips, [one.reconstruction for one in found])
            write_png(options.work / f"{name}-{motion}.png", contact_sheet(sheet), overwrite=True)
            print(row, flush=True)
    codes = [one.codes for one in inverted["real-inputs"]]
    if options.tune:
        tuned = tune_generator(model, codes, real, TuningSettings(steps=60))
        rows.append(tuned_row(tuned, codes, real))
        sheet = torch.stack(
            [frames for clip, one in zip(real, codes, strict=True) for frames in (clip, render_codes(tuned, one))]
        )
        write_png(options.work / "tuned.png", contact_sheet(sheet), overwrite=True)
    exchanged = [render_codes(model, transfer_motion(codes[i], codes[i - 1])) for i in range(len(codes))]
    triples = in_turn(real, [real[-1], *real[:-1]], exchanged)
    write_png(options.work / "transfer.png", contact_sheet(triples), overwrite=True)
    measure = shape_transfer if options.data is None else pixel_transfer
    notes = [
        measure(real, exchanged),
        f"starts: {options.starts}; steps: {options.steps}; {'with' if encoder else 'without'} an encoder; step"
        f" {facts.step} of the model; CPU threads: {torch.get_num_threads()}",
    ]
    print(*notes, sep="\n")
    table = {"kind": "table", "columns": COLUMNS, "rows": rows, "notes": notes}
    if options.out:
        write_text(options.out, json.dumps(table))
    return 0


def in_turn(*lists: Sequence[ByteClip]) -> ByteClip:
    """The first clip of each list, then the second of each, ...: (N, T, 3, H, W)."""
    return torch.stack([clip for group in zip(*lists, strict=True) for clip in group])


def real_clips(data: Path | None, number: int, facts: ModelFacts, size: tuple[int, int]) -> list[ByteClip]:
    """Clips that the model was not trained on, (T, 3, H, W) each, all different and spread over the split."""
    if data is None:
        rendered = [
            render_moving_shape(SEED, i, frames=facts.frames * facts.stride, size=size[0]) for i in range(number)
        ]
        return [
            rearrange(torch.from_numpy(shape.frames[:: facts.stride].copy()), "t h w c -> t c h w")
            for shape in rendered
        ]
    dataset = ClipDataset(data, split="test", frames=facts.frames, stride=facts.stride)
    windows = {window.source: window.clip for window in dataset.windows(facts.frames, 10**6)}
    names = sorted(windows)
    chosen = np.linspace(0, len(names) - 1, min(number, len(names))).round().astype(int)
    return [windows[names[place]] for place in chosen]


def inversion_row(
    model: Any, encoder: InversionEncoder | None, clips: Sequence[ByteClip], settings: InversionSettings, name: str
) -> tuple[list[Any], list[Inversion]]:
    """A row of the table, and the inversions."""
    started = time.process_time()
    found = [invert_clip(model, clip, settings, encoder=encoder) for clip in clips]
    return [name, *means([one.scores for one in found]), round((time.process_time() - started) / len(clips), 1)], found


def tuned_row(model: Any, codes: Sequence[Codes], clips: Sequence[ByteClip]) -> list[Any]:
    """A row of the table, of a tuned model."""

    scores = [reconstruction_scores(render_codes(model, one), clip) for one, clip in zip(codes, clips, strict=True)]
    return ["real, inputs, tuned", *means(scores), None]


def means(scores: Sequence[Any]) -> list[Any]:
    """Number, mean PSNR, lowest PSNR, and the other columns."""
    psnr = [one.psnr for one in scores]
    parts = ("best_frame_psnr", "mean_frame_psnr", "energy_ratio", "correlation")
    other = [round(float(np.nanmean([getattr(one, part) for one in scores])), 3) for part in parts]
    frozen = sum(one.is_frozen for one in scores)
    return [len(scores), round(float(np.mean(psnr)), 2), round(min(psnr), 2), *other, frozen]


def shape_transfer(real: Sequence[ByteClip], exchanged: Sequence[ByteClip]) -> str:
    """What transfer keeps: colour and shape of the content's clip, path of the motion's clip."""
    true, made = (
        read_shapes(rearrange(torch.stack(list(clips)), "n t c h w -> n t h w c").numpy())
        for clips in (real, exchanged)
    )
    colour = np.abs(np.nanmean(made.colour, axis=1) - np.nanmean(true.colour, axis=1)).mean(axis=1)
    shapes = [np.bincount(row[row >= 0], minlength=3).argmax() for reading in (true, made) for row in reading.shape]
    kept = np.mean(np.equal(*np.array(shapes).reshape(2, -1)))
    paths = [path_correlation(made.centre[i], true.centre[i - 1]) for i in range(len(real))]
    return (
        f"transfer of motion between {len(real)} real clips: colour error {colour.mean():.3f} (highest"
        f" {colour.max():.3f}), shape kept in {kept:.2f} of the clips, correlation with the path of the motion's clip"
        f" {np.mean(paths):.3f} (lowest {min(paths):.3f})"
    )


def path_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson correlation of two paths (T, 2), both coordinates together about their means."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def pixel_transfer(real: Sequence[ByteClip], exchanged: Sequence[ByteClip]) -> str:
    """Identity: distance of mean frames; motion: correlation of pooled absolute temporal differences."""
    number = len(real)
    means = [clip.float().mean(dim=0) / 255 for clip in (*real, *exchanged)]
    identity = [[float((means[number + i] - means[j]).abs().mean()) for j in (i, i - 1)] for i in range(number)]
    energies = [energy_map(clip) for clip in (*real, *exchanged)]
    motion = [[correlation(energies[number + i], energies[j]) for j in (i, i - 1)] for i in range(number)]
    content, motion_clip = np.mean(identity, axis=0)
    energy_content, energy_motion = np.mean(motion, axis=0)
    return (
        f"transfer of motion between {number} real clips: mean frame differs by {content:.3f} from the content's clip"
        f" and by {motion_clip:.3f} from the motion's; moving places correlate {energy_motion:.2f} with the motion's"
        f" clip and {energy_content:.2f} with the content's"
    )


def energy_map(clip: ByteClip) -> Tensor:
    """Where and when a clip moves, (T-1, h, w)."""
    moves = (clip.float() / 255).diff(dim=0).abs().mean(dim=1, keepdim=True)
    return torch.nn.functional.avg_pool2d(moves, POOL)[:, 0]


def correlation(first: Tensor, second: Tensor) -> float:
    """Pearson correlation of two maps."""
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / (first.square().sum() * second.square().sum()).sqrt().clamp(min=1e-12))


if __name__ == "__main__":
    sys.exit(main())
