"""A preparation spread over machines: each makes one part, and the parts are merged into what one machine would make.

Part I of N lies in ``OUT/part-I-of-N`` and holds the sources whose names fall to it: which, depends on nothing but the
name and N. A part that is done has a ``part.json``, with the options and what the search of the whole source found.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.data.preparing.assemble import Census
from vidgan.data.preparing.completion import check_share, finish, write_quarantine
from vidgan.data.preparing.folder import ARRAY_FOLDERS, PART_NAME, array_bytes, locked, packed_clips
from vidgan.data.preparing.ledger import LEDGER_NAME, Ledger, Outcome, read_ledger
from vidgan.data.preparing.options import Options
from vidgan.data.sources.entries import Findings, Refusal, Source
from vidgan.data.store.index import INDEX_NAME, Index, load_index
from vidgan.data.store.videos import VideoFacts
from vidgan.errors import DataError
from vidgan.files import digest_of, natural_key, write_json

_FORMAT: Final = 1


class Part(NamedTuple):
    """Part `number`, counted from 1, of `total`."""

    number: int
    total: int

    def checked(self) -> "Part":
        """The part. Raises DataError when there is no such part."""
        if not 1 <= self.number <= self.total:
            raise DataError(f"part is {self.number}/{self.total}; accepted: 1/N to N/N")
        return self

    def share(self, sources: Sequence[Source]) -> list[Source]:
        """The sources that fall to this part."""
        return [s for s in sources if int(digest_of("part", s.name)[:12], 16) % self.total == self.number - 1]

    def folder(self, out: Path) -> Path:
        """Where the part lies. Raises DataError when `out` is finished, or made of another number of parts."""
        if (out / INDEX_NAME).is_file() or (out / LEDGER_NAME).is_file():
            raise DataError(f"out {out} holds a data set that is not made of parts; choose another folder")
        other = [path.name for path in _folders(out) if not path.name.endswith(f"-of-{self.total}")]
        if other:
            raise DataError(f"out {out} holds {other[0]}, which is not of {self.total} parts; choose another folder")
        return out / f"part-{self.number}-of-{self.total}"


def mark_finished(
    folder: Path, part: Part, options: Options, settings: Mapping[str, Any], findings: Findings, root: Path
) -> None:
    """Write ``part.json``, which says that the part is done."""
    content = {
        "format": _FORMAT,
        "part": list(part),
        "options": options.as_json(),
        "settings": settings,
        "sources": digest_of(sorted(source.name for source in findings.sources)),
        "root": str(root),
        "refusals": [asdict(refusal) for refusal in findings.refusals],
        "ignored": findings.ignored,
        "notices": findings.notices,
    }
    write_json(folder / PART_NAME, content)


def merge_parts(out: Path, *, max_bad_share: float = 0.5) -> Index:
    """Join the parts in `out` into one data set, the same as one run would have made, and remove their folders.

    Can be stopped at any time and run again.

    Args:
        out: the folder that was given to every part; parts that were made elsewhere are copied into it first.
        max_bad_share: see `vidgan.data.preparing.prepare.prepare`.

    Raises:
        DataError: parts are missing, unfinished, damaged, or of different sources or options.
    """
    folders = _folders(out)
    if not folders:
        raise DataError(f"{out}: holds no parts; make them with `vidgan prepare VIDEOS --out {out} --part 1/N` to N/N")
    with locked(out):
        finished = (out / INDEX_NAME).is_file()  # merged, but stopped before the last parts were removed
        index = load_index(out) if finished else _merge(out, folders, max_bad_share)
        for folder in folders:
            shutil.rmtree(folder)
    return index


def _merge(out: Path, folders: Sequence[Path], max_bad_share: float) -> Index:
    marks = _read_marks(out, folders)
    ledgers = [_read_part(folder) for folder in folders]
    mark, options = marks[0], Options.from_json(marks[0]["options"])
    packed = packed_clips(out) if options.store == "shards" else set()
    outcomes: dict[str, Outcome] = {}
    for folder, ledger in zip(folders, ledgers, strict=True):
        outcomes |= ledger.outcomes
        for clip in (clip for outcome in ledger.outcomes.values() for clip in outcome.clips):
            nbytes = array_bytes(folder, clip.id) + array_bytes(out, clip.id)  # some may be moved already
            if nbytes != clip.nbytes and (clip.id, clip.digest) not in packed:
                raise DataError(f"{folder}: the files of clip {clip.id} are missing or cut short; make this part again")
    searched = [Refusal(**refusal) for refusal in mark["refusals"]]
    refusals = searched + [refusal for outcome in outcomes.values() for refusal in outcome.refusals]
    refusals.sort(key=lambda refusal: natural_key(refusal.source))
    bad = len(searched) + sum(not outcome.clips for outcome in outcomes.values())
    check_share(mark["settings"]["source"], out, refusals, bad, len(searched) + len(outcomes), max_bad_share)
    for name in ARRAY_FOLDERS:
        (out / name).mkdir(exist_ok=True)
        for folder in folders:
            for path in (folder / name).glob("*.npy"):
                path.replace(out / name / path.name)
    ledger = Ledger(out / LEDGER_NAME, {})
    ledger.rewrite(mark["settings"], (outcomes[name] for name in sorted(outcomes, key=natural_key)))
    write_quarantine(out, refusals)
    census = Census(mark["root"], refusals, mark["ignored"], mark["notices"])
    return finish(out, outcomes, options, census, [VideoFacts(folder) for folder in folders])


def _folders(out: Path) -> list[Path]:
    return sorted((path for path in out.glob("part-*-of-*") if path.is_dir()), key=lambda path: natural_key(path.name))


def _read_marks(out: Path, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The contents of all ``part.json``, which must agree and be complete."""
    marks = []
    for folder in folders:
        try:
            mark = json.loads((folder / PART_NAME).read_bytes())
            if mark["format"] != _FORMAT:
                raise ValueError(f"format {mark['format']}")
            marks.append(mark)
        except FileNotFoundError:
            raise DataError(f"{folder}: not finished; run its part again, then merge") from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DataError(f"{folder / PART_NAME}: damaged ({error}); run its part again") from error
    total = marks[0]["part"][1]
    missing = set(range(1, total + 1)) - {mark["part"][0] for mark in marks}
    if missing:
        raise DataError(f"{out}: parts {', '.join(map(str, sorted(missing)))} of {total} are not there yet")
    for folder, mark in zip(folders, marks, strict=True):
        for name, value in marks[0]["options"].items():
            if mark["options"].get(name) != value:
                raise DataError(
                    f"{folder}: was made with {name} {mark['options'].get(name)!r}, {folders[0].name} with {value!r}; "
                    "make one of them again"
                )
        if mark["sources"] != marks[0]["sources"]:
            detail = f"the source held other files than for {folders[0].name}; make the older part again"
            raise DataError(f"{folder}: {detail}")
    return marks


def _read_part(folder: Path) -> Ledger:
    ledger = read_ledger(folder)
    if ledger is None:
        raise DataError(f"{folder}: holds no {LEDGER_NAME}; run its part again")
    return ledger
