"""The ledger, ``prepare.jsonl``: every source that READ and CUT have finished, so that an interrupted run can resume.

The first line contains the settings that all other lines were made with; each of these is one `CutSource`. A line
truncated by a crash is ignored. The lines contain everything that SPLIT and STORE need, so that parts made on several
machines are merged without reading the sources again.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vidgan.data.preparing.cutting import CutClip, CutSource
from vidgan.data.sources.source import Refusal
from vidgan.data.store.index import whole_number
from vidgan.errors import DataError
from vidgan.files import atomic_file, explain_full_disk, parse_json

LEDGER_NAME: Final = "prepare.jsonl"
_FORMAT: Final = 2


@dataclass
class Ledger:
    """Settings and finished sources of a data set; written to disk at every change.

    Attributes:
        path: the file.
        settings: what all finished sources were made with.
        cut: finished sources by name.
    """

    path: Path
    settings: dict[str, Any]
    cut: dict[str, CutSource] = field(default_factory=dict)

    def append(self, source: CutSource) -> None:
        """Add a finished source."""
        source = replace(source, has_metadata=source.metadata is not None, metadata=None)
        self.cut[source.source] = source
        line = _format_source(source)
        with explain_full_disk(self.path, len(line)), self.path.open("ab") as file:
            file.write(line)

    def rewrite(self, settings: Mapping[str, Any], sources: Iterable[CutSource]) -> None:
        """Replace settings and finished sources, atomically."""
        self.settings = dict(settings)
        self.cut = {source.source: source for source in sources}
        with atomic_file(self.path) as file:
            file.write(_format_line({"format": _FORMAT, "settings": self.settings}))
            for source in self.cut.values():
                file.write(_format_source(source))


def read_ledger(out: Path) -> Ledger | None:
    """The ledger of the folder `out`, None if there is none. Raises DataError when its first line is unreadable."""
    path = out / LEDGER_NAME
    if not path.is_file():
        return None
    lines = path.read_bytes().splitlines()
    try:
        head = parse_json(lines[0], path)
        if head["format"] != _FORMAT:
            raise ValueError(f"format {head['format']}")
        ledger = Ledger(path, dict(head["settings"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: damaged, or from another version ({error}); use an empty folder for out") from error
    for line in lines[1:]:
        try:
            source = _parse_source(parse_json(line, path))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # truncated by a crash: the source is read again
        ledger.cut[source.source] = source
    return ledger


def _format_line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=True) + "\n").encode()


def _format_source(source: CutSource) -> bytes:
    content = asdict(source)
    del content["metadata"]
    content["has_facts"] = content.pop("has_metadata")
    return _format_line(content)


def _parse_source(line: dict[str, Any]) -> CutSource:
    line["has_metadata"] = line.pop("has_facts")
    clips = tuple(CutClip(**{**clip, "notes": tuple(clip["notes"])}) for clip in line["clips"])
    refusals = tuple(Refusal(**refusal) for refusal in line["refusals"])
    source = CutSource(**{**line, "clips": clips, "refusals": refusals})
    texts = [source.source, source.stamp, source.kind, source.file]
    texts += [text for clip in clips for text in (clip.id, clip.label, clip.digest, clip.twin, *clip.notes)]
    texts += [text for refusal in refusals for text in (refusal.source, refusal.reason, refusal.detail)]
    optional = [source.category, source.group, source.split]
    optional += [text for clip in clips for text in (clip.category, clip.group, clip.split)]
    if not all(isinstance(text, str) for text in [*texts, *(text for text in optional if text is not None)]):
        raise TypeError("a name is not text")
    for clip in clips:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,200}", clip.id):  # it becomes a file name
            raise ValueError(f"clip id {clip.id!r}")
        whole_number("frames", clip.frames, least=1)
        whole_number("start", clip.start, least=0)
        whole_number("nbytes", clip.nbytes, least=0)
        if clip.fps is not None and not clip.fps > 0:
            raise ValueError(f"fps {clip.fps}")
    for name, count in source.counts.items():
        whole_number(name, count, least=0)
    return source
