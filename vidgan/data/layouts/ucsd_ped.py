"""UCSD Pedestrian (Mahadevan et al., 2010): ``UCSDped1/Train/Train001/001.tif`` and ``Test/Test001/001.tif``.

Ped1 has 158x238 grey frames, Ped2 240x360; both may lie in one folder. The folders ``Test001_gt`` with masks are no
clips. ``Test/UCSDped1.m`` lists the anomalous frames (`vidgan.data.frame_labels`).
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, frames_among, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_FRAME: Final = re.compile(r"(?:^|/)(?:(UCSDped[12])/)?(Train|Test)/((?:Train|Test)\d{3})/\d{3}\.tif$")
_IMAGE: Final = re.compile(r"(?:^|/)(?:Train|Test)/(?:Train|Test)\d{3}(?:_gt)?/\d{3}\.(?:tif|bmp)$")
_FPS: Final = 10.0


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    return [
        Source(folder, "frames", tuple(names), group=folder, split=match[2].lower(), fps=_FPS)
        for folder, names, match in search_folders(_FRAME, tree)
    ]


UCSD_PED = Layout(
    "ucsd-ped",
    "UCSDped1/{Train,Test}/{Train,Test}001/001.tif ... (or UCSDped2), and for labels Test/UCSDped1.m",
    _find,
    frames_among(_FRAME, _IMAGE),
)
