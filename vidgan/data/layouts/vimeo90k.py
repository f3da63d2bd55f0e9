"""Vimeo-90K (Xue et al., 2019): septuplets or triplets ``sequences/00001/0001/im1.png``, 448x256, with their lists.

The lists (``sep_trainlist.txt``, ``sep_testlist.txt``, or ``tri_`` for triplets) define the split; without them there
is none. All triplets of the interpolation set ``vimeo_interp_test/target/00001/0389/im1.png`` are test clips.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, Layout, frames_among, only, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

_FRAME: Final = re.compile(r"(?:^|/)(sequences|target)/(\d{5}/\d{4})/im[1-7]\.png$")
_IMAGE: Final = re.compile(r"(?:^|/)(?:sequences|target|input)/\d{5}/\d{4}/im[1-7]\.png$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    folders = search_folders(_FRAME, tree)
    sides = _sides(tree) if folders else None
    sources = []
    for folder, names, match in folders:
        split = "test" if match[1] == "target" else None if sides is None else sides.get(match[2], OUT)
        sources.append(Source(folder, "frames", tuple(names), group=match[2], split=split))
    return sources


def _sides(tree: FileTree) -> dict[str, str] | None:
    pairs = [(only(tree, f"{kind}_trainlist.txt"), only(tree, f"{kind}_testlist.txt")) for kind in ("sep", "tri")]
    complete = [(train, test) for train, test in pairs if train and test]
    if len(complete) > 1:
        raise DataError(f"{tree.root}: lists of septuplets and of triplets; pass the folder of one set")
    if not complete:
        return None
    train, test = complete[0]
    return dict.fromkeys(tree.lines(train), "train") | dict.fromkeys(tree.lines(test), "test")


VIMEO90K = Layout(
    "vimeo90k",
    "sequences/00001/0001/im1.png, ... with their lists, or vimeo_interp_test/target/00001/0389/im1.png, ...",
    _find,
    frames_among(_FRAME, _IMAGE),
)
