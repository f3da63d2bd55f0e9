"""`Layout`: how the files of a published data set become clips. Also the searches that layouts share."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vidgan.data.sources.file_tree import FileTree, parent_of
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

OUT: Final = "out"
"""Split of a source that its benchmark uses neither for training nor for testing."""

SIDES: Final = "train|test|out"


@dataclass(frozen=True)
class Layout:
    """The folder structure of a published data set.

    Attributes:
        name: value of ``--layout``.
        expected: the files it consists of, for error messages.
        find: from files and options to sources, whose files are names of the tree; no source means that the files do
            not have this layout. `vidgan.data.layouts.discovery.discover` seals them and drops those with split `OUT`.
        matches: whether ``auto`` may interpret the files as this layout; None if it must be selected by name.
        options: default and accepted values (a regular expression) of each option.
    """

    name: str
    expected: str
    find: Callable[[FileTree, Mapping[str, str]], list[Source]]
    matches: Callable[[FileTree], bool] | None = None
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def parse_options(self, text: str) -> dict[str, str]:
        """Option values from ``key=value,key=value``, defaults included. Raises DataError."""
        values = {key: default for key, (default, _) in self.options.items()}
        for item in filter(None, text.split(",")):
            key, _, value = (part.strip() for part in item.partition("="))
            if key not in self.options:
                accepted = ", ".join(self.options) or "none"
                raise DataError(f"layout {self.name} has no option {key!r}; accepted: {accepted}")
            if not re.fullmatch(self.options[key][1], value):
                raise DataError(f"layout {self.name}: {key} is {value!r}; accepted: {self.options[key][1]}")
            values[key] = value
        return values


def search_all(pattern: re.Pattern[str], names: Iterable[str]) -> list[tuple[str, re.Match[str]]]:
    """The names that contain a match of `pattern`, each with the match."""
    return [(name, match) for name in names if (match := pattern.search(name))]


def all_match(pattern: re.Pattern[str], names: Sequence[str]) -> bool:
    """Whether `names` is not empty and every name contains a match of `pattern`."""
    return bool(names) and all(pattern.search(name) for name in names)


def images_only(pattern: re.Pattern[str], tree: FileTree) -> bool:
    """Whether there are images, all matching `pattern`, and no videos, which would otherwise be ignored."""
    return not tree.videos and all_match(pattern, tree.images)


def frames_among(frame: re.Pattern[str], image: re.Pattern[str]) -> Callable[[FileTree], bool]:
    """`Layout.matches` of a data set with `frame` images among other `image` files, such as annotations; no videos."""
    return lambda tree: images_only(image, tree) and any(frame.search(name) for name in tree.images)


def videos_only(pattern: re.Pattern[str], tree: FileTree) -> bool:
    """Whether there are videos, all matching `pattern`, and no images."""
    return not tree.images and all_match(pattern, tree.videos)


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by their folder, order preserved."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[parent_of(name)].append(name)
    return folders


def search_folders(pattern: re.Pattern[str], tree: FileTree) -> list[tuple[str, list[str], re.Match[str]]]:
    """Folders with images that match `pattern`: path, those images, and the match of the first one."""
    folders = by_folder(name for name in tree.images if pattern.search(name))
    matches = {folder: pattern.search(names[0]) for folder, names in folders.items()}
    return [(folder, folders[folder], match) for folder, match in matches.items() if match]


def only(tree: FileTree, ending: str) -> str | None:
    """The one file whose path ends with `ending`, None if there is none. Raises DataError for several."""
    found = [name for name in tree.names if name == ending or name.endswith(f"/{ending}")]
    if len(found) > 1:
        raise DataError(f"{tree.root}: several files {ending}: {found[0]}, {found[1]}; pass the folder of one of them")
    return found[0] if found else None
