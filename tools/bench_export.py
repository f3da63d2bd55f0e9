"""Speed of exported models: ONNX Runtime beside eager, bfloat16 and compiled torch on the CPU, in one run.

    python tools/bench_export.py FOLDER [--models mocogan/shapes ...] [--forms eager onnx ...] [--json FILE]

FOLDER keeps the exported files; those that are missing are made first, which takes minutes. Measures clips per second
of a generator (16 clips of the length of training, from seed to uint8 pixels) and milliseconds per forecast frame of a
forecaster (one clip, the context of training, horizon 10). Forms alternate. The table holds the median and range over
the rounds, and the speed relative to eager float32.

- eager: `sample` and `predict`.      - bf16: the same under bfloat16 autocast.
- compiled: with torch.compile of the parts that `train.compile` compiles; the compile time is not counted.
- onnx, onnx-int8: `vidgan.exporting.runner`, with as many threads as torch.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benching import format_spread, machine, ratios, save, spread, table

from vidgan.commands.export import export, load_exportable
from vidgan.exporting.parity import moving_clips
from vidgan.exporting.runner import OnnxGenerator, open_onnx
from vidgan.hub import shipped_weights
from vidgan.tasks.synthesis.mocogan import MoCoGAN

FORMS = ("eager", "bf16", "compiled", "onnx", "onnx-int8")
CLIPS, HORIZON = 16, 10


def torch_call(name: str, form: str) -> Callable[[], object]:
    """A function that draws clips, or continues one, with torch."""
    model = load_exportable(name)
    if form == "compiled":
        for part in model.compilable_parts():
            part.compile(dynamic=False)
    context = None if isinstance(model, MoCoGAN) else torch.from_numpy(context_of(model))

    def call() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=form == "bf16"):
            return model.sample(CLIPS) if context is None else model.predict(context, HORIZON)

    return call


def onnx_call(file: Path) -> Callable[[], object]:
    """The same with an exported file."""
    model = open_onnx(file)
    if isinstance(model, OnnxGenerator):
        return lambda: model.sample(CLIPS)
    context = moving_clips(model.exported.image_size, 1, model.exported.context or 2, seed=0)
    return lambda: model.predict(context, HORIZON)


def context_of(model: Any) -> np.ndarray:
    """The clip that a forecaster continues."""
    return moving_clips(model.image_size, 1, model.facts.get("context") or 2, seed=0)


def alternate(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, after one warm-up call each; the forms take turns."""
    seconds: dict[str, list[float]] = {form: [] for form in calls}
    for number in range(rounds + 1):
        for form, call in calls.items():
            start = time.perf_counter()
            call()
            if number:
                seconds[form].append(time.perf_counter() - start)
    return seconds


def rows_of(name: str, seconds: Mapping[str, Sequence[float]], *, generates: bool) -> list[dict[str, Any]]:
    """One row per form: the rate, and how many times faster than eager."""
    rows = []
    for form, samples in seconds.items():
        rates = [CLIPS / value if generates else 1000 * value / HORIZON for value in samples]
        faster = ratios(seconds["eager"], samples) if "eager" in seconds else None
        unit = "clips/s" if generates else "ms a frame"
        rows.append({"model": name, "form": form, "rate": spread(rates), "unit": unit, "times_eager": faster})
    return rows


def exported_file(name: str, folder: Path, *, int8: bool) -> Path:
    """The exported file of shipped weights, made if it is missing."""
    file = folder / f"{name.replace('/', '-')}{'-int8' if int8 else ''}.onnx"
    if not file.is_file():
        export(name, file, int8=int8, report=lambda line: print(f"{name}: {line}", file=sys.stderr))
    return file


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the exported files")
    parser.add_argument("--models", nargs="+", choices=sorted(shipped_weights()), default=sorted(shipped_weights()))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(), "rows": []}
    for name in args.models:
        calls = {
            form: onnx_call(exported_file(name, args.folder, int8=form == "onnx-int8"))
            if form.startswith("onnx")
            else torch_call(name, form)
            for form in args.forms
        }
        report["rows"] += rows_of(name, alternate(calls, args.rounds), generates=name.startswith("mocogan"))
    lines = [
        [row["model"], row["form"], format_spread(row["rate"]), row["unit"],
         format_spread(row["times_eager"]) if row["times_eager"] else ""]
        for row in report["rows"]
    ]  # fmt: skip
    print(table(["model", "form", "median (low-high)", "", "times faster than eager"], lines))
    save(args.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
