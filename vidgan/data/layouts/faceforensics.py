"""FaceForensics, first version (Roessler et al., 2018): ``{train,val,test}/{original,altered,mask}/<name>.avi``.

One of the three is used (option ``kind``, default original). Files with the same name are one group. The split is that
of the folders; val is excluded unless the option ``val`` assigns it. Frames are not cropped to the face mask.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import SIDES, Layout, search_all, videos_only
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_VIDEO: Final = re.compile(r"(?:^|/)(?:(train|val|test)/)?(original|altered|mask)/([^/]+)\.(?:avi|mp4)$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    sides = {"train": "train", "val": options["val"], "test": "test", None: None}
    return [
        Source(name, "video", (name,), group=match[3], split=sides[match[1]])
        for name, match in search_all(_VIDEO, tree.videos)
        if match[2] == options["kind"]
    ]


def _matches(tree: FileTree) -> bool:
    folders = {match[2] for _, match in search_all(_VIDEO, tree.videos)}
    return videos_only(_VIDEO, tree) and {"original", "altered"} <= folders


FACEFORENSICS = Layout(
    "faceforensics",
    "{train,val,test}/{original,altered,mask}/*.avi, or these three folders alone",
    _find,
    _matches,
    {"kind": ("original", "original|altered|mask"), "val": ("out", SIDES)},
)
