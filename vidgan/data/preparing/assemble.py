"""From finished clips to the index: categories, groups, split, the notices that go with them, and the contact sheet."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch

from vidgan.data.preparing.grouping import (
    Groupable,
    Split,
    bare_categories,
    categories_of,
    groups_of,
    join_twins,
    split_as_given,
    split_by_pattern,
    split_by_share,
)
from vidgan.data.preparing.ledger import Outcome, Record
from vidgan.data.preparing.options import HOLDOUT, Options
from vidgan.data.sources.entries import Refusal, Source
from vidgan.data.store.index import ClipEntry, Index
from vidgan.data.store.storage import open_store
from vidgan.files import natural_key
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


@dataclass(frozen=True)
class Census:
    """What was found in a source besides clips.

    Attributes:
        root: absolute path that the files' names are relative to.
        refusals: what was refused, while searching and while reading.
        ignored: hidden and unrelated files.
        notices: how the source was understood.
    """

    root: str
    refusals: Sequence[Refusal] = ()
    ignored: int = 0
    notices: Sequence[str] = field(default_factory=list)


def check_names(sources: Sequence[Source], options: Options) -> None:
    """Raise the DataError that the names of the sources alone give reason for, before hours of decoding."""
    named = [Groupable(s.name, s.name, s.kind == "frames", "", "", s.category, s.group, s.split) for s in sources]
    if options.categories:
        categories_of(named)
    groups = groups_of(named, options.group_by)
    if options.test_pattern is not None:
        split_by_pattern(named, groups, options.test_pattern)


def assemble(outcomes: Iterable[Outcome], options: Options, census: Census) -> Index:
    """The index of all clips in `outcomes`. Raises DataError when they cannot be categorised, grouped or split."""
    known = list(outcomes)
    found = [(outcome, clip) for outcome in known for clip in outcome.clips]
    found.sort(key=lambda pair: natural_key(pair[0].source + pair[1].label))
    clips = [_groupable(outcome, clip) for outcome, clip in found]
    labelled = options.categories or any(clip.category is not None for clip in clips)
    names, categories = categories_of(clips) if labelled else ([], [UNLABELLED] * len(clips))
    groups, split, repeats = _grouped_and_split(clips, categories, options)
    entries = [
        ClipEntry(
            id=record.id,
            source=clip.name,
            group=group,
            category=category,
            split=side,
            frames=record.frames,
            fps=record.fps,
            digest=record.digest,
            start=record.start,
            file=outcome.file,
        )
        for (outcome, record), clip, group, category, side in zip(
            found, clips, groups, categories, split.of_clip, strict=True
        )
    ]
    notices = [*census.notices, *split.notices, *_override_notices(clips, options)]
    for name in bare_categories(names, categories, split.of_clip):
        notices.append(f"category {name!r} has no training clip: all its clips belong to test groups")
    if names and UNLABELLED in categories:
        notices.append(f"{categories.count(UNLABELLED)} clips have no category, though others have")
    if repeats:
        notices.append(f"{repeats} clips are exact copies or mirror images of others; they share the others' split")
    return Index(
        size=options.size,
        fps=options.fps,
        flow=options.flow,
        categories=names,
        clips=entries,
        store=options.store,
        source_root=census.root if options.store == "video" else None,
        protocol=options.protocol,
        settings=options.as_json(),
        quarantined=dict(sorted(Counter(refusal.reason for refusal in census.refusals).items())),
        ignored=census.ignored,
        notices=notices + _cut_notices(known, options) + _file_notices(known),
    )


def _groupable(outcome: Outcome, clip: Record) -> Groupable:
    name = outcome.source + clip.label
    return Groupable(
        name=name,
        path=outcome.source,
        is_folder=outcome.kind == "frames",
        twin=clip.twin,
        origin=name.removesuffix(f"@{clip.start}"),
        category=clip.category or outcome.category,
        group=clip.group or outcome.group,
        split=clip.split or outcome.split,
    )


def _grouped_and_split(
    clips: Sequence[Groupable], categories: Sequence[int], options: Options
) -> tuple[list[str], Split, int]:
    """Groups, split, and the number of clips that repeat another one."""
    groups, twins = groups_of(clips, options.group_by), [clip.twin for clip in clips]
    given = options.test_pattern is None and options.holdout is None and any(clip.split for clip in clips)
    if given:
        split = split_as_given(clips, groups)
        # Copies are joined on either side; across, the split of a benchmark is what it is.
        twins = [f"{side} {twin}" for side, twin in zip(split.of_clip, twins, strict=True)]
        sided = [f"{side} {group}" for side, group in zip(split.of_clip, groups, strict=True)]
        joined, repeats = join_twins(sided, twins)
        return [group.split(" ", 1)[1] for group in joined], split, repeats
    groups, repeats = join_twins(groups, twins)
    if options.test_pattern is not None:
        return groups, split_by_pattern(clips, groups, options.test_pattern), repeats
    holdout = HOLDOUT if options.holdout is None else options.holdout
    return groups, split_by_share(groups, categories, holdout=holdout, seed=options.seed), repeats


def _override_notices(clips: Sequence[Groupable], options: Options) -> list[str]:
    """Which of the options took the place of what the source says."""
    notices = []
    chosen = "test_pattern" if options.test_pattern is not None else "holdout" if options.holdout is not None else None
    if chosen and any(clip.split for clip in clips):
        notices.append(
            f"{chosen} replaces the split that the source brings along: scores compare with nothing published"
        )
    if options.group_by is not None and any(clip.group for clip in clips):
        notices.append("group_by replaces the groups that the source brings along")
    return notices


def _cut_notices(outcomes: Sequence[Outcome], options: Options) -> list[str]:
    """What was cut, and what was left out."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
    notices = []
    if total["cuts"]:
        several = sum(outcome.counts.get("cuts", 0) > 0 for outcome in outcomes)
        notices.append(f"{total['cuts']} shot changes in {several} of {len(outcomes)} sources: no clip spans one")
    if total["short"]:
        notices.append(f"{total['short']} shots of less than {options.min_frames} frames are left out")
    for name in ("still", "black"):
        if total[name]:
            notices.append(f"{total[name]} {name} frames are left out")
    return notices


def _file_notices(outcomes: Sequence[Outcome]) -> list[str]:
    notes = Counter(note for outcome in outcomes for note in {n for clip in outcome.clips for n in clip.notes})
    return [f"videos {_MEANINGS.get(note, note)} ({count} of them)" for note, count in sorted(notes.items())]


def write_contact_sheet(root: Path, index: Index) -> None:
    """``contact_sheet.png``: up to 16 clips spread over the index, one a row, each from its first to its last frame."""
    store = open_store(root, index)
    chosen = np.unique(np.linspace(0, len(index.clips) - 1, _SHEET_CLIPS).round().astype(int))
    rows = []
    for entry in (index.clips[i] for i in chosen):
        times = np.linspace(0, entry.frames - 1, _SHEET_FRAMES).round().astype(int).tolist()
        rows.append(torch.from_numpy(np.array(store.frames(entry, times))).permute(0, 3, 1, 2))  # (T, 3, H, W)
    write_png(root / SHEET_NAME, contact_sheet(torch.stack(rows), frames=_SHEET_FRAMES), overwrite=True)
