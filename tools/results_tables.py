"""Generate the tables of docs/results.md and docs/lab_notebook.md from the result files in docs/results.

    python tools/results_tables.py                   update the tables of both pages
    python tools/results_tables.py --check           fail if a page differs from the files
    python tools/results_tables.py --add RESULT NAME add a result as docs/results/NAME.json

A table of the page is enclosed by two marks, which name its files relative to the repository and select from them:

    <!-- table: docs/results/kitti-1.json rows="fused P,copy-last" columns=psnr,ssim -->
    <!-- end -->

- one result of `vidgan evaluate` or `vidgan compare`: one row per forecaster or set. `rows` selects and orders them,
  `name:label` renames one; `columns` does the same with metrics, and `psnr@3` is the third forecast frame alone.
- several results, each `"LABEL=FILE"`: their columns side by side, headed by the labels (next frame, 5 frames). With
  `each=row` one row per file (runs of a study): the forecaster that `rows` selects; `below` appends baselines of the
  last file.
- a file with `"kind": "table"`: its `title` (optional), `columns`, `rows` and `notes` unchanged.
- a file with `"kind": "summary"`: one row per measurement of its `section`, with the values that other files hold.
  `show=made` gives how each row was made instead: config, steps, seeds, hardware, commands. `summary_table` describes
  its keys.

`title=no` omits the line above the table, `notes=no` the notes below it, `intervals=no` the intervals.

RESULT is a file of `--out`, or a table. --add removes parts that no page shows (single cases, paired differences,
windows by difficulty) and shortens paths to what is meaningful on another machine: from the last folder named runs or
data on, or the name alone. The command in a result file is quoted as it was run, even if its options changed since.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidgan.evaluation.comparison import Line
from vidgan.evaluation.results import AnyResult, ForecastScores, Score, SynthesisScores, read_result
from vidgan.evaluation.sensitivity import sensitivity_marks
from vidgan.evaluation.tables import Table, as_markdown, describe_result
from vidgan.files import write_text
from vidgan.metrics.statistics import Estimate

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs" / "results.md", ROOT / "docs" / "lab_notebook.md", ROOT / "docs" / "guide_captions.md"]
RESULTS = ROOT / "docs" / "results"
BLOCK = re.compile(r"^<!-- table: (?P<asked>[^\n]*?) -->\n(?P<table>.*?)^<!-- end -->$", re.DOTALL | re.MULTILINE)
OPTIONS = {"rows", "columns", "each", "below", "title", "notes", "intervals", "section", "show"}
KEPT_FOLDERS = ("runs", "data")
UNSHOWN: dict[str, Any] = {"differences": {}, "bins": {}, "cases": []}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is not up to date")
    parser.add_argument("--add", nargs=2, metavar=("RESULT", "NAME"), help="add a result file")
    parser.add_argument("--page", type=Path, action="append", help="instead of both pages; repeatable")
    options = parser.parse_args(arguments)
    pages: list[Path] = options.page or PAGES
    try:
        if options.add:
            print(add(Path(options.add[0]), options.add[1]))
            return 0
        old = {page: page.read_text() for page in pages}
        new = {page: filled(text, ROOT) for page, text in old.items()}
    except (OSError, ValueError) as error:
        print(f"results_tables: {error}", file=sys.stderr)
        return 2
    changed = [page for page in pages if new[page] != old[page]]
    if options.check and changed:
        names = ", ".join(map(str, changed))
        print(f"{names}: differs from the result files; run python tools/results_tables.py", file=sys.stderr)
        return 1
    for page in changed:
        write_text(page, new[page])
    return 0


def filled(page: str, root: Path) -> str:
    """The page with all tables generated from files below `root`.

    Raises:
        ValueError: a mark without its end, or one that selects something missing; the message quotes it.
    """
    if page.count("<!-- table:") != len(BLOCK.findall(page)):
        raise ValueError("a `<!-- table: ... -->` has no `<!-- end -->` line, or is not on a line of its own")

    def regenerate(block: re.Match[str]) -> str:
        try:
            table = table_text(block["asked"], root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"<!-- table: {block['asked']} -->: {error}") from error
        return f"<!-- table: {block['asked']} -->\n{table}\n<!-- end -->"

    return BLOCK.sub(regenerate, page)


def table_text(asked: str, root: Path) -> str:
    """The Markdown table of a mark."""
    words = [word.partition("=") for word in shlex.split(asked)]
    options = {key: value for key, _, value in words if key in OPTIONS}
    named = [(key, value) if equals else ("", key) for key, equals, value in words if key not in OPTIONS]
    files = {label: root / file for label, file in named}
    if not files or len(files) < len(named) or (len(files) > 1 and "" in files):
        raise ValueError('give one FILE, or several as "LABEL=FILE"; options are ' + ", ".join(sorted(OPTIONS)))
    first, *others = files.values()
    content = {} if others else json.loads(first.read_text())
    if content.get("kind") == "summary":
        return summary_table(content, first.parent, options)
    if content.get("kind") == "table":
        table = plain_table(content, options)
    else:
        results = {label: read_result(file) for label, file in files.items()}
        table = stacked(results, options) if options.get("each") == "row" else side_by_side(results, options)
    return trimmed(table, options)


def trimmed(text: str, options: Mapping[str, str]) -> str:
    """The table without its title or notes, if the mark omits them."""
    title, table, *notes = text.split("\n\n")
    parts = [*([] if options.get("title") == "no" or not title else [title]), table]
    return "\n\n".join([*parts, *([] if options.get("notes") == "no" else notes)])


def chosen(asked: str | None, known: Sequence[str]) -> dict[str, str]:
    """name -> label, of `a,b:label`, where a name may contain commas; None: all known names."""
    if asked is None:
        return {name: name for name in known}
    labels, rest = {}, ""
    for piece in asked.split(","):
        rest = f"{rest},{piece}" if rest else piece
        name, _, label = rest.strip().partition(":")
        if name.split("@")[0] in known:
            labels[name] = label or name
            rest = ""
    if rest:
        raise ValueError(f"{rest} is unknown; accepted: {', '.join(known)}")
    return labels


def metrics_of(result: AnyResult) -> list[str]:
    """All metrics of a result, in order."""
    return list(dict.fromkeys(metric for table in result.scores.values() for metric in table))


def estimate(scores: Mapping[str, Score], column: str, *, intervals: bool) -> Estimate | None:
    """The value of `metric` or `metric@step`; None if it was not measured."""
    metric, _, step = column.partition("@")
    if metric not in scores:
        return None
    curve = scores[metric].horizon
    if step and not 1 <= int(step) <= len(curve):
        raise ValueError(f"{column}: the horizon has {len(curve)} frames")
    value = curve[int(step) - 1] if step else scores[metric].mean
    return value if intervals else replace(value, low=None, high=None)


def below(results: Mapping[str, AnyResult]) -> list[str]:
    """The notes of the results, and the command that made each."""
    notes = list(dict.fromkeys(note for result in results.values() for note in result.notes))
    for label, result in results.items():
        if command := result.provenance.get("command"):
            step = f", step {result.provenance['step']}" if result.provenance.get("step") else ""
            notes.append(f"{label or 'made by'}: `{shlex.join(command)}`{step}")
    return notes


def marks(result: AnyResult, column: str) -> str:
    """The signs of a measure of sets that failed the tests of docs/sensitivity.md."""
    return sensitivity_marks(column.split("@")[0]) if isinstance(result, SynthesisScores) else ""


def side_by_side(results: Mapping[str, AnyResult], options: Mapping[str, str]) -> str:
    """One row per forecaster or set, with the columns of all results."""
    with_intervals = options.get("intervals") != "no"
    first = next(iter(results.values()))
    rows = chosen(options.get("rows"), list(first.scores))
    lines = {name: Line(label, {}) for name, label in rows.items()}
    better: dict[str, str] = {}
    for label, result in results.items():
        for column, column_label in chosen(options.get("columns"), metrics_of(result)).items():
            head = f"{label} {column_label}{marks(result, column)}".strip()
            better[head] = result.better.get(column.split("@")[0], "")
            for name, line in lines.items():
                value = estimate(result.scores.get(name, {}), column, intervals=with_intervals)
                if value is not None:
                    line.values[head] = value
    title = "\n".join(
        f"{label}: {describe_result(result)}" if label else describe_result(result) for label, result in results.items()
    )
    return as_markdown([Table(title, list(better), better, list(lines.values()), below(results))])


def stacked(results: Mapping[str, AnyResult], options: Mapping[str, str]) -> str:
    """One row per result: the forecaster that `rows` selects, or its subject; then baselines of the last result."""
    with_intervals = options.get("intervals") != "no"
    first, last = next(iter(results.values())), list(results.values())[-1]
    columns = {
        column: head + marks(first, column)
        for column, head in chosen(options.get("columns"), metrics_of(first)).items()
    }
    wanted = options.get("rows") or (first.subject if isinstance(first, ForecastScores) else next(iter(first.scores)))
    baselines = chosen(options["below"], list(last.scores)) if "below" in options else {}
    sources = [(label, results[label].scores, wanted) for label in results]
    sources += [(label, last.scores, name) for name, label in baselines.items()]
    lines = []
    for label, scores, name in sources:
        values = {head: estimate(scores[name], column, intervals=with_intervals) for column, head in columns.items()}
        lines.append(Line(label, {head: value for head, value in values.items() if value is not None}))
    better = {head: first.better.get(column.split("@")[0], "") for column, head in columns.items()}
    if len(descriptions := {describe_result(result) for result in results.values()}) > 1:
        raise ValueError(f"the results have different conditions: {'; '.join(sorted(descriptions))}")
    return as_markdown([Table(describe_result(first), list(better), better, lines, below(results))])


def plain_table(content: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """The Markdown of a file that holds a table: numbers are rounded, text is unchanged."""
    columns = chosen(options.get("columns"), content["columns"][1:])
    rows = chosen(options.get("rows"), [row[0] for row in content["rows"]])
    cells = {row[0]: dict(zip(content["columns"], row, strict=True)) for row in content["rows"]}
    header = [content["columns"][0], *columns.values()]
    lines = [header, ["---"] * len(header)]
    lines += [[label, *(cell(cells[name][column]) for column in columns)] for name, label in rows.items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- {note}" for note in content.get("notes", []))
    return "\n\n".join([content.get("title", ""), table, *([notes] if notes else [])])


def summary_table(content: Mapping[str, Any], folder: Path, options: Mapping[str, str]) -> str:
    """One row per measurement, or with `show=made` how it was made, and below the table the commands.

    A measurement has `id` and `measured` (text), `file` (a result in `folder`, without suffix), `row` (its forecaster
    or set), `metrics`, `beside` (label -> row of the same file, or FILE#ROW), `config`, `seeds`, `hardware`, and
    `train`, the command of the training (may be empty). With `over`, values are divided by those of that row.
    """
    rows = [row for row in content["rows"] if options.get("section") in (None, row["section"])]
    if not rows:
        raise ValueError(f"no row has the section {options.get('section')}")
    commands: list[str] = []
    if options.get("show") == "made":
        lines = [["row", "config", "steps", "seeds", "hardware and training time"], ["---"] * 5]
        for row in rows:
            made = read_result(folder / f"{row['file']}.json").provenance
            seeds = str(row["seeds"])
            lines.append([row["id"], f"`{row['config']}`", str(made["step"]), seeds, row["hardware"]])
            trained = [row["train"]] if row["train"] else []
            commands += [f"# {row['id']}", *trained, shlex.join(made["command"])]
    else:
        lines = [["row", "measured, on held-out data", "vidgan", "compared with"], ["---"] * 4]
        for row in rows:
            named = {label: place.rpartition("#") for label, place in row["beside"].items()}
            texts = [
                f"{label} {summary_values(row, folder, name, file or row['file'])}"
                for label, (file, _, name) in named.items()
            ]
            ours = summary_values(row, folder, row["row"], row["file"])
            lines.append([row["id"], row["measured"], ours, "; ".join(texts)])
    listing = ["", "```sh", *commands, "```"] if commands else []
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *listing])


def summary_values(row: Mapping[str, Any], folder: Path, name: str, file: str) -> str:
    """The metrics of one row of a result, `25.09 / 0.833`; metrics that the file does not hold are left out."""
    scores = read_result(folder / f"{file}.json").scores
    values = []
    for metric in row["metrics"]:
        value = estimate(scores[name], metric, intervals=False)
        if value is not None:
            floor = estimate(scores[row["over"]], metric, intervals=False) if row.get("over") else None
            values.append(f"{value.mean / floor.mean:.1f}" if floor else cell(value.mean))
    return " / ".join(values)


def cell(value: float | str | None) -> str:
    """A number with its significant digits; text unchanged."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def add(result: Path, name: str) -> Path:
    """Add a result as docs/results/NAME.json; an earlier result of that name is replaced.

    Raises:
        ValueError: the file is neither a result nor a table.
    """
    content = json.loads(result.read_text())
    content = content.get("result", content)
    if content.get("kind") != "table":
        read_result(result)  # raises an error if the file is not a result
        content |= {key: empty for key, empty in UNSHOWN.items() if key in content}
    path = RESULTS / f"{name}.json"
    write_text(path, json.dumps(portable(content), ensure_ascii=False, separators=(",", ":")) + "\n")
    return path


def portable(value: Any) -> Any:
    """The same JSON value with shortened absolute paths."""
    if isinstance(value, dict):
        return {key: portable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [portable(entry) for entry in value]
    return re.sub(r"(?<![\w.])/[\w.~*-]+(/[\w.~*-]+)+", _shortened, value) if isinstance(value, str) else value


def _shortened(path: re.Match[str]) -> str:
    parts = path[0].split("/")
    known = [number for number, part in enumerate(parts) if part in KEPT_FOLDERS]
    return "/".join(parts[known[-1] :]) if known else parts[-1]


if __name__ == "__main__":
    sys.exit(main())
