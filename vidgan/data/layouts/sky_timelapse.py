"""SkyTimelapse (Xiong et al., 2018): ``sky_train`` and ``sky_test`` with one folder per video, split into clips.

``sky_train/<video>/<video>_1/<video>_frames_00000046.jpg``, 640x360. Each innermost folder is a clip; the clips of one
video are a group.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, images_only, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_FRAME: Final = re.compile(r"(?:^|/)sky_(train|test)/([^/]+)/(?:[^/]+/)?[^/]+\.(?:jpg|jpeg|png)$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    return [
        Source(folder, "frames", tuple(names), group=match[2], split=match[1])
        for folder, names, match in search_folders(_FRAME, tree)
    ]


SKY_TIMELAPSE = Layout(
    "sky-timelapse",
    "{sky_train,sky_test}/<video>/<video>_1/*.jpg",
    _find,
    lambda tree: images_only(_FRAME, tree),
)
