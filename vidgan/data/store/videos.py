"""``videos.jsonl``: what was found in every video file, one JSON line a source.

A line holds ``source`` (the name that clips of it begin with), ``file`` (posix path below the source folder), the
``sha256`` of the file, ``fps`` (effective) and ``native_fps``, ``cuts`` (the frames, of those that were taken, that
begin a new shot), and what decoding found: size as shown, rotation, codec, notes, presentation times and key frames.
Presentation times make these lines long, so they are read one at a time, by their place in the file.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from vidgan.data.store.index import ClipEntry
from vidgan.errors import DataError
from vidgan.files import atomic_file

VIDEOS_NAME: Final = "videos.jsonl"


class VideoFacts:
    """The lines of ``videos.jsonl`` below `root`, by source; a line that a crash cut short is left out."""

    def __init__(self, root: Path) -> None:
        self.path = root / VIDEOS_NAME
        self._places: dict[str, tuple[int, int]] = {}  # source -> offset and length in bytes
        self._end = 0
        if self.path.is_file():
            with self.path.open("rb") as file:
                for line in file:
                    self._note(line)

    def __contains__(self, source: str) -> bool:
        return source in self._places

    def of(self, source: str) -> dict[str, Any]:
        """What was found in the source of that name. Raises DataError when there is no line for it."""
        return dict(json.loads(self._line(source)))

    def append(self, source: str, facts: Mapping[str, Any]) -> None:
        """Add a line, at once on disk; the last line of a source counts."""
        line = (json.dumps({"source": source, **facts}, ensure_ascii=True) + "\n").encode()
        with self.path.open("ab") as file:
            if file.tell() != self._end:  # the end of a line that a crash cut short
                file.truncate(self._end)
                file.seek(self._end)
            file.write(line)
        self._note(line)

    def rewrite(self, sources: Iterable[str], others: Iterable["VideoFacts"] = ()) -> None:
        """Keep the lines of these sources, in this order; lines that are not here are taken from `others`."""
        homes = (self, *others)
        places: dict[str, tuple[int, int]] = {}
        end = 0
        with atomic_file(self.path) as file:
            for source in sources:
                line = next((facts._line(source) for facts in homes if source in facts), b"")
                if line:
                    places[source] = end, len(line)
                    end += file.write(line)
        self._places, self._end = places, end

    def _line(self, source: str) -> bytes:
        if source not in self._places:
            raise DataError(f"{self.path}: has no line for {source}; run `vidgan prepare` again")
        offset, length = self._places[source]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _note(self, line: bytes) -> None:
        try:
            name = json.loads(line)["source"] if line.endswith(b"\n") else None
        except (ValueError, KeyError, TypeError):
            name = None
        if name is not None:
            self._places[name] = self._end, len(line)
        if line.endswith(b"\n"):
            self._end += len(line)


def source_name(entry: ClipEntry) -> str:
    """The source that a clip was cut from: the clip's name without the ``@start`` of a shot."""
    return entry.source.removesuffix(f"@{entry.start}")
