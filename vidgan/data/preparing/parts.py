"""Prepare a data set on several machines: each makes one part, and the parts are merged.

Part I of N is the folder ``OUT/part-I-of-N``. It contains the sources whose names hash to I, which depends only on the
name and N. A finished part has a ``part.json`` with the options and the result of LIST. Merging applies SPLIT and STORE
to the READ and CUT results of all parts, so the result equals that of one run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.data.preparing.cutting import CutSource
from vidgan.data.preparing.ledger import LEDGER_NAME, Ledger, read_ledger
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.output_folder import ARRAY_FOLDERS, PART_NAME, array_bytes
from vidgan.data.sources.source import Listed, Refusal, Source
from vidgan.data.store.index import INDEX_NAME, whole_number
from vidgan.data.store.shards import packed_clips
from vidgan.errors import DataError
from vidgan.files import digest_of, natural_key, read_json, write_json

_FORMAT: Final = 1


class Part(NamedTuple):
    """Part `number`, counted from 1, of `total`."""

    number: int
    total: int

    def checked(self) -> "Part":
        """The part itself. Raises DataError when `number` is not in 1 to `total`."""
        if not 1 <= self.number <= self.total:
            raise DataError(f"part is {self.number}/{self.total}; accepted: 1/N to N/N")
        return self

    def share(self, sources: Sequence[Source]) -> list[Source]:
        """The sources that belong to this part."""
        return [s for s in sources if int(digest_of("part", s.name)[:12], 16) % self.total == self.number - 1]

    def folder(self, out: Path) -> Path:
        """Folder of the part. Raises DataError when `out` is a whole data set, or has parts of another number."""
        if (out / INDEX_NAME).is_file() or (out / LEDGER_NAME).is_file():
            raise DataError(f"out {out} contains a data set that was not made in parts; use another folder")
        other = [path.name for path in part_folders(out) if not path.name.endswith(f"-of-{self.total}")]
        if other:
            raise DataError(f"out {out} contains {other[0]}; accepted: parts of {self.total}. Use another folder")
        return out / f"part-{self.number}-of-{self.total}"


def finish_part(folder: Path, part: Part, options: Options, settings: Mapping[str, Any], listed: Listed) -> None:
    """Write ``part.json``, which marks the part as finished; `listed` is the whole source."""
    content = {
        "format": _FORMAT,
        "part": list(part),
        "options": options.as_json(),
        "settings": settings,
        "sources": digest_of(sorted(source.name for source in listed.sources)),
        "root": str(listed.root),
        "refusals": [asdict(refusal) for refusal in listed.refusals],
        "ignored": listed.ignored,
        "notices": list(listed.notices),
        "remarks": list(listed.remarks),
    }
    write_json(folder / PART_NAME, content)


@dataclass(frozen=True)
class Parts:
    """All parts of a data set.

    Attributes:
        folders: their folders, in order.
        options: the options that all were made with.
        settings: the options that affect the pixels, and the source.
        listed: the result of LIST, without sources: `cut` has these.
        cut: the results of READ and CUT, by name in natural order.
    """

    folders: list[Path]
    options: Options
    settings: dict[str, Any]
    listed: Listed
    cut: dict[str, CutSource]

    def move_arrays(self, out: Path) -> None:
        """Move the arrays of all parts to `out`, and write its ledger."""
        for name in ARRAY_FOLDERS:
            (out / name).mkdir(exist_ok=True)
            for folder in self.folders:
                for path in (folder / name).glob("*.npy"):
                    path.replace(out / name / path.name)
        Ledger(out / LEDGER_NAME, {}).rewrite(self.settings, self.cut.values())


def part_folders(out: Path) -> list[Path]:
    """The folders of parts in `out`, in natural order."""
    return sorted((path for path in out.glob("part-*-of-*") if path.is_dir()), key=lambda path: natural_key(path.name))


def collect_parts(out: Path, folders: list[Path]) -> Parts:
    """The results of all parts in `out`.

    Raises:
        DataError: parts are missing, unfinished, damaged, or of different sources or options.
    """
    marks = _read_marks(out, folders)
    ledgers = [_read_part_ledger(folder) for folder in folders]
    mark, options = marks[0], Options.from_json(marks[0]["options"])
    packed = packed_clips(out) if options.store == "shards" else set()
    cut: dict[str, CutSource] = {}
    for folder, ledger in zip(folders, ledgers, strict=True):
        cut |= ledger.cut
        for clip in (clip for source in ledger.cut.values() for clip in source.clips):
            nbytes = array_bytes(folder, clip.id) + array_bytes(out, clip.id)  # an interrupted merge has moved some
            if nbytes != clip.nbytes and (clip.id, clip.digest) not in packed:
                raise DataError(f"{folder}: arrays of clip {clip.id} are missing or truncated; prepare this part again")
    listed = Listed(
        root=Path(mark["root"]),
        sources=(),
        refusals=tuple(Refusal(**refusal) for refusal in mark["refusals"]),
        ignored=mark["ignored"],
        notices=tuple(mark["notices"]),
        remarks=tuple(mark.get("remarks", ())),
    )
    return Parts(folders, options, mark["settings"], listed, {name: cut[name] for name in sorted(cut, key=natural_key)})


def _read_marks(out: Path, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The contents of all ``part.json``, which must be complete and agree."""
    marks = []
    for folder in folders:
        try:
            mark = read_json(folder / PART_NAME)
            if mark["format"] != _FORMAT:
                raise ValueError(f"format {mark['format']}")
            _check_mark(mark)
            marks.append(mark)
        except FileNotFoundError:
            raise DataError(f"{folder}: not finished; prepare this part again, then merge") from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise DataError(f"{folder / PART_NAME}: damaged ({error}); prepare this part again") from error
    total = marks[0]["part"][1]
    missing = set(range(1, total + 1)) - {mark["part"][0] for mark in marks}
    if missing:
        raise DataError(f"{out}: parts {', '.join(map(str, sorted(missing)))} of {total} are missing")
    for folder, mark in zip(folders, marks, strict=True):
        for name, value in marks[0]["options"].items():
            if mark["options"].get(name) != value:
                raise DataError(
                    f"{folder}: made with {name} {mark['options'].get(name)!r}, but {folders[0].name} with {value!r}; "
                    "prepare one of them again"
                )
        if mark["sources"] != marks[0]["sources"]:
            raise DataError(
                f"{folder}: the source contained other files than for {folders[0].name}; prepare the older part again"
            )
    return marks


def _check_mark(mark: Mapping[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError unless all values can be used as they are."""
    number, total = (whole_number("part", value, least=1, most=1_000_000) for value in mark["part"])
    if number > total:
        raise ValueError(f"part {number} of {total}")
    whole_number("ignored", mark["ignored"], least=0)
    Options.from_json(mark["options"]).checked_again()
    [Refusal(**refusal) for refusal in mark["refusals"]]
    texts = [mark["root"], mark["sources"], mark["settings"]["source"], *mark["notices"], *mark.get("remarks", ())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name is not text")


def _read_part_ledger(folder: Path) -> Ledger:
    ledger = read_ledger(folder)
    if ledger is None:
        raise DataError(f"{folder}: {LEDGER_NAME} is missing; prepare this part again")
    return ledger
