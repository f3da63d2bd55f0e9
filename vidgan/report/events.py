"""What happened to a run: its starts, the guards' warnings, and the times it went back to a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from vidgan.report.blocks import Block, Cell, Table
from vidgan.report.words import words

Record = Mapping[str, Any]


def event_blocks(records: Sequence[Record], starts: Sequence[Record]) -> list[Block]:
    """A table of the events, oldest first; nothing for a run that began once and went on undisturbed.

    Args:
        records: the journal. ``{"warning": name, "holds": true, "message": text}`` says that a warning began,
            ``"holds": false`` that it ended; ``{"rollback": {"failed": step, "skipped": [...], "reason": text}}`` that
            the run went back to the record's step.
        starts: of `starts.jsonl`: ``{"step": .., "time": text, "processes": ..}``, one each time training began.
    """
    rows: list[list[Cell]] = []
    for number, start in enumerate(starts):
        what = "Restarted" if number else "Started"
        processes = start.get("processes", 1)
        told = f"{start.get('time', '')}, {processes} {'process' if processes == 1 else 'processes'}"
        rows.append([start["step"], what, told])
    for record in records:
        if isinstance(back := record.get("rollback"), Mapping):
            skipped = len(back.get("skipped", ()))
            left_out = f"; {skipped} {'batch' if skipped == 1 else 'batches'} left out"
            told = f"Step {back.get('failed')} failed: {back.get('reason')}{left_out}"
            rows.append([record["step"], "Went back to this step", told])
        elif "warning" in record:
            name = words(str(record["warning"])).capitalize()
            what = f"{name} began" if record.get("holds") else f"{name} ended"
            rows.append([record["step"], what, str(record.get("message", ""))])
    if len(rows) == len(starts) <= 1:
        return []
    rows.sort(key=lambda row: row[0] if isinstance(row[0], int) else 0)  # stable: a restart stands first at its step
    return [Table(["step", "event", ""], rows)]
