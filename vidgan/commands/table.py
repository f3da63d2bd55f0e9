"""`vidgan table`: compare earlier results in one table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidgan.errors import ConfigError
from vidgan.evaluation.comparison import Entry, compare_results
from vidgan.evaluation.output import check_format
from vidgan.evaluation.protocols import PROTOCOLS
from vidgan.evaluation.results import WINDOWED, read_result
from vidgan.evaluation.rows import load_rows, rows_path
from vidgan.evaluation.tables import FORMATS, comparison_tables, describe_result


def table(
    results: Sequence[Path | str],
    *,
    protocol: str | None = None,
    published: bool = False,
    format: str = "text",
    seed: int = 0,
) -> str:
    """Compare several results in one table, with paired differences on the same windows.

    Args:
        results: result files (written with --out, or in `scores/` of a run), or runs with one result (of `protocol`).
        protocol: selects a result of each run.
        published: append the published rows of the protocol.
        format: "text", "markdown", "latex" or "csv".
        seed: of the bootstrap of the differences.

    Returns:
        The table as text.

    Raises:
        ConfigError, ValueError: a path without result, or results that were measured under different conditions.
    """
    check_format(format)
    if not results:
        raise ConfigError("give result files, or runs with a result")
    paths = [Path(path) for path in results]
    entries = [_load_entry(_result_file(path, protocol), path) for path in paths]
    name = entries[0].result.protocol
    preset = PROTOCOLS.get(name)
    if published and preset is None:
        raise ConfigError(f"--published: no rows are published for the protocol {name}")
    comparison = compare_results(entries, published=preset if published else None, seed=seed)
    return FORMATS[format](comparison_tables(comparison, describe_result(entries[0].result)))


def _result_file(path: Path, protocol: str | None) -> Path:
    if path.is_file():
        return path
    files = sorted((path / "scores").glob("*.json"))
    if protocol is not None:
        with_options = [file for file in files if file.stem.startswith(f"{protocol}-")]
        files = [file for file in files if file.stem == protocol] or with_options
    if not files:
        wanted = f" of protocol {protocol}" if protocol else ""
        raise ConfigError(f"{path}: neither a result file nor a run with a result{wanted}; run `vidgan evaluate` first")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ConfigError(f"{path}: has several results ({names}); give a file, or --protocol")
    return files[0]


def _load_entry(file: Path, path: Path) -> Entry:
    """A result with its measurements, labelled with the run or the file name."""
    result = read_result(file)
    if isinstance(result, WINDOWED):
        result = replace(result, rows=load_rows(rows_path(file)))
    label = path.name if path.is_dir() else file.stem
    if file.parent.name == "scores" and not path.is_dir():
        label = f"{file.parent.parent.name}/{file.stem}"
    return Entry(label, result)
