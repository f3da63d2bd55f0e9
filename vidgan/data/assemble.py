"""From finished clips to the index: categories, groups, split, the notices that go with them, and the contact sheet."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from vidgan.data.grouping import (
    Groupable,
    bare_categories,
    categories_of,
    groups_of,
    join_twins,
    split_by_pattern,
    split_by_share,
)
from vidgan.data.index import ClipEntry, Index, clip_path
from vidgan.data.ledger import Outcome, Record
from vidgan.data.names import natural_key
from vidgan.data.options import Options
from vidgan.data.sources import Refusal, Source
from vidgan.types import UNLABELLED
from vidgan.video.encode import contact_sheet, write_png

SHEET_NAME: Final = "contact_sheet.png"
_SHEET_CLIPS: Final = 16
_SHEET_FRAMES: Final = 8
_MEANINGS: Final = {
    "hdr": "of high dynamic range, converted without tone mapping: colours look washed out",
    "interlaced": "with interlaced frames: moving edges show combs",
    "variable-frame-rate": "of varying frame rate: give fps to sample evenly in time",
    "non-square-pixels": "with pixels that are not square: shapes look stretched",
    "timestamps-repaired": "with missing or disordered timestamps",
    "fewer-frames-than-announced": "with fewer frames than their headers say",
    "frames-repeated": "slower than the fps asked for: some frames are repeated",
}


def check_names(sources: Sequence[Source], options: Options) -> None:
    """Raise the DataError that the names of the sources alone give reason for, before hours of decoding."""
    named = [Groupable(source.name, source.name, source.kind == "frames", "") for source in sources]
    if options.categories:
        categories_of(named)
    groups = groups_of(named, options.group_by)
    if options.test_pattern is not None:
        split_by_pattern(named, groups, options.test_pattern)


def assemble(
    sources: Sequence[Source],
    outcomes: Mapping[str, Outcome],
    options: Options,
    *,
    refusals: Iterable[Refusal],
    ignored: int,
) -> Index:
    """The index of all clips in `outcomes`. Raises DataError when they cannot be categorised, grouped or split."""
    found: list[tuple[Source, Record]] = [(s, clip) for s in sources for clip in outcomes[s.name].clips]
    found.sort(key=lambda pair: natural_key(pair[0].name + pair[1].label))
    clips = [Groupable(s.name + clip.label, s.name, s.kind == "frames", clip.twin) for s, clip in found]
    names, categories = categories_of(clips) if options.categories else ([], [UNLABELLED] * len(clips))
    groups, repeats = join_twins(groups_of(clips, options.group_by), [clip.twin for clip in clips])
    if options.test_pattern is not None:
        split = split_by_pattern(clips, groups, options.test_pattern)
    else:
        split = split_by_share(groups, categories, holdout=options.holdout, seed=options.seed)
    notices = list(split.notices)
    for name in bare_categories(names, categories, split.of_clip):
        notices.append(f"category {name!r} has no training clip: all its clips belong to test groups")
    if repeats:
        notices.append(f"{repeats} clips are exact copies or mirror images of others; they share the others' split")
    notes = Counter(note for _, clip in found for note in clip.notes)
    notices += [f"videos {_MEANINGS.get(note, note)} ({count} of them)" for note, count in sorted(notes.items())]
    entries = [
        ClipEntry(record.id, clip.name, group, category, side, record.frames, record.fps, record.digest)
        for (_, record), clip, group, category, side in zip(
            found, clips, groups, categories, split.of_clip, strict=True
        )
    ]
    return Index(
        size=options.size,
        fps=options.fps,
        flow=options.flow,
        categories=names,
        clips=entries,
        settings=options.as_json(),
        quarantined=dict(sorted(Counter(refusal.reason for refusal in refusals).items())),
        ignored=ignored,
        notices=notices,
    )


def write_contact_sheet(root: Path, index: Index) -> None:
    """``contact_sheet.png``: up to 16 clips spread over the index, one a row, each from its first to its last frame."""
    chosen = np.unique(np.linspace(0, len(index.clips) - 1, _SHEET_CLIPS).round().astype(int))
    rows = []
    for i in chosen:
        frames = np.load(clip_path(root, index.clips[i]), mmap_mode="r", allow_pickle=False)
        times = np.linspace(0, len(frames) - 1, _SHEET_FRAMES).round().astype(int)
        rows.append(torch.from_numpy(frames[times]).permute(0, 3, 1, 2))  # (T, 3, H, W)
    write_png(root / SHEET_NAME, contact_sheet(torch.stack(rows), frames=_SHEET_FRAMES), overwrite=True)
