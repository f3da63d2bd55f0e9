"""Write the table of docs/guide_single.md: clips from one clip, beside clips that a score must not take for good ones.

    python tools/single_clip_scores.py --out scores.json --clips 4 sky=VIDEO@0:24@64 person=VIDEO@0:24@64
    python tools/single_clip_scores.py --out forecasts.json --forecast 4 person=VIDEO@0:24@32

Each clip is NAME=VIDEO[@START:COUNT[@SIDE]]. The JSON file holds every score, the cost and the settings; the table is
printed as Markdown. With --forecast N, the last N frames are hidden, and the methods that continue a clip are compared
with them instead.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

import vidgan
from vidgan.commands.single import SourceClip, read_segment, single
from vidgan.evaluation.baselines import ConstantVelocityWarp, copy_last
from vidgan.evaluation.output import hardware
from vidgan.evaluation.single_clip import DEFINITIONS, measure_clips, reference_clips
from vidgan.files import write_text
from vidgan.hub import model_class_in
from vidgan.metrics.frame import psnr
from vidgan.tasks import load_model
from vidgan.tasks.single_clip.operations import ClipMaker, extend, variations
from vidgan.tasks.single_clip.patches import PatchSettings, PatchSynthesis
from vidgan.training.recorder import peak_memory
from vidgan.types import ByteClip
from vidgan.video.optical_flow import estimate_flow

SIDE = 64
FPS = 25.0  # of a second of video, where a source has no clock
FORECAST_COLUMNS = ("psnr", "cpu_seconds")
COLUMNS = ("nearest_patch", "rearranged", "spread", "motion_ratio", "warp_ratio", "sharpness_ratio")


def read_source(text: str, multiple: int = 1) -> tuple[str, SourceClip]:
    """Name and clip of NAME=VIDEO[@START:COUNT[@SIDE]]; sides are a multiple of `multiple`."""
    name, _, place = text.partition("=")
    video, segment, side = [*place.split("@"), None, None][:3]
    return name, read_segment(Path(str(video)), segment, int(side or SIDE), multiple=multiple)


def scores_of(text: str, clips: int, seed: int, runs: dict[str, Path]) -> dict[str, dict[str, float | None]]:
    """Row -> score of one source: the methods first, then the reference rows."""
    name, source = read_source(text)
    seconds = len(source.frames) / (source.fps or FPS)
    makers: dict[str, ClipMaker] = {"patch": PatchSynthesis(source.frames)}
    if name in runs:
        makers[model_class_in(runs[name]) or "run"] = load_model(runs[name], "clips", task="single_clip")
    rows: dict[str, dict[str, float | None]] = {}
    for method, maker in makers.items():
        started = time.process_time()
        made = variations(maker, clips, seed=seed)
        cost = (time.process_time() - started) / clips
        rows[method] = measure_clips(source.frames, made, seed=seed) | {
            "cpu_seconds_per_second": cost / seconds,
            "peak_memory_gb": peak_memory(torch.device("cpu"))["memory/ram_gb"],
        }
    for row, reference in reference_clips(source.frames, clips, seed=seed).items():
        rows[row] = measure_clips(source.frames, reference, seed=seed)
    return rows


def forecasts_of(text: str, hidden: int, work: Path) -> dict[str, dict[str, float | None]]:
    """Row -> mean PSNR of the continuations of a clip beside its own hidden frames, and the CPU time of the making."""
    name, source = read_source(text, multiple=16)
    known, truth = source.frames[:-hidden], source.frames[-hidden:]
    clip = work / f"{name}.npy"
    clip.parent.mkdir(parents=True, exist_ok=True)
    np.save(clip, rearrange(known, "t c h w -> t h w c").numpy())
    warp = ConstantVelocityWarp(partial(estimate_flow, method="dis"))
    methods: dict[str, Callable[[], ByteClip]] = {
        "forecast": lambda: single(clip, work / name, method="forecast", clips=1, extend_by=hidden, overwrite=True)[0],
        "patch": lambda: extend(PatchSynthesis(known), known, hidden, 1)[0],
        "constant-velocity warp": lambda: warp(known[None], hidden)[0],
        "copy-last": lambda: copy_last(known[None], hidden)[0],
    }
    rows: dict[str, dict[str, float | None]] = {}
    for row, method in methods.items():
        started = time.process_time()
        made = method()[-hidden:]
        values = psnr(made[None], truth[None])
        rows[row] = {"psnr": float(values.mean()), "cpu_seconds": time.process_time() - started}
    return rows


def markdown(results: dict[str, dict[str, dict[str, float | None]]], columns: Sequence[str] = COLUMNS) -> str:
    """The table of all clips."""
    lines = [f"| clip | row | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for name, rows in results.items():
        for row, scores in rows.items():
            cells = ("-" if (value := scores[key]) is None else f"{value:.3f}" for key in columns)
            lines.append(f"| {name} | {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="NAME=VIDEO[@START:COUNT[@SIDE]]")
    parser.add_argument("--out", type=Path, required=True, help="result file (json)")
    parser.add_argument("--clips", type=int, default=4, help="clips per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN", help="a pyramid of a clip")
    parser.add_argument("--forecast", type=int, metavar="N", help="compare continuations with the last N frames")
    options = parser.parse_args()
    runs = {name: Path(run) for name, _, run in (text.partition("=") for text in options.run)}
    results = {}
    for source in options.sources:
        results[source.partition("=")[0]] = (
            forecasts_of(source, options.forecast, options.out.with_suffix(""))
            if options.forecast
            else scores_of(source, options.clips, options.seed, runs)
        )
    document = {
        "scores": results,
        "definitions": DEFINITIONS,
        "sources": options.sources,
        "runs": {name: str(run) for name, run in runs.items()},
        "clips": options.clips,
        "seed": options.seed,
        "settings": PatchSettings().model_dump(),
        "hardware": hardware(),
        "vidgan": vidgan.__version__,
    }
    write_text(options.out, json.dumps(document, indent=2) + "\n")
    print(markdown(results, FORECAST_COLUMNS if options.forecast else COLUMNS))


if __name__ == "__main__":
    main()
