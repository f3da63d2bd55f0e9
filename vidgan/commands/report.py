"""`vidgan report`: one self-contained HTML page about a run."""

from collections.abc import Sequence
from pathlib import Path

from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.report import run_sections, write_report
from vidgan.report.cases import Cases
from vidgan.runs import run_config
from vidgan.training.diagnostics import TrainingWarning, diagnose
from vidgan.training.journal import read_journal

PAGE = "report.html"


def report(run: Path, *, data: Sequence[Path] = ()) -> Path:
    """Write `report.html` into the run and return its path.

    Args:
        data: prepared data that the run was scored on, in addition to its own; the page shows windows from them.

    Raises:
        ConfigError: `run` is not a training run, or no result was scored on one of `data`.
        DataError: `data` holds no prepared data.
    """
    run_config(run)
    for folder in data:
        load_index(folder)
    cases = Cases(run, data=data)
    cases.animations()
    if unused := [str(folder) for folder in data if folder not in cases.used]:
        raise ConfigError(f"--data {', '.join(unused)} has no effect, because no result of {run} was scored on it")
    return write_run_report(run, cases, journal_warnings(run))


def write_run_report(
    run: Path,
    cases: Cases,
    training_warnings: Sequence[TrainingWarning],
    *,
    status: str = "",
    refresh: float | None = None,
) -> Path:
    """Write the page.

    Args:
        training_warnings: faults of the training to list.
        status: progress of the training, for the subtitle.
        refresh: seconds after which a browser reloads the page; None: never.
    """
    config = run_config(run)
    sections = run_sections(run, warnings=training_warnings, cases=cases.animations())
    subtitle = ": ".join([config.task, *([status] if status else [])])
    return write_report(run / PAGE, title=config.name, subtitle=subtitle, sections=sections, refresh=refresh)


def journal_warnings(run: Path) -> list[TrainingWarning]:
    """Faults that the journal shows; a damaged journal is itself one."""
    try:
        return diagnose(read_journal(run))
    except ValueError as error:
        return [TrainingWarning("damaged_journal", 0, f"{error}. Only the readable lines are shown.")]
