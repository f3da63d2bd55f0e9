"""A forecasting study: prepare a folder of videos, train Dual Motion GAN with several seeds, score, report.

    python pipelines/forecast.py my_videos --out studies/forecast --size 64 --steps 3000 --seeds 0 1 2

Each seed is a separate run in OUT/runs; OUT/scores.md holds their scores on the same held-out windows. The same command
resumes an interrupted study.
"""

import argparse
from pathlib import Path

from vidgan import evaluate, prepare, train
from vidgan.commands.prepare import parse_size
from vidgan.commands.report import report
from vidgan.evaluation.tables import markdown_table
from vidgan.files import write_text


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="dual_motion/videos")
    parser.add_argument("--size", default="64")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()

    data = options.out / "data"
    prepare(options.videos, data, size=parse_size(options.size), flow="auto", holdout=0.2)
    tables = []
    for seed in options.seeds:
        settings = [
            f"data.root={data}", f"out={options.out / 'runs'}", f"name=seed-{seed}", f"seed={seed}",
            f"train.steps={options.steps}",
        ]  # fmt: skip
        run = train(options.config, settings).run_dir
        for horizon in options.horizons:
            tables.append(f"## seed {seed}\n\n{markdown_table(evaluate(run, horizon=horizon))}")
        print(report(run))
    write_text(options.out / "scores.md", "\n\n".join(tables) + "\n")
    print(options.out / "scores.md")


if __name__ == "__main__":
    main()
