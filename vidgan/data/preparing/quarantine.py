"""Refused files: their list, ``quarantine.jsonl``, and the limit on how many of them a data set tolerates."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from vidgan.data.preparing.cutting import CutSource
from vidgan.data.sources.source import Listed, Refusal
from vidgan.errors import DataError
from vidgan.files import natural_key, write_text

QUARANTINE_NAME: Final = "quarantine.jsonl"


@dataclass(frozen=True)
class Quarantine:
    """All refused files of a data set.

    Attributes:
        refusals: in natural order of their names.
        num_bad: number of files without a usable clip.
        num_files: number of files, usable or not.
    """

    refusals: tuple[Refusal, ...]
    num_bad: int
    num_files: int

    @staticmethod
    def of(listed: Listed, cut: Iterable[CutSource], num_sources: int) -> "Quarantine":
        """The refusals of LIST, READ and CUT, among `num_sources` sources."""
        cut = list(cut)
        refusals = [*listed.refusals, *(refusal for source in cut for refusal in source.refusals)]
        refusals.sort(key=lambda refusal: natural_key(refusal.source))
        num_bad = len(listed.refusals) + sum(not source.clips for source in cut)
        return Quarantine(tuple(refusals), num_bad, len(listed.refusals) + num_sources)

    def write(self, out: Path) -> None:
        """Write ``quarantine.jsonl``: source, reason and detail of every refused file."""
        lines = (json.dumps(asdict(refusal), ensure_ascii=True) + "\n" for refusal in self.refusals)
        write_text(out / QUARANTINE_NAME, "".join(lines))

    def check(self, source: str, out: Path, max_bad_share: float) -> None:
        """Raise DataError when all files are bad, or more than `max_bad_share` of them."""
        if self.num_bad < self.num_files and self.num_bad <= max_bad_share * self.num_files:
            return
        problem = (
            f"more than max_bad_share={max_bad_share:g} of the files" if self.num_bad < self.num_files else "all files"
        )
        first = f"first: {self.refusals[0].source}: {self.refusals[0].detail}" if self.refusals else ""
        listed = f"full list in {out / QUARANTINE_NAME}"
        raise DataError(f"{source}: refused {problem}: {count_reasons(self.refusals)}; {first}; {listed}")


def count_reasons(refusals: Sequence[Refusal]) -> str:
    """``3 refused (2 too-short, 1 corrupt)``."""
    reasons = Counter(refusal.reason for refusal in refusals)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(refusals)} refused" + (f" ({listed})" if listed else "")
