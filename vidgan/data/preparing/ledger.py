"""What `prepare` has finished so far, one JSON line a source, so that a stopped run goes on where it was.

The first line holds the settings that all following lines were made with. A line that a crash cut short is dropped.
The lines say all that the index needs to know of a source, so that parts made on several machines can be joined
without looking at the source again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vidgan.data.sources.entries import Refusal, Source
from vidgan.errors import DataError
from vidgan.files import atomic_file

LEDGER_NAME: Final = "prepare.jsonl"
_FORMAT: Final = 2


@dataclass(frozen=True)
class Record:
    """One clip on disk.

    Attributes:
        id: see `vidgan.data.store.index.ClipEntry`, as for `frames`, `fps`, `digest` and `start`.
        label: tells it from the other clips of its source.
        twin: digest that it shares with its exact copies and mirror images.
        nbytes: of its files.
        notes: what a person should know about the file.
        category, group, split: where its source says so clip by clip.
    """

    id: str
    label: str
    frames: int
    fps: float | None
    digest: str
    twin: str
    nbytes: int
    notes: tuple[str, ...] = ()
    start: int = 0
    category: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one source.

    Attributes:
        source, stamp, kind, category, group, split: as in `vidgan.data.sources.entries.Source`.
        file: posix path below the source folder.
        counts: cuts found, shots that were too short, still and black frames that were left out.
        facts: what goes into ``videos.jsonl``; on the way there only. `has_facts` says that it went.
    """

    source: str
    stamp: str
    kind: str
    file: str
    category: str | None = None
    group: str | None = None
    split: str | None = None
    clips: tuple[Record, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    has_facts: bool = False
    facts: Mapping[str, Any] | None = None

    @staticmethod
    def of(source: Source, **found: Any) -> "Outcome":
        """The outcome of `source`, with the clips and refusals found."""
        known = {name: getattr(source, name) for name in ("stamp", "kind", "category", "group", "split")}
        return Outcome(source.name, file=file_of(source), **known, **found)


def file_of(source: Source) -> str:
    """Posix path, below the source folder, of the file or the folder of frames that a source is read from."""
    if len(source.files) != 1:
        return source.name
    return source.files[0] if source.archive is None else f"{source.archive}/{source.files[0]}"


@dataclass
class Ledger:
    """The settings of a prepared folder and the outcomes written so far, by source."""

    path: Path
    settings: dict[str, Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def append(self, outcome: Outcome) -> None:
        """Remember an outcome, at once on disk."""
        outcome = replace(outcome, has_facts=outcome.facts is not None, facts=None)
        self.outcomes[outcome.source] = outcome
        with self.path.open("ab") as file:
            file.write(_line(outcome))

    def rewrite(self, settings: Mapping[str, Any], outcomes: Iterable[Outcome]) -> None:
        """Replace settings and outcomes, atomically."""
        self.settings = dict(settings)
        self.outcomes = {outcome.source: outcome for outcome in outcomes}
        with atomic_file(self.path) as file:
            file.write(_json_line({"format": _FORMAT, "settings": self.settings}))
            for outcome in self.outcomes.values():
                file.write(_line(outcome))


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


def _json_line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=True) + "\n").encode()


def _line(outcome: Outcome) -> bytes:
    return _json_line({name: value for name, value in asdict(outcome).items() if name != "facts"})


def _parse(line: Mapping[str, Any]) -> Outcome:
    clips = tuple(Record(**{**clip, "notes": tuple(clip["notes"])}) for clip in line["clips"])
    refusals = tuple(Refusal(**refusal) for refusal in line["refusals"])
    return Outcome(**{**line, "clips": clips, "refusals": refusals})
