"""Rules for categories, groups and splits of clips. `splitting` applies them."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from vidgan.data.layouts.split_folders import SplitFolders
from vidgan.data.sources.archives import archive_stem
from vidgan.errors import DataError
from vidgan.files import natural_key
from vidgan.seeding import derive_seed
from vidgan.types import UNLABELLED


@dataclass(frozen=True)
class Groupable:
    """The properties of a clip that the rules use.

    Attributes:
        name: of the clip; differs from `path` for clips of a multi-clip array (``a.npy#3``) and shots (``a@57``).
        path: posix path of its file, or of its folder of frames, below the source.
        is_folder: whether the clip is a folder of frames.
        twin: digest shared with exact copies and exact mirror images.
        origin: name of the recording that it was cut from, i.e. `name` without the shot; empty for `name`.
        category, group, split: as defined by a manifest, a label or a benchmark's layout; None if undefined.
    """

    name: str
    path: str
    is_folder: bool
    twin: str
    origin: str = ""
    category: str | None = None
    group: str | None = None
    split: str | None = None


def assign_categories(clips: Sequence[Groupable]) -> tuple[list[str], list[int]]:
    """Class names in natural order, and the class index of each clip.

    If the source defines the category of any clip, these are the classes, and other clips are `UNLABELLED`. Otherwise
    the class is the first folder below the source or, if that is the same for all clips, the clip's own folder.

    Raises DataError for a clip outside any folder, for fewer than two classes, and for class names that differ only in
    case or Unicode form (other file systems would merge them).
    """
    labels = [clip.category for clip in clips]
    if labels.count(None) == len(labels):
        labels = _folder_labels(clips)
    names = sorted({label for label in labels if label is not None}, key=natural_key)
    by_normal_form: dict[str, str] = {}
    for name in names:
        other = by_normal_form.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise DataError(f"categories {other!r} and {name!r} differ only in case or Unicode form; rename one")
    position = {name: i for i, name in enumerate(names)}
    return names, [UNLABELLED if label is None else position[label] for label in labels]


def _folder_labels(clips: Sequence[Groupable]) -> list[str | None]:
    split = SplitFolders.of((clip.path for clip in clips), (clip.is_folder for clip in clips))
    folders = [_folders(clip, split) for clip in clips]
    for clip, path in zip(clips, folders, strict=True):
        if not path:
            raise DataError(
                f"{clip.name}: not in a folder, so it has no category; move it into a folder named after its category"
            )
    level = 0 if len({path[0] for path in folders}) > 1 else -1
    labels: list[str | None] = [path[level] for path in folders]
    if len(set(labels)) < 2:
        raise DataError(f"categories need two or more folders; found: {', '.join(map(repr, set(labels))) or 'none'}")
    return labels


def _folders(clip: Groupable, split: SplitFolders | None) -> list[str]:
    """Folders of a clip that may be its category, outermost first."""
    parts = list(PurePosixPath(clip.path).parts)
    if split is not None:
        parts = split.without_split(parts)
    parts = [archive_stem(part) for part in parts]
    return parts if clip.is_folder and len(parts) == 1 else parts[:-1]


def assign_groups(clips: Sequence[Groupable], group_by: str | None) -> list[str]:
    """The group of each clip by the rule `group_by` of `prepare`, before copies are joined. Raises DataError."""
    if group_by is None:
        return [clip.group or clip.origin or clip.name for clip in clips]
    if group_by == "folder":
        return [PurePosixPath(clip.path).parent.as_posix() for clip in clips]
    if group_by == "number" or group_by.startswith("number//"):
        divisor = group_by.removeprefix("number").removeprefix("//") or "1"
        if not divisor.isdecimal() or int(divisor) < 1:
            raise DataError(f"group_by is {group_by!r}; accepted: number//N with N of 1 or more, such as number//8")
        return [str(_number(clip) // int(divisor)) for clip in clips]
    pattern = compile_pattern("group_by", group_by)
    return [_match(pattern, clip) for clip in clips]


def compile_pattern(option: str, pattern: str) -> re.Pattern[str]:
    """The compiled regular expression. Raises DataError naming the option if it is invalid."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DataError(f"{option} is {pattern!r}, not a valid regular expression: {error}") from error


def _number(clip: Groupable) -> int:
    path = PurePosixPath(clip.path)
    stem = path.name if clip.is_folder else path.stem
    numbers = re.findall(r"\d+", stem)
    if len(numbers) != 1:
        raise DataError(
            f"{clip.path}: group_by number needs one number in the name, found {len(numbers)}; use a regular expression"
        )
    return int(numbers[0])


def _match(pattern: re.Pattern[str], clip: Groupable) -> str:
    match = pattern.search(clip.path)
    if match is None:
        raise DataError(f"{clip.path}: group_by {pattern.pattern!r} does not match this path")
    group = match.group(1) if pattern.groups else match.group(0)
    if not group:
        raise DataError(f"{clip.path}: group_by {pattern.pattern!r} matches an empty group")
    return group


def join_twins(groups: Sequence[str], twins: Sequence[str]) -> tuple[list[str], int]:
    """Merge groups that share a clip, exact or mirrored. Returns the new groups and the number of copied clips.

    A merged group takes the first of the names, in natural order.
    """
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    first: dict[str, str] = {}
    for group, twin in zip(groups, twins, strict=True):
        a, b = sorted((root(group), root(first.setdefault(twin, group))), key=natural_key)
        parent[b] = a
    return [root(group) for group in groups], len(twins) - len(set(twins))


class Split(NamedTuple):
    """``"train"`` or ``"test"`` for each clip, and notices about the split."""

    of_clip: list[str]
    notices: list[str]


def split_by_share(groups: Sequence[str], categories: Sequence[int], *, holdout: float, seed: int) -> Split:
    """Hold out whole groups, in random order by `seed`, while that brings the test share closer to `holdout`.

    Both splits get at least one of two or more groups. A group is skipped if a category would lose its last training
    clip, unless no other choice remains. If there is one group, all clips are training clips.
    """
    sizes = Counter(groups)
    if holdout == 0:
        return Split(["train"] * len(groups), [])
    if len(sizes) < 2:
        text = "all clips belong to one group, so there is no test split"
        return Split(["train"] * len(groups), [f"{text}; add other videos, or select test files with --test-pattern"])
    order = sorted(sizes, key=lambda group: (derive_seed(seed, "split", group), group))
    content: dict[str, Counter[int]] = defaultdict(Counter)
    for group, category in zip(groups, categories, strict=True):
        content[group][category] += 1
    remaining = Counter(categories)
    target = holdout * len(groups)
    held: set[str] = set()
    count = 0
    for group in order:
        closer = abs(count + sizes[group] - target) < abs(count - target)
        empties = any(remaining[category] == number for category, number in content[group].items())
        if closer and not empties and len(held) + 1 < len(sizes):
            held.add(group)
            count += sizes[group]
            remaining -= content[group]
    notices = []
    if not held:
        held = {_least_harmful(order, sizes, content, remaining)}
    share = sum(sizes[group] for group in held) / len(groups)
    if abs(share - holdout) > 0.05 + holdout / 2:
        notices.append(f"the test split has {share:.0%} of the clips instead of {holdout:.0%}, as groups stay whole")
    return Split(["test" if group in held else "train" for group in groups], notices)


def _least_harmful(
    order: Sequence[str], sizes: Mapping[str, int], content: Mapping[str, Counter[int]], remaining: Counter[int]
) -> str:
    """The smallest group whose absence leaves every category a training clip, or the smallest if there is none."""
    return min(order, key=lambda group: (any(remaining[c] == n for c, n in content[group].items()), sizes[group]))


def split_by_pattern(clips: Sequence[Groupable], groups: Sequence[str], test_pattern: str) -> Split:
    """The clips whose path contains a match of `test_pattern` are the test split.

    Raises DataError when none or all match, or when a group would be divided.
    """
    pattern = compile_pattern("test_pattern", test_pattern)
    sides = ["test" if pattern.search(clip.path) else "train" for clip in clips]
    for required, meaning in (("test", "matches no clip"), ("train", "matches every clip")):
        if required not in sides:
            raise DataError(f"test_pattern {test_pattern!r} {meaning}; paths are of the form {clips[0].path}")
    first: dict[str, int] = {}
    for i, group in enumerate(groups):
        j = first.setdefault(group, i)
        if sides[i] != sides[j]:
            raise DataError(
                f"test_pattern {test_pattern!r} separates {clips[j].name} ({sides[j]}) and {clips[i].name} "
                f"({sides[i]}), which belong together (group {group!r}, or one is a copy or mirror image of the other)"
            )
    return Split(sides, [])


def split_as_given(clips: Sequence[Groupable], groups: Sequence[str]) -> Split:
    """The split defined by the source; clips that it does not assign are training clips.

    It is used unchanged, so that results stay comparable. A notice reports groups and copies that it separates.
    """
    sides = [clip.split or "train" for clip in clips]
    notices = []
    if num_unassigned := sum(clip.split is None for clip in clips):
        notices.append(f"{num_unassigned} clips that the split of the source does not assign are training clips")
    divided = sorted({g for g, side in zip(groups, sides, strict=True) if side == "test"} & _trained(groups, sides))
    if divided:
        notices.append(f"the split of the source divides {len(divided)} groups, such as {divided[0]!r}; it was kept")
    twins = [clip.twin for clip in clips]
    trained = _trained(twins, sides)
    leaks = [clip for clip, side in zip(clips, sides, strict=True) if side == "test" and clip.twin in trained]
    if leaks:
        first = next(
            c.name for c, side in zip(clips, sides, strict=True) if side == "train" and c.twin == leaks[0].twin
        )
        notices.append(
            f"{len(leaks)} test clips in the split of the source are exact copies or mirror images of training clips "
            f"({leaks[0].name} of {first}); the split was kept, which inflates scores"
        )
    return Split(sides, notices)


def _trained(names: Sequence[str], sides: Sequence[str]) -> set[str]:
    return {name for name, side in zip(names, sides, strict=True) if side == "train"}


def untrained_categories(names: Sequence[str], categories: Sequence[int], split: Sequence[str]) -> list[str]:
    """Names of the categories without a training clip."""
    trained = {category for category, side in zip(categories, split, strict=True) if side == "train"}
    return [name for i, name in enumerate(names) if i not in trained]
