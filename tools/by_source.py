"""What an evaluation found for each source video: a mean hides that a model wins on one and loses on another.

    python tools/by_source.py RESULT.json --rows "fused P" "constant-velocity warp" copy-last --out table.json

Reads the measurements that `vidgan evaluate` keeps beside a result (`RESULT.rows.npz`). Means are over the windows and
steps of a source, without those that are identical to the truth (their PSNR is infinite). Writes a table for
results_tables.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidgan.evaluation.rows import Rows, load_rows, rows_path
from vidgan.files import check_overwrite, write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="what `vidgan evaluate --out` or a run's scores/ holds")
    parser.add_argument("--metric", default="psnr")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="what was scored; default: all")
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    rows = load_rows(rows_path(options.result))
    names = options.rows or list(rows.values)
    for name in names:
        if options.metric not in rows.values.get(name, {}):
            known = [f"{name} ({', '.join(metrics)})" for name, metrics in rows.values.items()]
            raise SystemExit(f"{options.result}: no {options.metric} of {name!r}; there are: {'; '.join(known)}")
    table = {
        "kind": "table",
        "title": f"{options.metric} by source video",
        "columns": ["source", "windows", *names],
        "rows": means(rows, options.metric, names),
        "notes": [f"made by `python tools/{Path(__file__).name}`"],
    }
    print(json.dumps(table, indent=1))
    if options.out:
        write_text(options.out, json.dumps(table, indent=1) + "\n")
    return 0


def means(rows: Rows, metric: str, names: Sequence[str]) -> list[list[str | int | float | None]]:
    """A row for each source, by name: it, how many windows it has, and the mean of each name."""
    sources = np.array(rows.sources)
    found: list[list[str | int | float | None]] = []
    for source in np.unique(sources):
        its = sources == source
        values = [rows.values[name][metric][its] for name in names]
        kept = [part[np.isfinite(part)] for part in values]
        found.append([str(source), int(its.sum()), *(round(float(k.mean()), 4) if k.size else None for k in kept)])
    return found


if __name__ == "__main__":
    sys.exit(main())
