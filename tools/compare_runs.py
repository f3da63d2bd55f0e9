"""Compare two training runs bit for bit: their journals, and the newest checkpoint of a step that both have saved.

    python tools/compare_runs.py runs/one runs/other [--rename OLD=NEW ...]

Timings, speed and memory are ignored. --rename replaces the prefix OLD of tensor names of the first run by NEW, for
runs of two versions that name parts of a network differently: OLD and NEW are prefixes of keys ("main.0." of
"main.0.weight"), in all files or, written as FILE/PREFIX, in one ("frame/main.0."). The longest OLD that matches
applies; OLD may be empty.

Exit codes: 0 for equal runs, 1 for a difference (the first ones are printed), 2 for a usage error.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vidgan.training.checkpoint import load_checkpoint
from vidgan.training.run_comparison import is_identical, journal_differences

MAX_PRINTED = 10


def checkpoint_differences(one: Path, other: Path, renames: Mapping[str, str] = {}) -> list[str]:
    """List the tensors that differ in the newest checkpoint that both runs have.

    Args:
        one: first run directory.
        other: second run directory.
        renames: prefix of the first run's tensor names -> prefix in the second run.
    """
    names = [{p.name for p in (run / "checkpoints").glob("step-*")} for run in (one, other)]
    common = sorted(names[0] & names[1])
    if not common:
        return ["the runs have no checkpoint of the same step"]
    first, second = (load_checkpoint(run / "checkpoints" / common[-1]).tensors for run in (one, other))
    differences = [f"{common[-1]}: only one run has {name}" for name in sorted(first.keys() ^ second.keys())]
    for name in sorted(first.keys() & second.keys()):
        renamed = {rename(name, key, renames): tensor for key, tensor in first[name].items()}
        if len(renamed) < len(first[name]):
            differences.append(f"{common[-1]}: {name}: --rename gives several tensors the same name")
        for key in sorted(renamed.keys() | second[name].keys()):
            a, b = renamed.get(key), second[name].get(key)
            if a is None or b is None:
                differences.append(f"{common[-1]}: {name}: only the {'second' if a is None else 'first'} run has {key}")
            elif not is_identical(a, b):
                differences.append(f"{common[-1]}: {name}: {key}")
    return differences


def rename(file: str, key: str, renames: Mapping[str, str]) -> str:
    """Replace the longest prefix in `renames` that matches the tensor `key` of the checkpoint file `file`."""
    for old in sorted(renames, key=len, reverse=True):
        new = renames[old].removeprefix(f"{file}/")
        prefix = old.removeprefix(f"{file}/")
        if key.startswith(prefix):
            return new + key.removeprefix(prefix)
    return key


def parse_rename(text: str) -> tuple[str, str]:
    """Parse `OLD=NEW`."""
    old, separator, new = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}: expected OLD=NEW")
    return old, new


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument(
        "--rename", type=parse_rename, action="append", default=[], metavar="OLD=NEW",
        help="prefix of tensor names in the first run, and its name in the second; repeatable",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    differences = journal_differences(options.one, options.other)
    differences += checkpoint_differences(options.one, options.other, dict(options.rename))
    for line in differences[:MAX_PRINTED]:
        print(line)
    print("equal" if not differences else f"{len(differences)} differences")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
