"""Ablation of the forecasting recipe: one config, one setting changed per run, scored on other drives.

    python pipelines/ablate_forecast.py --data data/driving --other data/caltech --out studies/driving

Every run trains on `--data` from the same seed for equal steps. It is scored on the held-out clips of these data (the
next frame, with the context of its training) and, if `--other` is given, on all clips of other data, each frame from
all true frames before it. The runs are listed in ablate_forecast.yaml. Existing rows are kept; the table is
`ablation.json`. `--lpips` takes the weights that `vidgan evaluate` names lpips-squeeze.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

from ablate import Row, read_runs, study

from vidgan import evaluate, train
from vidgan.files import write_text

RUNS = Path(__file__).with_suffix(".yaml")
PARTS = {"P": "fused P", "W": "warped W", "A": "direct A"}  # column -> row of a result
OTHER = {"split": "all", "context": 2, "growing": True}  # settings for `--other`


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="prepared data to train on")
    parser.add_argument("--other", type=Path, help="prepared data to score on")
    parser.add_argument("--horizon", type=int, default=8, help="frames forecast in --other, after the first two")
    parser.add_argument("--only", nargs="+", metavar="RUN", help="names of runs to make; default: all")
    parser.add_argument("--runs", type=Path, default=RUNS, help="file that lists the runs")
    parser.add_argument("--lpips", type=Path, metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def make(config: str, settings: list[str]) -> Row:
        start = process_time()
        result = train(config, [f"data.root={options.data}", f"seed={options.seed}", "every.evaluate=null", *settings])
        seconds = (process_time() - start) / result.steps
        return {"steps": result.steps, "CPU s a step": round(seconds, 3)} | score(result.run_dir, options)

    columns, rows = study(read_runs(options.runs, "dual_motion/kitti"), options.out, options.only, make)
    table = {
        "kind": "table",
        "title": f"One setting changed per run, trained on {options.data.name}: PSNR of P, W, A; SSIM, LPIPS of P",
        "columns": ["run", *columns],
        "rows": [[name, *(format_number(column, row.get(column)) for column in columns)] for name, row in rows.items()],
        "notes": [f"made by `python pipelines/{Path(__file__).name}`, seed {options.seed}"],
    }
    write_text(options.out / "ablation.json", json.dumps(table, indent=1))
    print(json.dumps(table, indent=1))


def format_number(column: str, value: float | None) -> str:
    """A number as the table shows it."""
    if value is None or isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if "PSNR" in column else f"{value:.4f}"


def score(run: Path, options: argparse.Namespace) -> Row:
    """PSNR, SSIM and LPIPS of the fused forecast, PSNR of W and A, for each set of clips."""
    measures: dict[str, Any] = {"metrics": ("psnr", "ssim")}
    if options.lpips is not None:
        measures = {"metrics": ("psnr", "ssim", "lpips_squeeze"), "weights": {"lpips-squeeze": options.lpips}}
    sets: dict[str, dict[str, Any]] = {options.data.name: {"horizon": 1}}
    if options.other is not None:
        sets[options.other.name] = {"data": options.other, "horizon": options.horizon, **OTHER}
    row: Row = {}
    for name, settings in sets.items():
        scores = evaluate(run, **settings, **measures).scores
        row |= {f"{name} PSNR {short}": scores[part]["psnr"].mean.mean for short, part in PARTS.items()}
        row |= {f"{name} {metric}": scores["fused P"][metric].mean.mean for metric in measures["metrics"][1:]}
    return row


if __name__ == "__main__":
    main()
