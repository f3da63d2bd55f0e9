"""`vidgan watch`: rewrite the report of a run while it trains, and print its progress each time."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidgan.commands.report import journal_warnings, write_run_report
from vidgan.report.cases import Cases
from vidgan.report.formatting import duration
from vidgan.runs import run_config
from vidgan.training.journal import read_journal
from vidgan.training.lock import is_held

NUM_RECENT = 20  # journal records that speed is averaged over


def watch(run: Path, *, every: float = 30.0, echo: Callable[[str], None] = print) -> Path:
    """Rewrite `report.html` until the run is finished or no process trains it any more; return its path.

    A browser that shows the page reloads it by itself, except for the last page written.

    Args:
        every: seconds between two refreshes.
        echo: receives each line of output.

    Raises:
        ConfigError: `run` is not a training run.
    """
    steps = run_config(run).train.steps
    cases, num_idle = Cases(run), 0
    while True:
        is_training = is_held(run)
        num_idle = 0 if is_training else num_idle + 1
        records = read_journal(run, skip_invalid=True)
        is_finished = bool(records) and records[-1]["step"] >= steps
        # A restart releases the lock for moments, so a run has ended only if it is unlocked twice in a row.
        is_over = not is_training and (is_finished or num_idle > 1)
        status = progress(records, steps)
        training_warnings = journal_warnings(run)
        path = write_run_report(run, cases, training_warnings, status=status, refresh=None if is_over else every)
        names = ", ".join(sorted({warning.name for warning in training_warnings}))
        echo(f"{status}; warnings: {names}" if names else status)
        if is_over:
            echo(f"{'finished' if is_finished else 'no training process is running'}: {path}")
            return path
        time.sleep(every)


def progress(records: Sequence[Mapping[str, Any]], steps: int) -> str:
    """Describe the step, time left, speed, data wait and newest losses of a run in one line.

    Args:
        records: of the journal, oldest first.
        steps: number at which the run ends.
    """
    timed = [record for record in records if "seconds" in record]
    if not timed:
        return f"step 0 of {steps}"
    last, recent = timed[-1], timed[-NUM_RECENT:]
    parts = [f"step {last['step']} of {steps}"]
    if last["step"] < steps:
        seconds = sum(record["seconds"] for record in recent) / len(recent)
        parts.append(f"about {duration((steps - last['step']) * seconds)} left")
    parts.append(f"{sum(record['clips_per_second'] for record in recent) / len(recent):.1f} clips/s")
    parts.append(f"data wait {sum(record['data_wait_share'] for record in recent) / len(recent):.0%}")
    losses = [f"{key.removeprefix('loss/')} {value:.3g}" for key, value in last.items() if key.startswith("loss/")]
    return ", ".join([*parts, " ".join(losses)] if losses else parts)
