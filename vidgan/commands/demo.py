"""`vidgan demo`: the whole pipeline on rendered moving shapes, without a download.

Render shapes as mp4 files, prepare them, train both models, generate, exchange, forecast, score, write a report.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from vidgan.commands.evaluate import evaluate
from vidgan.commands.train import train
from vidgan.config import RunConfig, load_config, shipped_configs
from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shape_scores import DEFINITIONS, shape_scores
from vidgan.data.synthetic.shapes import CATEGORIES, render_shapes
from vidgan.evaluation.results import ForecastScores
from vidgan.evaluation.tables import score_document
from vidgan.files import check_overwrite, write_text
from vidgan.report import KeyValues, Player, Section, Warnings, run_sections, write_report
from vidgan.report.clips import forecast_clips, grid_clips
from vidgan.report.scores import score_blocks
from vidgan.tasks.base import ClipModel
from vidgan.tasks.forecast_images import forecast_animation, forecast_rows
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.preview import exchange_grid
from vidgan.training.diagnostics import diagnose
from vidgan.training.journal import read_journal
from vidgan.types import ByteClip
from vidgan.video.encode import tile, write_gif

NUM_CLIPS, NUM_FRAMES, SIZE = 480, 32, 32
NUM_QUICK_CLIPS, NUM_QUICK_STEPS = 27, 4
NUM_SAMPLES, NUM_QUICK_SAMPLES = 108, 16  # generated clips that are scored
NUM_SHOWN_FORECASTS = 4
NUM_CLIPS_PER_CATEGORY = 32  # generated clips for the shape scores
HORIZON = 8
EXCHANGED = 4  # contents and motions that are exchanged
CAPTIONS = ("a small red square moves up, slowly", "a big blue disc goes left, fast")
NUM_PER_CAPTION = 6
MARKER = "demo.txt"
SCALE = 3  # enlargement of the GIF files
FORECAST_FPS, CLIP_FPS = 6.0, 12.0


def demo(out: Path, *, seed: int = 0, quick: bool = False, overwrite: bool = False) -> Path:
    """Run the pipeline in the folder `out` and return the path of the report.

    Args:
        seed: of the data and of both trainings.
        quick: use a few clips and steps, to check that all parts work; the models learn nothing.
        overwrite: replace an earlier demo.

    Raises:
        FileExistsError: `out` is not empty and may not be replaced.
    """
    check_overwrite(out, overwrite=overwrite, marker=MARKER)
    shutil.rmtree(out, ignore_errors=True)
    write_text(out / MARKER, "This folder was made by `vidgan demo` and may be overwritten by it.\n")
    num_clips = NUM_QUICK_CLIPS if quick else NUM_CLIPS
    with _stage(f"rendering {num_clips} clips of moving shapes to mp4"):
        render_shapes(out / "videos", clips=num_clips, frames=NUM_FRAMES, size=SIZE, seed=seed)
    with _stage("preparing them"):
        prepare(out / "videos", out / "data", size=(SIZE, SIZE), flow="auto", categories=True, holdout=0.15, seed=seed)
    configs = {name: _demo_config(name, out, seed, quick) for name in ("mocogan/demo", "dual_motion/demo")}
    for name, config in configs.items():
        with _stage(f"training {name}, {config.train.steps} steps"):
            train(config)
    synthesis, forecast = (config.run_dir for config in configs.values())
    with _stage("generating, forecasting, scoring"):
        sections = [
            *_forecast_sections(forecast, out),
            *_synthesis_sections(synthesis, out, seed, NUM_QUICK_SAMPLES if quick else NUM_SAMPLES),
            caption_section(seed),
            _training_section("Dual Motion GAN", forecast),
            _training_section("MoCoGAN", synthesis),
        ]
    subtitle = _subtitle(num_clips, configs, quick)
    return write_report(out / "report.html", title="vidgan demo", subtitle=subtitle, sections=sections)


def _subtitle(num_clips: int, configs: dict[str, RunConfig], quick: bool) -> str:
    steps = ", ".join(f"{name} {config.train.steps} steps" for name, config in configs.items())
    warning = " (quick: too short to learn anything)" if quick else ""
    return f"{num_clips} rendered clips at {SIZE}x{SIZE}; {steps}{warning}"


@contextmanager
def _stage(name: str) -> Iterator[None]:
    """Print the name of a stage when it starts, and how long it took."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _demo_config(name: str, out: Path, seed: int, quick: bool) -> RunConfig:
    """Load a shipped demo config with the paths of the demo's folder."""
    changes = [f"data.root={out / 'data'}", f"out={out / 'runs'}", f"seed={seed}"]
    if quick:
        changes += [f"train.steps={NUM_QUICK_STEPS}", "train.warmup=0", "every.log=1", "every.evaluate=null"]
    return load_config(shipped_configs()[name], changes)


def _training_section(title: str, run: Path) -> Section:
    """Warnings and curves of a training."""
    training = next(section for section in run_sections(run) if section.title == "Training")
    return Section(f"{title}: training", [Warnings(diagnose(read_journal(run))), *training.blocks])


def _synthesis_sections(run: Path, out: Path, seed: int, num_clips: int) -> list[Section]:
    """Samples by category, exchanged content and motion, scores."""
    model = MoCoGAN.from_pretrained(run)
    columns = 6
    categories = model.facts["categories"]
    samples = torch.cat([model.sample(columns, seed=seed + 1, category=name) for name in categories])
    write_gif(out / "generated.gif", _enlarge(tile(samples, columns=columns), SCALE), fps=CLIP_FPS)
    frames = model.facts["frames"]
    long = model.sample(columns, frames=4 * frames, seed=seed + 2)
    exchange = exchange_grid(model, count=EXCHANGED, frames=frames, seed=seed + 3)
    write_gif(out / "exchange.gif", _enlarge(tile(exchange, columns=EXCHANGED), SCALE), fps=CLIP_FPS)
    scores = score_document(evaluate(run, clips=num_clips, seed=seed))
    return [
        Section(
            "MoCoGAN: generated clips",
            [
                _grid(samples, categories, _numbered("sample", columns), "Generated clips of each motion category."),
                _grid(
                    exchange,
                    _numbered("content", EXCHANGED),
                    _numbered("motion", EXCHANGED),
                    "The same content along each row, the same motion along each column.",
                ),
                _grid(
                    long,
                    ["sample"],
                    _numbered("", columns),
                    f"Four times longer than in training ({4 * frames} frames).",
                ),
            ],
        ),
        Section("MoCoGAN: does a clip show one moving shape?", [KeyValues(score_shapes(model, seed))]),
        Section("MoCoGAN: scores", score_blocks(scores)),
    ]


def caption_section(seed: int) -> Section:
    """Clips from sentences. Shipped weights make them: a model of captions takes longer to train than the demo."""
    model = MoCoGAN.from_pretrained("captions")
    clips = model.sample(NUM_PER_CAPTION, seed=seed + 5, text=CAPTIONS)
    caption = f"Clips of each sentence, from vidgan generate --pretrained captions --clips {NUM_PER_CAPTION} --text ..."
    return Section(
        "Clips from captions, by shipped weights (not trained by this demo)",
        [_grid(clips, CAPTIONS, _numbered("sample", NUM_PER_CAPTION), caption)],
    )


def score_shapes(model: ClipModel, seed: int, num_clips: int = NUM_CLIPS_PER_CATEGORY) -> dict[str, str]:
    """Compute the scores of `vidgan.data.synthetic.shape_scores` on generated clips: definition -> value.

    Args:
        num_clips: of each category.
    """
    clips = torch.cat([model.sample(num_clips, seed=seed + 4, category=name) for name in CATEGORIES])
    labels = np.repeat(np.arange(len(CATEGORIES)), num_clips)
    scores = shape_scores(rearrange(clips, "b t c h w -> b t h w c").numpy(), labels)
    return {DEFINITIONS[name]: f"{value:.3f}" for name, value in scores.items()}


def _forecast_sections(run: Path, out: Path) -> list[Section]:
    """Forecasts of held-out clips, and their scores beside those of the baselines."""
    model = DualMotionGAN.from_pretrained(run)
    num_context = int(model.facts["context"])
    dataset = ClipDataset(out / "data", split="test", frames=num_context + HORIZON)
    windows = list(dataset.windows(num_context + HORIZON, NUM_FRAMES))
    stride = max(1, len(windows) // NUM_SHOWN_FORECASTS)
    blocks = []
    for number, window in enumerate(windows[::stride][:NUM_SHOWN_FORECASTS]):
        context, truth = window.clip[:num_context], window.clip[num_context:]
        rows = forecast_rows(context, truth, model.forecast(context[None], HORIZON))
        if number == 0:
            write_gif(out / "forecast.gif", _enlarge(forecast_animation(rows), SCALE), fps=FORECAST_FPS)
        blocks.append(Player(forecast_clips(rows), window.source, FORECAST_FPS))
    next_frame, full_horizon = evaluate(run, horizon=1), evaluate(run, horizon=HORIZON)
    assert isinstance(next_frame, ForecastScores) and isinstance(full_horizon, ForecastScores)
    return [
        Section("At a glance: PSNR on held-out clips", [KeyValues(_headline(next_frame, full_horizon))]),
        Section("Dual Motion GAN: forecasts of held-out clips", blocks),
        Section("Dual Motion GAN: next frame", score_blocks(score_document(next_frame))),
        Section(f"Dual Motion GAN: {HORIZON} frames by feedback", score_blocks(score_document(full_horizon))),
    ]


def _headline(next_frame: ForecastScores, full_horizon: ForecastScores) -> dict[str, str]:
    """PSNR in dB of the forecast and its strongest baselines: row -> both horizons."""
    lines = {}
    for name in ("fused P", "constant-velocity, carried", "constant-velocity warp", "copy-last"):
        one, mean = (scores.scores[name]["psnr"].mean.mean for scores in (next_frame, full_horizon))
        lines[name] = f"next frame {one:.1f} dB, mean of {HORIZON} frames {mean:.1f} dB"
    return lines


def _grid(clips: ByteClip, rows: Sequence[str], columns: Sequence[str], caption: str) -> Player:
    """Clips, (rows * columns, T, 3, H, W) uint8, under row and column headings."""
    return Player(grid_clips(clips, rows, columns), caption, CLIP_FPS, rows=rows, columns=columns)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name} {number}".strip() for number in range(1, count + 1)]


def _enlarge(clip: ByteClip, scale: int) -> ByteClip:
    """Repeat every pixel `scale` times in both directions, without smoothing."""
    return clip.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)
