"""One training iteration of the package beside a plain implementation of the same networks and the same algorithm.

    python tools/bench_train.py [--quick] [--model mocogan dual_motion] [--json FILE]
    python tools/bench_train.py --check          compare ratios with the committed ones; exit code 1 if one fell by 15 %
                                                 or train.precision=auto is not the fastest setting measured
    python tools/bench_train.py --recipes        cost of the shipped MoCoGAN recipes against the published one

MoCoGAN at the published size (64x64, 16 frames, 32 images and 32 clips, categorical video discriminator) and Dual
Motion GAN (128x160, 10 frames in, batch 4). The textbook side (`tools/textbook`) has equal weights and equal losses by
test. Both sides draw fresh fakes and fresh noise in every turn. Each sample is a new process, the sides alternate, and
ratios are taken round by round. "kept": glibc is configured to keep large blocks; "usual": its defaults.

GPU: `python tools/bench_train.py --device cuda --batch 32 --iterations 20 [--change train.compile=true]`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benching import KEEP_BLOCKS, format_spread, in_fresh_process, machine, ratios, save, seconds, spread, table
from train_sides import Job, chosen_precision, count_operations, make_data
from train_work import recipes_report

from vidgan.precision import MARGIN
from vidgan.training.allocator import keep_large_blocks

COMMITTED = Path(__file__).with_suffix(".json")
MAX_FALL = 0.15  # of a ratio
TURNS = {"mocogan": ("frame", "video", "generator"), "dual_motion": ("frame", "flow", "generator")}
BATCH = {"mocogan": 32, "dual_motion": 4}
QUICK_BATCH = {"mocogan": 4, "dual_motion": 1}
# side, precision, allocator
VARIANTS = (
    ("textbook", "fp32", "usual"),
    ("textbook", "fp32", "kept"),
    ("vidgan", "fp32", "kept"),
    ("vidgan", "bf16", "kept"),
)
Variant = tuple[str, str, str]


def measure(job: Job, variants: Sequence[Variant], rounds: int) -> dict[Variant, list[dict[str, Any]]]:
    """Measurements of each variant by round; the order of the variants rotates by one each round."""
    measured: dict[Variant, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for number in range(rounds):
        for place in range(len(variants)):
            variant = variants[(place + number) % len(variants)]
            side, precision, allocator = variant
            variant_job = job._replace(side=side, precision=precision)
            environment = KEEP_BLOCKS if allocator == "kept" else {}
            measured[variant].append(
                in_fresh_process("train_sides.py", [json.dumps(variant_job._asdict())], environment)
            )
            total = statistics.median(sample["total"] for sample in measured[variant][-1]["samples"])
            print(f"round {number + 1}: {job.model}, {' '.join(variant)}: {total:.2f} s", file=sys.stderr, flush=True)
    return measured


def matrix_peak(precision: str, device: str) -> float:
    """Operations per second of a product of two 4096x4096 matrices, the best of three."""
    side = 4096
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = torch.randn(2, side, side, device=device).to(dtype)
    return 2 * side**3 / min(seconds(lambda: one @ other, 3, device))


def convolution_peak(precision: str, device: str) -> float:
    """Operations per second of a 3x3 convolution of 256 channels: on some processors faster than matrix products."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    maps, weight = (torch.randn(*shape, device=device).to(dtype) for shape in ((32, 256, 64, 64), (256, 256, 3, 3)))
    maps, weight = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (maps, weight))
    operations = 2 * 32 * 256 * 256 * 64 * 64 * 9
    return operations / min(seconds(lambda: torch.nn.functional.conv2d(maps, weight, padding=1), 3, device))


def row(
    model: str, measured: list[dict[str, Any]], operations: float, peaks: dict[str, float], batch: int
) -> dict[str, Any]:
    """Results of one variant; the spread is over the medians of the rounds."""
    samples = [sample for process in measured for sample in process["samples"]]
    by_round = [statistics.median(sample["total"] for sample in process["samples"]) for process in measured]
    median = statistics.median(by_round)

    def part(*names: str) -> float:
        return statistics.median(sum(sample.get(name, 0.0) for name in names) for sample in samples)

    parts = {name: round(part(name), 4) for name in (*TURNS[model], "optimizer", "data")}
    return {
        "seconds": spread(by_round),
        "rounds": by_round,
        "best": min(sample["total"] for sample in samples),
        "clips_per_second": batch / median,
        "gflop": operations / 1e9,
        "gflop_per_second": operations / median / 1e9,
        "share_of_peak": {name: operations / median / peak for name, peak in peaks.items()},
        "peak_gb": max(process["peak_gb"] for process in measured),
        "waiting_for_data": part("data") / median,
        "parts": parts | {"rest": round(median - sum(parts.values()), 4)},
        "page_faults": part("faults"),
        "kernel_seconds": part("kernel seconds"),
    }


def compare(job: Job, variants: Sequence[Variant], rounds: int) -> dict[str, Any]:
    """Results of one model: rows by variant, and our speed relative to the textbook's."""
    measured = measure(job, variants, rounds)
    operations = {side: count_operations(job._replace(side=side)) for side in ("vidgan", "textbook")}
    peaks = {
        precision: {
            "matrix": matrix_peak(precision, job.device),
            "convolution": convolution_peak(precision, job.device),
        }
        for precision in dict.fromkeys(precision for _, precision, _ in variants)
    }
    rows = {
        " ".join(variant): row(
            job.model, measured[variant], sum(operations[variant[0]].values()), peaks[variant[1]], job.batch
        )
        for variant in variants
    }
    faster = {
        f"{' '.join(ours)} / {' '.join(plain)}": ratios(rows[" ".join(plain)]["rounds"], rows[" ".join(ours)]["rounds"])
        for ours in variants
        for plain in variants
        if ours[0] == "vidgan" and plain[0] == "textbook"
    }
    best = {name: rows[plain]["best"] / rows[ours]["best"] for name in faster for ours, plain in [name.split(" / ")]}
    by_turn = {
        side: {name: round(flops / 1e9, 1) for name, flops in turns.items()} for side, turns in operations.items()
    }
    return {"batch": job.batch, "peaks": peaks, "gflop": by_turn, "rows": rows, "faster": faster, "best": best}


def print_tables(model: str, result: dict[str, Any]) -> None:
    """Print the tables of one model."""
    print(f"\n{model}, batch {result['batch']}")
    head = ["", "s an iteration", "clips/s", "GFLOP", "GFLOP/s", "of matrix peak", "of conv peak", "GB", "data"]
    lines = [
        [
            name,
            format_spread(values["seconds"]),
            f"{values['clips_per_second']:.2f}",
            f"{values['gflop']:.0f}",
            f"{values['gflop_per_second']:.0f}",
            f"{values['share_of_peak']['matrix']:.0%}",
            f"{values['share_of_peak']['convolution']:.0%}",
            f"{values['peak_gb']:.2f}",
            f"{values['waiting_for_data']:.2%}",
        ]
        for name, values in result["rows"].items()
    ]
    print(table(head, lines))
    parts = list(next(iter(result["rows"].values()))["parts"])
    print("\n" + table(["seconds by part", *parts, "kernel", "page faults"], [
        [name, *(f"{values['parts'][part]:.3f}" for part in parts), f"{values['kernel_seconds']:.2f}",
         f"{values['page_faults']:,.0f}"]
        for name, values in result["rows"].items()
    ]))  # fmt: skip
    lines = [[name, format_spread(values), f"{result['best'][name]:.2f}"] for name, values in result["faster"].items()]
    print("\n" + table(["times faster", "median (low-high)", "by the fastest iterations"], lines))


def fallen(measured: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """One line for each committed ratio that is missing or has fallen by more than `MAX_FALL`.

    Ratios are of the fastest iterations: other work on the machine can only add time.
    """
    lines = []
    for model, result in committed.items():
        for name, before in result["best"].items():
            now = measured.get(model, {}).get("best", {}).get(name)
            if now is None or now < (1 - MAX_FALL) * before:
                lines.append(
                    f"{model}, {name}: {before:.2f} committed, {'nothing' if now is None else f'{now:.2f}'} now"
                )
    return lines


def slower_choices(measured: dict[str, Any]) -> list[str]:
    """One line for each setting, the textbook with kept blocks included, that beats the precision `auto` by 5 %."""
    lines = []
    for model, result in measured.items():
        chosen = f"vidgan {result['chosen']} kept"
        for name, values in result["rows"].items():
            if values["best"] * MARGIN < result["rows"][chosen]["best"]:
                lines.append(
                    f"{model}: train.precision=auto takes {result['rows'][chosen]['best']:.2f} s ({chosen}),"
                    f" {name} {values['best']:.2f} s"
                )
    return lines


def check(measured: dict[str, Any], here: dict[str, Any]) -> int:
    """Exit code: 0 if no ratio fell and each choice is the fastest, else 1; 2 for ratios of another kind of machine."""
    committed = json.loads(COMMITTED.read_text())
    there = committed["machine"]
    keys = ("capability", "bf16", "gpu", "threads")
    if any(there[key] != here[key] for key in keys):
        differing = ", ".join(f"{key} {there[key]} there, {here[key]} here" for key in keys if there[key] != here[key])
        print(f"the committed ratios are from another machine ({differing}); replace them with --check --commit")
        return 2
    before = {model: committed["models"][model] for model in measured}  # --model may exclude one
    lines = [*fallen(measured, before), *slower_choices(measured)]
    print("\n".join(lines) or f"no ratio fell by more than {MAX_FALL:.0%}; each automatic precision is the fastest")
    return int(bool(lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=BATCH, default=list(BATCH))
    parser.add_argument("--quick", action="store_true", help="small batches, two variants, one round: a minute")
    parser.add_argument("--rounds", type=int, help="default 3, or 1 with --quick")
    parser.add_argument(
        "--iterations", type=int, help="per process, after one that is not counted; default 2, or 4 with --check"
    )
    parser.add_argument("--batch", type=int, help="clips per batch; default 32 for mocogan, 4 for dual_motion")
    parser.add_argument("--allocator", nargs="+", choices=("usual", "kept"), help="default: both, or kept with --quick")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--change", nargs="+", default=[], metavar="a.b=c", help="changes of the package's config")
    parser.add_argument("--check", action="store_true", help="compare ratios at small batches with the committed ones")
    parser.add_argument("--commit", action="store_true", help="with --check: write the ratios instead")
    parser.add_argument(
        "--recipes", action="store_true", help="cost of the shipped recipes instead; with --quick without timing"
    )
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    args = parser.parse_args(argv)
    if args.commit and not args.check:
        parser.error("--commit needs --check")
    report: dict[str, Any] = {"machine": machine()}
    if args.recipes:
        keep_large_blocks()  # as `vidgan train` does
        report |= recipes_report(args.rounds or 3, timed=not args.quick)
        save(args.json, report)
        return 0
    small = args.quick or args.check
    rounds = args.rounds or (1 if args.quick else 3)
    allocators = args.allocator or (["kept"] if small else ["usual", "kept"])
    variants = [variant for variant in VARIANTS if variant[0] == "vidgan" or variant[2] in allocators]
    iterations = args.iterations or (4 if args.check else 2)
    if args.quick:  # the textbook side and the fastest variant, two processes per model
        variants, iterations = [variants[0], variants[-1]], 1
    report["models"] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for model in args.model:
            batch = args.batch or (QUICK_BATCH if small else BATCH)[model]
            make_data(Path(scratch) / model, model, clips=max(batch, 6))
            job = Job(
                side="", model=model, precision="fp32", batch=batch, iterations=iterations, device=args.device,
                data=str(Path(scratch) / model / "data"), changes=tuple(args.change),
            )  # fmt: skip
            report["models"][model] = compare(job, variants, rounds) | {"chosen": chosen_precision(job)}
            print_tables(model, report["models"][model])
    save(args.json, report)
    if args.commit:
        save(COMMITTED, report)
    return check(report["models"], report["machine"]) if args.check and not args.commit else 0


if __name__ == "__main__":
    sys.exit(main())
