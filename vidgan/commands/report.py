"""`vidgan report`: one self-contained page of a run."""

from collections.abc import Sequence
from pathlib import Path

from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.report import run_sections, write_report
from vidgan.report.cases import Cases
from vidgan.runs import run_config
from vidgan.training.diagnostics import TrainingWarning, diagnose
from vidgan.training.journal import read_journal

NAME = "report.html"


def report(run: Path, *, data: Sequence[Path] = ()) -> Path:
    """Write `report.html` into the run and return its path.

    Args:
        data: prepared data that the run was scored on, beside its own; the windows that the report shows are in it.

    Raises:
        ConfigError: `run` is no training run, or no result was scored on one of `data`.
        DataError: `data` holds no prepared data.
    """
    run_config(run)
    for folder in data:
        load_index(folder)
    cases = Cases(run, data=data)
    cases.animations()
    if idle := [str(folder) for folder in data if folder not in cases.used]:
        raise ConfigError(f"--data {', '.join(idle)} has no effect: no result of {run} was scored on it")
    return write_run_report(run, cases, found_warnings(run))


def write_run_report(
    run: Path, cases: Cases, found: Sequence[TrainingWarning], *, status: str = "", refresh: float | None = None
) -> Path:
    """The page.

    Args:
        found: what is wrong with the training.
        status: how far it is.
        refresh: seconds after which a browser loads the page again.
    """
    config = run_config(run)
    sections = run_sections(run, warnings=found, cases=cases.animations())
    subtitle = ": ".join([config.model["name"], *([status] if status else [])])
    return write_report(run / NAME, title=config.name, subtitle=subtitle, sections=sections, refresh=refresh)


def found_warnings(run: Path) -> list[TrainingWarning]:
    """What the journal shows to be wrong; a damaged journal is itself such a thing."""
    try:
        return diagnose(read_journal(run))
    except ValueError as error:
        return [TrainingWarning("damaged_journal", 0, f"{error}. Only the lines that can be read are shown.")]
