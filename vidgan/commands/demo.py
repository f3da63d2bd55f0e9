"""`vidgan demo`: the whole pipeline on moving shapes that it renders itself, no download.

Shapes -> real mp4 files -> prepare -> train both models -> generate, exchange, forecast -> score -> report.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from vidgan.commands.evaluate import evaluate
from vidgan.commands.train import train
from vidgan.config import RunConfig, load_config, shipped_configs
from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shape_scores import DEFINITIONS, shape_scores
from vidgan.data.synthetic.shapes import CATEGORIES, render_shapes
from vidgan.evaluation.results import ForecastScores
from vidgan.evaluation.tables import score_document
from vidgan.files import claim, write_text
from vidgan.report import Animation, KeyValues, Picture, Section, Text, Warnings, run_sections, write_report
from vidgan.report.scores import score_blocks
from vidgan.runs import read_journal
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.tasks.pictures import exchange_grid, forecast_animation, forecast_rows, forecast_strip
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.training.diagnostics import warnings
from vidgan.types import ByteClip
from vidgan.video.encode import png_bytes, tile, webp_bytes, write_gif

CLIPS, FRAMES, SIZE = 480, 32, 32
QUICK_CLIPS, QUICK_STEPS = 27, 4
SHOWN_FORECASTS = 4
READ_CLIPS = 32  # of each category, from which is read whether they show moving shapes
HORIZON = 8
MARKER = "demo.txt"
SCALE = 3  # enlargement of the pictures in the report


def demo(out: Path, *, seed: int = 0, quick: bool = False, overwrite: bool = False) -> Path:
    """Run everything into `out` and return the path of the report.

    Args:
        seed: of the data and of both trainings.
        quick: a few clips and steps, to see that all parts work; the results are then worth nothing.

    Raises:
        FileExistsError: `out` holds something and `overwrite` is off.
    """
    claim(out, overwrite=overwrite, marker=MARKER)
    shutil.rmtree(out, ignore_errors=True)
    write_text(out / MARKER, "This folder was made by `vidgan demo` and may be overwritten by it.\n")
    clips = QUICK_CLIPS if quick else CLIPS
    with stage(f"rendering {clips} clips of moving shapes to mp4"):
        render_shapes(out / "videos", clips=clips, frames=FRAMES, size=SIZE, seed=seed)
    with stage("preparing them"):
        prepare(out / "videos", out / "data", size=(SIZE, SIZE), flow="auto", categories=True, holdout=0.15, seed=seed)
    configs = {name: demo_config(name, out, seed, quick) for name in ("mocogan/demo", "dual_motion/demo")}
    for name, config in configs.items():
        with stage(f"training {name}, {config.train.steps} steps"):
            train(config)
    synthesis, forecast = (config.run_dir for config in configs.values())
    with stage("generating, forecasting, scoring"):
        sections = [
            *forecast_sections(forecast, out),
            *synthesis_sections(synthesis, out, seed, clips=16 if quick else 108),
        ]
        for title, run in (("Dual Motion GAN", forecast), ("MoCoGAN", synthesis)):
            training = next(told for told in run_sections(run) if told.title == "Training")
            health = Warnings(warnings(read_journal(run)))
            sections.append(Section(f"{title}: training", [health, *training.blocks]))
    told = subtitle(clips, configs, quick)
    return write_report(out / "report.html", title="vidgan demo", subtitle=told, sections=sections)


def subtitle(clips: int, configs: dict[str, RunConfig], quick: bool) -> str:
    """What the report is of, in a line."""
    steps = ", ".join(f"{name} {config.train.steps} steps" for name, config in configs.items())
    warning = " (quick: too short to learn anything)" if quick else ""
    return f"{clips} rendered clips at {SIZE}x{SIZE}; {steps}{warning}"


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Say what begins and how long it took."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def demo_config(name: str, out: Path, seed: int, quick: bool) -> RunConfig:
    """A shipped demo config, pointed at the demo's folder."""
    changes = [f"data.root={out / 'data'}", f"out={out / 'runs'}", f"seed={seed}"]
    if quick:
        changes += [f"train.steps={QUICK_STEPS}", "train.warmup=0", "every.log=1", "every.evaluate=null"]
    return load_config(shipped_configs()[name], changes)


def synthesis_sections(run: Path, out: Path, seed: int, clips: int) -> list[Section]:
    """Samples by category, content and motion exchanged, scores."""
    model = MoCoGAN.from_pretrained(run)
    columns = 6
    samples = torch.cat([model.sample(columns, seed=seed + 1, category=name) for name in model.facts["categories"]])
    write_gif(out / "generated.gif", enlarged(tile(samples, columns=columns), SCALE), fps=12)
    frames = model.facts["frames"]
    long = model.sample(columns, frames=4 * frames, seed=seed + 2)
    exchange = exchange_grid(model, count=4, frames=frames, seed=seed + 3)
    write_gif(out / "exchange.gif", enlarged(tile(exchange, columns=4), SCALE), fps=12)
    scores = score_document(evaluate(run, clips=clips, seed=seed))
    return [
        Section(
            "MoCoGAN: generated clips",
            [
                Text(f"Rows: the motion categories {', '.join(model.facts['categories'])}. Columns: one draw each."),
                Animation(webp_bytes(tile(samples, columns=columns), fps=12), "generated, by category", scale=SCALE),
                Animation(
                    webp_bytes(tile(exchange, columns=4), fps=12),
                    "content held along each row, motion held along each column",
                    scale=SCALE,
                ),
                Animation(
                    webp_bytes(tile(long, columns=columns), fps=12),
                    f"four times longer than trained ({4 * frames} frames)",
                    scale=SCALE,
                ),
            ],
        ),
        Section("MoCoGAN: does a clip show one moving shape?", [KeyValues(shape_summary(model, seed))]),
        Section("MoCoGAN: scores", score_blocks(scores)),
    ]


def shape_summary(model: MoCoGAN, seed: int, each: int = READ_CLIPS) -> dict[str, str]:
    """The measures of `vidgan.data.synthetic.shape_scores`, in words."""
    clips = torch.cat([model.sample(each, seed=seed + 4, category=name) for name in CATEGORIES])
    scores = shape_scores(clips.movedim(2, -1).numpy(), np.repeat(np.arange(len(CATEGORIES)), each))
    return {DEFINITIONS[name]: f"{value:.3f}" for name, value in scores.items()}


def forecast_sections(run: Path, out: Path) -> list[Section]:
    """Forecasts of held-out clips, and their scores beside the baselines."""
    model = DualMotionGAN.from_pretrained(run)
    context = int(model.facts["context"])
    dataset = ClipDataset(out / "data", split="test", frames=context + HORIZON)
    windows = list(dataset.windows(context + HORIZON, FRAMES))
    blocks: list[Animation | Picture] = []
    for number, window in enumerate(windows[:: max(1, len(windows) // SHOWN_FORECASTS)][:SHOWN_FORECASTS]):
        seen, truth = window.clip[:context], window.clip[context:]
        rows = forecast_rows(seen, truth, model.forecast(seen[None], HORIZON))
        parts = ", ".join(name for name in rows if name != "context")
        moving = forecast_animation(rows)
        if number == 0:
            write_gif(out / "forecast.gif", enlarged(moving, SCALE), fps=6)
        blocks.append(Animation(webp_bytes(moving, fps=6), f"{window.source}: {parts}", scale=SCALE))
        blocks.append(Picture(png_bytes(forecast_strip(rows)), "the same, frame by frame", scale=2))
    next_frame, several = evaluate(run, horizon=1), evaluate(run, horizon=HORIZON)
    assert isinstance(next_frame, ForecastScores) and isinstance(several, ForecastScores)
    return [
        Section("At a glance: PSNR on clips that were held out", [KeyValues(headline(next_frame, several))]),
        Section("Dual Motion GAN: forecasts of clips that were held out", blocks),
        Section("Dual Motion GAN: next frame", score_blocks(score_document(next_frame))),
        Section(f"Dual Motion GAN: {HORIZON} frames by feedback", score_blocks(score_document(several))),
    ]


def headline(next_frame: ForecastScores, several: ForecastScores) -> dict[str, str]:
    """The forecast beside the two baselines that matter, in dB."""
    lines = {}
    for name in ("fused P", "constant-velocity, carried", "constant-velocity warp", "copy-last"):
        one, many = (scores.scores[name]["psnr"].mean.mean for scores in (next_frame, several))
        lines[name] = f"next frame {one:.1f} dB, mean of {HORIZON} frames {many:.1f} dB"
    return lines


def enlarged(clip: ByteClip, scale: int) -> ByteClip:
    """Every pixel a square of so many, for files that are looked at."""
    return clip.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)
