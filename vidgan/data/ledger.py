"""What `prepare` has finished so far, one JSON line a source, so that a stopped run goes on where it was.

The first line holds the settings that all following lines were made with. A line that a crash cut short is dropped.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from vidgan.data.names import DataError, atomic_file
from vidgan.data.sources import Refusal

LEDGER_NAME: Final = "prepare.jsonl"
_FORMAT: Final = 1


@dataclass(frozen=True)
class Record:
    """One clip on disk. `label` tells it from the other clips of its source; `nbytes` are those of its files."""

    id: str
    label: str
    frames: int
    fps: float | None
    digest: str
    twin: str
    nbytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one source."""

    source: str
    stamp: str
    clips: tuple[Record, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass
class Ledger:
    """The settings of a prepared folder and the outcomes written so far, by source."""

    path: Path
    settings: dict[str, Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def append(self, outcome: Outcome) -> None:
        """Remember an outcome, at once on disk."""
        self.outcomes[outcome.source] = outcome
        with self.path.open("ab") as file:
            file.write(_line(asdict(outcome)))

    def rewrite(self, settings: Mapping[str, Any], outcomes: Iterable[Outcome]) -> None:
        """Replace settings and outcomes, atomically."""
        self.settings = dict(settings)
        self.outcomes = {outcome.source: outcome for outcome in outcomes}
        with atomic_file(self.path) as file:
            file.write(_line({"format": _FORMAT, "settings": self.settings}))
            for outcome in self.outcomes.values():
                file.write(_line(asdict(outcome)))


def read_ledger(out: Path) -> Ledger | None:
    """The ledger of `out`, None where there is none yet. Raises DataError when its first line cannot be read."""
    path = out / LEDGER_NAME
    if not path.is_file():
        return None
    lines = path.read_bytes().splitlines()
    try:
        head = json.loads(lines[0])
        if head["format"] != _FORMAT:
            raise ValueError(f"format {head['format']}")
        ledger = Ledger(path, dict(head["settings"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: damaged, or of another version ({error}); choose an empty folder for out") from error
    for line in lines[1:]:
        try:
            outcome = _parse(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue  # cut short by a crash: its source is simply read again
        ledger.outcomes[outcome.source] = outcome
    return ledger


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=True) + "\n").encode()


def _parse(line: Mapping[str, Any]) -> Outcome:
    clips = tuple(Record(**{**clip, "notes": tuple(clip["notes"])}) for clip in line["clips"])
    return Outcome(line["source"], line["stamp"], clips, tuple(Refusal(**refusal) for refusal in line["refusals"]))
