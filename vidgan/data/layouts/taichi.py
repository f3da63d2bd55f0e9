"""TaiChi-HD (Siarohin et al., 2019) as cut by its loader: ``{train,test}/<video>#<start>#<end>.mp4``.

Each of these is a video, or a folder of frames despite its suffix (the loader's ``--format .png`` or ``.jpg``). The
group is the video that the segments were cut from.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, all_match, search_all, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_SEGMENT: Final = r"(?:^|/)(?:(train|test)/)?([^/#]+)#\d+#\d+(?:\.mp4)?"
_FRAME: Final = re.compile(_SEGMENT + r"/\d+\.(?:png|jpg)$")
_VIDEO: Final = re.compile(_SEGMENT[: -len(r"(?:\.mp4)?")] + r"\.mp4$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    sources = [
        Source(name, "video", (name,), group=match[2], split=match[1])
        for name, match in search_all(_VIDEO, tree.videos)
    ]
    for folder, names, match in search_folders(_FRAME, tree):
        sources.append(Source(folder, "frames", tuple(names), group=match[2], split=match[1]))
    return sources


def _matches(tree: FileTree) -> bool:
    images_match = not tree.images or all_match(_FRAME, tree.images)
    videos_match = not tree.videos or all_match(_VIDEO, tree.videos)
    return images_match and videos_match and bool(tree.images or tree.videos)


TAICHI = Layout(
    "taichi",
    "{train,test}/<video>#<start>#<end>.mp4, each a folder of 0000000.png, ... or a video",
    _find,
    _matches,
)
