"""Results of an evaluation per source video: an overall mean hides differences between videos.

    python tools/by_source.py RESULT.json --rows "fused P" "constant-velocity warp" copy-last --out table.json

Reads the single measurements of a result (`RESULT.rows.npz`). Means are over the windows and steps of a source, without
frames that are identical to the truth (their PSNR is infinite). Writes a table for results_tables.py.
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
    parser.add_argument("result", type=Path, help="a result file, of --out or in scores/ of a run")
    parser.add_argument("--metric", default="psnr")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="forecasters; default: all")
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    rows = load_rows(rows_path(options.result))
    names = options.rows or list(rows.values)
    for name in names:
        if options.metric not in rows.values.get(name, {}):
            known = [f"{row} ({', '.join(metrics)})" for row, metrics in rows.values.items()]
            raise SystemExit(f"{options.result}: no {options.metric} of {name!r}; accepted are: {'; '.join(known)}")
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
    """One row per source, sorted by name: the source, its number of windows, and the mean of each forecaster."""
    sources = np.array(rows.sources)
    lines: list[list[str | int | float | None]] = []
    for source in np.unique(sources):
        selected = sources == source
        values = [rows.values[name][metric][selected] for name in names]
        finite = [part[np.isfinite(part)] for part in values]
        number = int(selected.sum())
        lines.append([str(source), number, *(round(float(part.mean()), 4) if part.size else None for part in finite)])
    return lines


if __name__ == "__main__":
    sys.exit(main())
