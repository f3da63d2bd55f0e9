"""What each part of the forecasting recipe is worth: one config, one setting changed a run, scored on other drives.

    python pipelines/ablate_forecast.py --data data/driving --other data/caltech --out studies/driving

Every run trains on `--data` from the same seed for equal steps. It is scored on the clips that are held out there (the
next frame, from as many frames as it was trained to see) and, with `--other`, on all clips of other data, each frame
from all true frames before it. The runs are listed in ablate_forecast.yaml. Rows that are there already are kept; the
table is `ablation.json`. `--lpips` takes the weights that `vidgan evaluate` asks for as lpips-squeeze.
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
PARTS = {"P": "fused P", "W": "warped W", "A": "direct A"}  # their names in a result
OTHER = {"split": "all", "context": 2, "growing": True}  # of `--other`, up to its last frame


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="prepared, to train on and to hold out")
    parser.add_argument("--other", type=Path, help="prepared, to score on")
    parser.add_argument("--horizon", type=int, default=8, help="frames forecast of --other, after the first two")
    parser.add_argument("--only", nargs="+", metavar="RUN", help="names from the file; default: all")
    parser.add_argument("--runs", type=Path, default=RUNS, help="names of runs and their changes")
    parser.add_argument("--lpips", type=Path, metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def make(config: str, settings: list[str]) -> Row:
        began = process_time()
        done = train(config, [f"data.root={options.data}", f"seed={options.seed}", "every.evaluate=null", *settings])
        spent = (process_time() - began) / done.steps
        return {"steps": done.steps, "CPU s a step": round(spent, 3)} | score(done.run_dir, options)

    columns, rows = study(read_runs(options.runs, "dual_motion/kitti"), options.out, options.only, make)
    table = {
        "kind": "table",
        "title": f"One setting changed a run, trained on {options.data.name}, PSNR of P, W and A, SSIM and LPIPS of P",
        "columns": ["run", *columns],
        "rows": [[name, *(shown(column, row.get(column)) for column in columns)] for name, row in rows.items()],
        "notes": [f"made by `python pipelines/{Path(__file__).name}`, seed {options.seed}"],
    }
    write_text(options.out / "ablation.json", json.dumps(table, indent=1))
    print(json.dumps(table, indent=1))


def shown(column: str, value: float | None) -> str:
    """A number as the table has it."""
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
    for name, given in sets.items():
        found = evaluate(run, **given, **measures).scores
        row |= {f"{name} PSNR {short}": found[part]["psnr"].mean.mean for short, part in PARTS.items()}
        row |= {f"{name} {metric}": found["fused P"][metric].mean.mean for metric in measures["metrics"][1:]}
    return row


if __name__ == "__main__":
    main()
