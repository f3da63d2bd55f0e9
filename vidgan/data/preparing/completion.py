"""The end of a preparation: judge what was refused, pack what was read, write the index."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from vidgan.data.preparing.assemble import Census, assemble, write_contact_sheet
from vidgan.data.preparing.folder import ARRAY_FOLDERS
from vidgan.data.preparing.ledger import Outcome
from vidgan.data.preparing.options import Options
from vidgan.data.sources.entries import Refusal
from vidgan.data.store.index import Index, save_index
from vidgan.data.store.shards import shard_files_ok, write_shards
from vidgan.data.store.videos import VideoFacts
from vidgan.errors import DataError
from vidgan.files import atomic_file, natural_key

QUARANTINE_NAME: Final = "quarantine.jsonl"
SHARD_MB: Final = 256


def finish(
    out: Path, outcomes: Mapping[str, Outcome], options: Options, census: Census, others: Sequence[VideoFacts] = ()
) -> Index:
    """Write everything that a data set has besides its arrays; the index last, as a folder with one is finished.

    Args:
        outcomes: by source.
        others: where lines of ``videos.jsonl`` lie that `out` does not have yet.

    Raises:
        DataError: the clips cannot be categorised, grouped or split.
    """
    index = assemble(outcomes.values(), options, census)
    names = sorted((name for name, outcome in outcomes.items() if outcome.has_facts and outcome.clips), key=natural_key)
    if names:
        VideoFacts(out).rewrite(names, others)
    if options.store == "shards":
        if not shard_files_ok(out, index.clips):
            shard_bytes = (options.shard_mb or SHARD_MB) << 20
            has_flow = options.flow is not None
            write_shards(out, index.clips, shard_bytes=shard_bytes, flow=has_flow, categories=index.categories)
        for folder in ARRAY_FOLDERS:  # what a run that was stopped in the middle of packing has left
            for path in (out / folder).glob("*.npy"):
                path.unlink()
    write_contact_sheet(out, index)
    save_index(out, index)
    return index


def write_quarantine(out: Path, refusals: Sequence[Refusal]) -> None:
    """``quarantine.jsonl``: source, reason and detail of every refused file."""
    with atomic_file(out / QUARANTINE_NAME) as file:
        for refusal in refusals:
            file.write((json.dumps(asdict(refusal), ensure_ascii=True) + "\n").encode())


def check_share(
    source: str, out: Path, refusals: Sequence[Refusal], bad: int, files: int, max_bad_share: float
) -> None:
    """Raise DataError when all of the `files`, or more of them than the share allows, are `bad`."""
    if bad < files and bad <= max_bad_share * files:
        return
    problem = (
        f"more than max_bad_share={max_bad_share:g} of the files are refused" if bad < files else "no file can be used"
    )
    first = f"first: {refusals[0].source}: {refusals[0].detail}" if refusals else ""
    listed = f"all are listed in {out / QUARANTINE_NAME}"
    raise DataError(f"{source}: {problem}: {count_reasons(refusals)}; {first}; {listed}")


def count_reasons(refusals: Sequence[Refusal]) -> str:
    """``3 refused (2 too-short, 1 corrupt)``."""
    reasons = Counter(refusal.reason for refusal in refusals)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(refusals)} refused" + (f" ({listed})" if listed else "")
