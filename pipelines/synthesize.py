"""A synthesis study: prepare a folder of videos, train MoCoGAN, generate, exchange content and motion, score, report.

    python pipelines/synthesize.py my_videos --out studies/clips --config mocogan/videos --size 64 --steps 10000

For labelled videos (one folder per class) add --categories and a config with a category term, such as mocogan/actions.
The same command resumes an interrupted study.
"""

import argparse
from pathlib import Path

from vidgan import MoCoGAN, evaluate, prepare, train
from vidgan.commands.generate import generate
from vidgan.commands.prepare import parse_size
from vidgan.commands.report import report
from vidgan.evaluation.tables import markdown_table
from vidgan.files import write_text
from vidgan.tasks.synthesis.preview import exchange_grid
from vidgan.video.encode import tile, write_gif


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="mocogan/videos")
    parser.add_argument("--size", default="64")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--categories", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    data = options.out / "data"
    prepare(options.videos, data, size=parse_size(options.size), categories=options.categories, holdout=0.2)
    settings = [f"data.root={data}", f"out={options.out}", "name=run", f"seed={options.seed}"]
    run = train(options.config, [*settings, f"train.steps={options.steps}"]).run_dir
    generate(run, options.out / "clips", clips=16, seed=options.seed, overwrite=True)
    model = MoCoGAN.from_pretrained(run)
    grid = exchange_grid(model, frames=model.facts["frames"], seed=options.seed)
    write_gif(options.out / "exchange.gif", tile(grid, columns=4), overwrite=True)
    write_text(options.out / "scores.md", markdown_table(evaluate(run, clips=128)) + "\n")
    print(report(run))


if __name__ == "__main__":
    main()
