"""`vidgan report`: one self-contained page of a run."""

from pathlib import Path

from vidgan.report import run_sections, write_report
from vidgan.training.diagnostics import warnings
from vidgan.verbs.runs import read_journal, run_config


def report(run: Path) -> Path:
    """Write `report.html` into the run and return its path.

    Raises:
        ConfigError: `run` is no training run.
    """
    config = run_config(run)
    sections = run_sections(run, warnings=warnings(read_journal(run)))
    return write_report(run / "report.html", title=config.name, subtitle=config.model["name"], sections=sections)
