"""`vidgan evaluate --table`: earlier results read back and set side by side."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidgan.errors import ConfigError
from vidgan.evaluation.comparison import Comparable, Comparison, Entry, compare
from vidgan.evaluation.protocols import PROTOCOLS
from vidgan.evaluation.results import FolderScores, ForecastScores, LongerScores, SynthesisScores
from vidgan.evaluation.rows import load_rows, rows_path
from vidgan.evaluation.tables import FORMATS, comparison_tables, facts

KINDS: dict[str, type[ForecastScores] | type[SynthesisScores] | type[LongerScores] | type[FolderScores]] = {
    kind.kind: kind for kind in (ForecastScores, SynthesisScores, LongerScores, FolderScores)
}


def compare_results(
    paths: Sequence[Path], *, protocol: str | None, published: bool, form: str | None, seed: int = 0
) -> str:
    """The table of several results, as text.

    Args:
        paths: result files (written with --out, or from a run's `scores/`), or runs with one result (of `protocol`).
        published: add the quoted rows of the protocol.
        form: a key of `FORMATS`; default: text.

    Raises:
        ConfigError, ValueError: no result there, or results that do not belong in one table.
    """
    entries = [_entry(_result_file(path, protocol), path) for path in paths]
    name = entries[0].result.protocol
    preset = PROTOCOLS.get(name)
    if published and preset is None:
        raise ConfigError(f"--published: nothing is published under the protocol {name}")
    comparison: Comparison = compare(entries, published=preset if published else None, seed=seed)
    return FORMATS[form or "text"](comparison_tables(comparison, facts(entries[0].result)))


def _result_file(path: Path, protocol: str | None) -> Path:
    if path.is_file():
        return path
    found = sorted((path / "scores").glob("*.json"))
    if protocol is not None:
        matching = [file for file in found if file.stem.startswith(f"{protocol}-")]
        found = [file for file in found if file.stem == protocol] or matching
    if not found:
        wanted = f" of protocol {protocol}" if protocol else ""
        raise ConfigError(f"{path}: neither a result file nor a run with a result{wanted}; run `vidgan evaluate` on it")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ConfigError(f"{path}: has several results ({names}); name a file, or --protocol")
    return found[0]


def read_result(file: Path) -> Comparable:
    """What `vidgan evaluate` wrote with --out or into a run's `scores/`, without the single measurements.

    Raises:
        ConfigError: it holds no result, or one of another version.
    """
    try:
        content = json.loads(file.read_text())
        content = content.get("result", content)
        kind = KINDS[content["kind"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{file}: no result of `vidgan evaluate` ({error})") from error
    try:
        return kind.from_json(json.dumps(content))
    except ValueError as error:
        raise ConfigError(f"{file}: {error}; evaluate again with this version") from error


def _entry(file: Path, given: Path) -> Entry:
    """A result with its measurements; named by the run or by the file."""
    result = read_result(file)
    if isinstance(result, ForecastScores | FolderScores):
        result = replace(result, rows=load_rows(rows_path(file)))
    name = given.name if given.is_dir() else file.stem
    if file.parent.name == "scores" and not given.is_dir():
        name = f"{file.parent.parent.name}/{file.stem}"
    return Entry(name, result)
