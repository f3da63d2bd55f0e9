"""DAVIS (Pont-Tuset et al., 2017): ``JPEGImages/480p/<name>/00000.jpg`` and the lists in ``ImageSets``.

The lists (``ImageSets/2017/train.txt`` and ``val.txt``, else those of 2016, else 2016's old ``480p``) define the split:
train for training, val for testing, unlisted sequences excluded. Without lists there is no split. Annotations are not
clips.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, Layout, frames_among, only, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

_FRAME: Final = re.compile(r"(?:^|/)JPEGImages/([^/]+)/([^/]+)/\d{5}\.jpg$")
_IMAGE: Final = re.compile(r"(?:^|/)(?:JPEGImages|Annotations(?:_[a-z]+)?)/")
_FPS: Final = 24.0


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    folders = search_folders(_FRAME, tree)
    sizes = sorted({match[1] for _, _, match in folders})
    size = options["size"]
    if size == "auto":
        size = "480p" if "480p" in sizes else next(iter(sizes), "")
    sides = _sides(tree, options["year"]) if folders else None
    sources = []
    for folder, names, match in folders:
        if match[1] == size:
            split = None if sides is None else sides.get(match[2], OUT)
            sources.append(Source(folder, "frames", tuple(names), group=match[2], split=split, fps=_FPS))
    return sources


def _sides(tree: FileTree, year: str) -> dict[str, str] | None:
    for folder in ("2017", "2016", "480p") if year == "auto" else (year,):
        train, test = (only(tree, f"ImageSets/{folder}/{side}.txt") for side in ("train", "val"))
        if train and test:
            sides = {_sequence(line): "train" for line in tree.lines(train)}
            return sides | {_sequence(line): "test" for line in tree.lines(test)}
    if year != "auto":
        raise DataError(f"{tree.root}: ImageSets/{year}/train.txt or val.txt is missing")
    return None


def _sequence(line: str) -> str:
    """``bear`` or, in the lists of 2016, ``/JPEGImages/480p/bear/00000.jpg /Annotations/...`` -> ``bear``."""
    first = line.split()[0]
    return first.split("/")[-2] if "/" in first else first


DAVIS = Layout(
    "davis",
    "JPEGImages/480p/<name>/00000.jpg, and for the split ImageSets/2017/train.txt and val.txt",
    _find,
    frames_among(_FRAME, _IMAGE),
    {"size": ("auto", "auto|[A-Za-z0-9-]+"), "year": ("auto", "auto|2016|2017")},
)
