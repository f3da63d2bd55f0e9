"""What a layout is: how the files of a source, as a benchmark is distributed, become clips."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing, parent_of
from vidgan.errors import DataError

OUT: Final = "out"
"""The split of a source that its benchmark keeps for something else than training and testing."""

SIDES: Final = "train|test|out"


@dataclass(frozen=True)
class Layout:
    """A way in which a data set lies on disk.

    Attributes:
        name: what ``--layout`` takes.
        expected: what has to lie there, for people.
        find: from the files and the options to sources, whose files are names of the listing. They are sealed, and
            those whose split is `OUT` dropped, by `vidgan.data.sources.discovery.discover`. None found means: not this layout.
        fits: whether ``auto`` may take the files for this layout; None where a person has to say so.
        options: default and accepted values (a regular expression) of each option.
    """

    name: str
    expected: str
    find: Callable[[Listing, Mapping[str, str]], list[Source]]
    fits: Callable[[Listing], bool] | None = None
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def settings(self, text: str) -> dict[str, str]:
        """Option values from ``key=value,key=value``. Raises DataError naming what is accepted."""
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
    """The names in which `pattern` is found, with the match."""
    return [(name, match) for name in names if (match := pattern.search(name))]


def all_match(pattern: re.Pattern[str], names: Sequence[str]) -> bool:
    """Whether there are names, and `pattern` is found in every one."""
    return bool(names) and all(pattern.search(name) for name in names)


def images_only(pattern: re.Pattern[str], listing: Listing) -> bool:
    """Whether there are images, all of them such, and no videos, which would otherwise be passed over."""
    return not listing.videos and all_match(pattern, listing.images)


def frames_among(frame: re.Pattern[str], picture: re.Pattern[str]) -> Callable[[Listing], bool]:
    """`Layout.fits` of a set of `frame` images that may hold other pictures too, such as annotations, but no videos."""
    return lambda listing: images_only(picture, listing) and any(frame.search(name) for name in listing.images)


def videos_only(pattern: re.Pattern[str], listing: Listing) -> bool:
    """Whether there are videos, all of them such, and no images."""
    return not listing.images and all_match(pattern, listing.videos)


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by the folder that holds them, in the order given."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[parent_of(name)].append(name)
    return folders


def search_folders(pattern: re.Pattern[str], listing: Listing) -> list[tuple[str, list[str], re.Match[str]]]:
    """Every folder of images in which `pattern` is found: its path, those images, and the match of the first."""
    folders = by_folder(name for name in listing.images if pattern.search(name))
    matches = {folder: pattern.search(names[0]) for folder, names in folders.items()}
    return [(folder, folders[folder], match) for folder, match in matches.items() if match]


def only(listing: Listing, ending: str) -> str | None:
    """The one file whose path ends so, None where there is none. Raises DataError for several."""
    found = [name for name in listing.names if name == ending or name.endswith(f"/{ending}")]
    if len(found) > 1:
        raise DataError(f"{listing.root}: several files {ending}: {found[0]}, {found[1]}; give the folder of one")
    return found[0] if found else None
