"""KTH actions (Schuldt et al., 2004): ``person01_walking_d1_uncomp.avi``, 160x120 at 25 frames per second, 599 files.

Category is the action, group the person. Test persons are 17 to 25 (MCNet, PredRNN, SimVP); ``test=21-25`` is the split
of SVG and later work. The frame folders of PredRNN (``walking/person01_walking_d1/image_0001.jpg``) are read too. If
MCNet's lists are present (``test_data_list.txt``, ``train_data_list.txt`` or ``train_data_list_trimmed.txt``; lines
``person17_boxing_d1 1 95``, first and last frame counted from 1), the clips of that split are the listed segments, in
which the person is visible.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from vidgan.data.layouts.layout import Layout, images_only, only, search_all, search_folders, videos_only
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

_ACTIONS: Final = "boxing|handclapping|handwaving|jogging|running|walking"
_VIDEO: Final = re.compile(rf"(?:^|/)(person(\d\d)_({_ACTIONS})_d\d)(?:_uncomp)?\.(?:avi|mp4)$")
_FRAME: Final = re.compile(rf"(?:^|/)(person(\d\d)_({_ACTIONS})_d\d)(?:_uncomp)?/[^/]*\d+\.(?:jpg|png)$")
_LISTS: Final = {
    "test": ("test_data_list.txt",),
    "train": ("train_data_list_trimmed.txt", "train_data_list.txt"),
}
_FPS: Final = 25.0


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    first, last = map(int, options["test"].split("-"))
    whole: dict[str, list[Source]] = {}
    for title, person, action, name, files in (*_videos(tree), *_frame_folders(tree)):
        whole.setdefault(title, []).append(
            Source(
                name,
                "frames" if files else "video",
                files or (name,),
                category=action,
                group=f"person{person}",
                split="test" if first <= int(person) <= last else "train",
                fps=_FPS if files else None,
            )
        )
    sources = [source for copies in whole.values() for source in copies]
    if not sources or options["lists"] == "off":
        return sources
    for side, endings in _LISTS.items():
        path = next((path for ending in endings if (path := only(tree, ending))), None)
        if path is not None:
            kept = [source for source in sources if source.split != side]
            sources = kept + [source for source in _listed(tree, path, whole) if source.split == side]
    return sources


def _videos(tree: FileTree) -> Iterable[tuple[str, str, str, str, tuple[str, ...]]]:
    for name, match in search_all(_VIDEO, tree.videos):
        yield match[1], match[2], match[3], name, ()


def _frame_folders(tree: FileTree) -> Iterable[tuple[str, str, str, str, tuple[str, ...]]]:
    for folder, names, match in search_folders(_FRAME, tree):
        yield match[1], match[2], match[3], folder, tuple(names)


def _listed(tree: FileTree, path: str, whole: Mapping[str, list[Source]]) -> list[Source]:
    """The segments in one of MCNet's lists. Listed videos that are missing are skipped, so a subset of KTH works."""
    sources: list[Source] = []
    listed: set[tuple[str, int, int]] = set()
    for number, line in enumerate(tree.lines(path), start=1):
        words = line.replace(",", " ").split()
        if len(words) != 3 or not (words[1].isdecimal() and words[2].isdecimal()):
            raise DataError(f"{tree.root / path}: line {number} is {line!r}; expected: person17_boxing_d1 1 95")
        title, start, end = words[0].removesuffix("_uncomp"), int(words[1]) - 1, int(words[2])
        if not 0 <= start < end:
            raise DataError(
                f"{tree.root / path}: line {number}: frames {words[1]} to {words[2]}; accepted: first <= last, from 1"
            )
        for source in whole.get(title, ()):
            if (source.name, start, end) not in listed:
                listed.add((source.name, start, end))
                sources.append(replace(source, name=f"{source.name}:{start}-{end}", start=start, end=end))
    return sources


def _matches(tree: FileTree) -> bool:
    return videos_only(_VIDEO, tree) or images_only(_FRAME, tree)


KTH = Layout(
    "kth",
    "person01_walking_d1_uncomp.avi ... in folders or the zips of the actions, or <action>/person01_walking_d1/*.jpg",
    _find,
    _matches,
    {"test": ("17-25", r"\d\d?-\d\d?"), "lists": ("on", "on|off")},
)
