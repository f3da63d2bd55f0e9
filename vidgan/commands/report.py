"""`vidgan report`: one self-contained HTML page about a run, or about one result."""

from collections.abc import Sequence
from pathlib import Path

from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.requests import EvaluationRequest
from vidgan.evaluation.results import read_result
from vidgan.evaluation.tables import score_document
from vidgan.report import Block, Section, Text, run_sections, score_blocks, write_report
from vidgan.report.cases import MISSING, Cases, has_animations, result_animations
from vidgan.runs import run_config
from vidgan.training.diagnostics import TrainingWarning, diagnose
from vidgan.training.journal import read_journal

PAGE = "report.html"


def report(run: Path, *, data: Sequence[Path] = ()) -> Path:
    """Write `report.html` into a run, or `RESULT.html` beside a result file, and return its path.

    Args:
        run: a training run, or the file of a result that `--out` wrote.
        data: prepared data that the run was scored on, in addition to its own; the page shows windows from them. Of a
            result, the data that it was scored on, if they were moved.

    Raises:
        ConfigError: `run` is neither, or no result was scored on one of `data`.
        DataError: `data` holds no prepared data.
    """
    for folder in data:
        load_index(folder)
    if not run.exists():
        raise ConfigError(f"{run}: no such file or folder; give a training run or the result file of --out")
    if run.is_file():
        return report_result(run, data=data)
    run_config(run)
    cases = Cases(run, data=data)
    cases.animations()
    if unused := [str(folder) for folder in data if folder not in cases.used]:
        raise ConfigError(f"--data {', '.join(unused)} has no effect, because no result of {run} was scored on it")
    return write_run_report(run, cases, journal_warnings(run))


def report_result(file: Path, *, data: Sequence[Path] = ()) -> Path:
    """Write `RESULT.html` beside a result file: its table, curves and, if the model is found, its cases.

    Raises:
        ConfigError: no result, more than one `data`, or other data than those that were scored.
    """
    if len(data) > 1:
        raise ConfigError("--data: a result was scored on one data set; give that one")
    result = read_result(file)
    animations: list[Block] = []
    if has_animations(result.to_dict()):
        try:
            subject = EvaluationRequest.of_result(result, file).moved(data=data[0] if data else None).load()
            index = load_index(subject.data)
            if index.fingerprint != result.fingerprint:
                raise ConfigError(
                    f"{subject.data} holds other data than those that were scored; give these with --data"
                )
            if subject.weights != result.provenance["weights"]:
                raise ConfigError("the scored weights or the file of the model have changed")
            animations = result_animations(result.to_dict(), subject, index)
        except (OSError, ValueError) as error:
            animations = [Text(f"{MISSING}: {error}.")]
    section = Section("Scores", score_blocks(score_document(result), animations))
    subject_name = str(result.provenance.get("subject", file.stem))
    return write_report(file.with_suffix(".html"), title=subject_name, subtitle=result.protocol, sections=[section])


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
