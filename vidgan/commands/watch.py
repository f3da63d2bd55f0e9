"""`vidgan watch`: the report of a run rewritten while it trains, and a line on the terminal each time."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidgan.commands.report import found_warnings, write_run_report
from vidgan.report.cases import Cases
from vidgan.report.formatting import duration
from vidgan.runs import run_config
from vidgan.training.journal import read_journal
from vidgan.training.lock import is_held

RECENT = 20  # records that speed is taken from


def watch(run: Path, *, every: float = 30.0, tell: Callable[[str], None] = print) -> Path:
    """Rewrite `report.html` until the run is finished or nobody trains in it any more; returns its path.

    A browser that shows the page loads it again by itself; the last page written no longer asks for that.

    Args:
        every: seconds between two refreshes.
        tell: gets the lines.

    Raises:
        ConfigError: `run` is no training run.
    """
    steps = run_config(run).train.steps
    cases, idle = Cases(run), 0
    while True:
        training = is_held(run)
        idle = 0 if training else idle + 1
        records = read_journal(run, skip_invalid=True)
        finished = bool(records) and records[-1]["step"] >= steps
        # A restart leaves the run alone for moments, so that it has ended only when it is still alone the next time.
        over = not training and (finished or idle > 1)
        status = progress(records, steps)
        found = found_warnings(run)
        path = write_run_report(run, cases, found, status=status, refresh=None if over else every)
        names = ", ".join(sorted({warning.name for warning in found}))
        tell(f"{status}; warnings: {names}" if names else status)
        if over:
            tell(f"{'finished' if finished else 'nobody trains here any more'}: {path}")
            return path
        time.sleep(every)


def watch_command(run: Path, *, every: float) -> None:
    """`watch`, ended quietly by Ctrl-C."""
    try:
        watch(run, every=every, tell=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("the run goes on; the report shows it as it was", file=sys.stderr)


def progress(records: Sequence[Mapping[str, Any]], steps: int) -> str:
    """How far a run is, how fast, what it waits for, its newest losses.

    Args:
        records: of the journal, oldest first.
        steps: that it will have.
    """
    timed = [record for record in records if "seconds" in record]
    if not timed:
        return f"step 0 of {steps}"
    last, recent = timed[-1], timed[-RECENT:]
    told = [f"step {last['step']} of {steps}"]
    if last["step"] < steps:
        seconds = sum(record["seconds"] for record in recent) / len(recent)
        told.append(f"about {duration((steps - last['step']) * seconds)} left")
    told.append(f"{sum(record['clips_per_second'] for record in recent) / len(recent):.1f} clips/s")
    told.append(f"data wait {sum(record['data_wait_share'] for record in recent) / len(recent):.0%}")
    losses = [f"{key.removeprefix('loss/')} {value:.3g}" for key, value in last.items() if key.startswith("loss/")]
    return ", ".join([*told, " ".join(losses)] if losses else told)
