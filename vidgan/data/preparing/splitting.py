"""SPLIT: assign a category, a group and a split to every clip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vidgan.data.preparing.cutting import CutClip, CutSource
from vidgan.data.preparing.grouping import (
    Groupable,
    Split,
    assign_categories,
    assign_groups,
    join_twins,
    split_as_given,
    split_by_pattern,
    split_by_share,
    untrained_categories,
)
from vidgan.data.preparing.options import HOLDOUT, Options
from vidgan.data.sources.source import Source
from vidgan.data.store.index import ClipEntry
from vidgan.files import natural_key
from vidgan.types import UNLABELLED


@dataclass(frozen=True)
class SplitClips:
    """The SPLIT stage's result.

    Attributes:
        categories: class names in natural order.
        clips: all clips in natural order of their names.
        notices: what a person should know about categories, groups and split.
    """

    categories: list[str]
    clips: list[ClipEntry]
    notices: list[str]


def check_split_by_name(sources: Sequence[Source], options: Options) -> None:
    """Raise DataError for categories, groups or a test_pattern that the names of the sources alone contradict."""
    named = [Groupable(s.name, s.name, s.kind == "frames", "", "", s.category, s.group, s.split) for s in sources]
    if options.categories:
        assign_categories(named)
    groups = assign_groups(named, options.group_by)
    if options.test_pattern is not None:
        split_by_pattern(named, groups, options.test_pattern)


def split_clips(cut: Iterable[CutSource], options: Options) -> SplitClips:
    """Categories, groups and split of all clips of the cut sources. Raises DataError if they cannot be determined."""
    found = [(source, clip) for source in cut for clip in source.clips]
    found.sort(key=lambda pair: natural_key(pair[0].source + pair[1].label))
    clips = [_groupable(source, clip) for source, clip in found]
    is_labelled = options.categories or any(clip.category is not None for clip in clips)
    names, categories = assign_categories(clips) if is_labelled else ([], [UNLABELLED] * len(clips))
    groups, split, num_copies = _group_and_split(clips, categories, options)
    entries = [
        ClipEntry(
            id=cut_clip.id,
            source=clip.name,
            group=group,
            category=category,
            split=side,
            frames=cut_clip.frames,
            fps=cut_clip.fps,
            digest=cut_clip.digest,
            start=cut_clip.start,
            file=source.file,
        )
        for (source, cut_clip), clip, group, category, side in zip(
            found, clips, groups, categories, split.of_clip, strict=True
        )
    ]
    notices = [*split.notices, *_override_notices(clips, options)]
    for name in untrained_categories(names, categories, split.of_clip):
        notices.append(f"category {name!r} has no training clip: all its clips belong to test groups")
    if names and UNLABELLED in categories:
        notices.append(f"{categories.count(UNLABELLED)} clips have no category, although others have")
    if num_copies:
        notices.append(f"{num_copies} clips are exact copies or mirror images of others; they share the others' split")
    return SplitClips(names, entries, notices)


def _groupable(source: CutSource, clip: CutClip) -> Groupable:
    name = source.source + clip.label
    return Groupable(
        name=name,
        path=source.source,
        is_folder=source.kind == "frames",
        twin=clip.twin,
        origin=name.removesuffix(f"@{clip.start}"),
        category=clip.category or source.category,
        group=clip.group or source.group,
        split=clip.split or source.split,
    )


def _group_and_split(
    clips: Sequence[Groupable], categories: Sequence[int], options: Options
) -> tuple[list[str], Split, int]:
    """Groups, split, and the number of clips that copy another one."""
    groups, twins = assign_groups(clips, options.group_by), [clip.twin for clip in clips]
    is_given = options.test_pattern is None and options.holdout is None and any(clip.split for clip in clips)
    if is_given:
        split = split_as_given(clips, groups)
        # Join copies only within a side: the published split of a benchmark is kept even where it separates copies.
        twins = [f"{side} {twin}" for side, twin in zip(split.of_clip, twins, strict=True)]
        sided = [f"{side} {group}" for side, group in zip(split.of_clip, groups, strict=True)]
        joined, num_copies = join_twins(sided, twins)
        return [group.split(" ", 1)[1] for group in joined], split, num_copies
    groups, num_copies = join_twins(groups, twins)
    if options.test_pattern is not None:
        return groups, split_by_pattern(clips, groups, options.test_pattern), num_copies
    holdout = HOLDOUT if options.holdout is None else options.holdout
    return groups, split_by_share(groups, categories, holdout=holdout, seed=options.seed), num_copies


def _override_notices(clips: Sequence[Groupable], options: Options) -> list[str]:
    """Which options replaced information of the source."""
    notices = []
    used = "test_pattern" if options.test_pattern is not None else "holdout" if options.holdout is not None else None
    if used and any(clip.split for clip in clips):
        notices.append(f"{used} replaces the split of the source: scores are not comparable with published ones")
    if options.group_by is not None and any(clip.group for clip in clips):
        notices.append("group_by replaces the groups of the source")
    return notices
