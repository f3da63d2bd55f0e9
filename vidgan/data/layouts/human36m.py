"""Human3.6M (Ionescu et al., 2014) as frames: ``S1_Directions.54138969_000001.jpg``, all in one folder.

A clip is one subject, action and camera at 50 frames per second (papers on prediction use every fifth: ``every``).
Category is the action, group the subject. Test subjects are S9 and S11. The window lists of STRPM and OpenSTL are not
read: 98.8 % of their test windows share a frame with a training window.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, images_only
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

TEST_SUBJECTS: Final = frozenset({"S9", "S11"})
_FPS: Final = 50.0
_FRAME: Final = re.compile(r"^((?:.*/)?(S\d+)_([A-Za-z]+)((?:_|%20| )\d+)?\.(\d{8}))_(\d{6})\.(?:jpg|png)$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    clips: dict[str, list[str]] = defaultdict(list)
    matches: dict[str, re.Match[str]] = {}
    for name in tree.images:
        if match := _FRAME.search(name):
            clips[match[1]].append(name)
            matches[match[1]] = match
    return [
        Source(
            clip,
            "frames",
            tuple(sorted(names, key=lambda name: name[-10:-4])),
            category=matches[clip][3],
            group=matches[clip][2],
            split="test" if matches[clip][2] in TEST_SUBJECTS else "train",
            fps=_FPS,
        )
        for clip, names in clips.items()
    ]


HUMAN36M = Layout(
    "human36m",
    "images/S1_Directions.54138969_000001.jpg, ...: <subject>_<action>.<camera>_<frame>.jpg",
    _find,
    lambda tree: images_only(_FRAME, tree),
)
