"""Are two training runs the same, number for number? Compares journals and the checkpoints of their last common step.

    python tools/compare_runs.py runs/one runs/other

Exit code 0: equal (timings aside). 1: the first differences are printed.
"""

import argparse
import sys
from pathlib import Path

import torch

from vidgan.training.checkpoint import load_checkpoint
from vidgan.training.journal import measurements, read

SHOWN = 10


def journal_differences(one: Path, other: Path) -> list[str]:
    """`step N: key: a | b` for every measurement that differs, and every line that one lacks, up to the last step of
    the shorter one."""
    journals = []
    for run in (one, other):
        steps: dict[int, list[dict[str, object]]] = {}
        for record in measurements(read(run / "journal.jsonl")):
            steps.setdefault(record["step"], []).append(record)
        journals.append(steps)
    first, second = journals
    common = min(max(first, default=0), max(second, default=0))
    differences = []
    for step in sorted(set(first) | set(second)):
        if step > common:
            break
        lines = first.get(step, []), second.get(step, [])
        if len(lines[0]) != len(lines[1]):
            differences.append(f"step {step}: {len(lines[0])} lines | {len(lines[1])} lines")
        for a, b in zip(*lines, strict=False):
            differences += [f"step {step}: {key}: {a.get(key)} | {b.get(key)}" for key in sorted(a.keys() | b.keys())
                            if a.get(key) != b.get(key)]  # fmt: skip
    return differences


def checkpoint_differences(one: Path, other: Path) -> list[str]:
    """Tensors that differ in the newest checkpoint that both runs hold."""
    names = [{p.name for p in (run / "checkpoints").glob("step-*")} for run in (one, other)]
    common = sorted(names[0] & names[1])
    if not common:
        return ["the runs have no checkpoint of the same step"]
    first, second = (load_checkpoint(run / "checkpoints" / common[-1]).tensors for run in (one, other))
    differences = [f"{common[-1]}: only one run has {name}" for name in sorted(first.keys() ^ second.keys())]
    for name in sorted(first.keys() & second.keys()):
        for key in sorted(first[name].keys() | second[name].keys()):
            a, b = first[name].get(key), second[name].get(key)
            if a is None or b is None or not torch.equal(a, b):
                differences.append(f"{common[-1]}: {name}: {key}")
    return differences


def main() -> int:
    """Compare and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    options = parser.parse_args()
    differences = journal_differences(options.one, options.other) + checkpoint_differences(options.one, options.other)
    for line in differences[:SHOWN]:
        print(line)
    print("equal" if not differences else f"{len(differences)} differences")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
