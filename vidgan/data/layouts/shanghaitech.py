"""ShanghaiTech Campus (Luo et al., 2017): ``training/videos/01_001.avi`` and ``testing/frames/01_0014/000.jpg``.

Thirteen scenes at 480x856 and 24 frames per second. Extracted ``training/frames/01_001`` are read instead of the videos
if they are there. ``testing/test_frame_mask/01_0014.npy`` holds the label of each frame (`vidgan.data.frame_labels`).
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, search_all, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_VIDEO: Final = re.compile(r"(?:^|/)training/videos/(\d\d_\d{3,4})\.avi$")
_FRAME: Final = re.compile(r"(?:^|/)(train|test)ing/frames/(\d\d_\d{3,4})/\d+\.jpg$")
_FPS: Final = 24.0


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    folders = search_folders(_FRAME, tree)
    sources = [
        Source(folder, "frames", tuple(names), group=match[2], split=match[1], fps=_FPS)
        for folder, names, match in folders
    ]
    extracted = {match[2] for _, _, match in folders}
    return sources + [
        Source(name, "video", (name,), group=match[1], split="train")
        for name, match in search_all(_VIDEO, tree.videos)
        if match[1] not in extracted
    ]


SHANGHAITECH = Layout(
    "shanghaitech",
    "training/videos/01_001.avi ... and testing/frames/01_0014/000.jpg ..., and for labels testing/test_frame_mask",
    _find,
    lambda tree: any(match[1] == "test" for _, _, match in search_folders(_FRAME, tree)),
)
