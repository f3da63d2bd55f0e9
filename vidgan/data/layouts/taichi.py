"""TaiChi-HD (Siarohin et al., 2019) as cut by its loader: ``{train,test}/<video>#<start>#<end>.mp4``.

Each of these is a folder of frames (the loader's ``--format .png`` or ``.jpg``), whatever its name says, or a video.
The group is the video that the pieces were cut from.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, all_match, search_all, search_folders
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing

_PIECE: Final = r"(?:^|/)(?:(train|test)/)?([^/#]+)#\d+#\d+(?:\.mp4)?"
_FRAME: Final = re.compile(_PIECE + r"/\d+\.(?:png|jpg)$")
_VIDEO: Final = re.compile(_PIECE[: -len(r"(?:\.mp4)?")] + r"\.mp4$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    sources = [
        Source(name, "video", (name,), group=match[2], split=match[1])
        for name, match in search_all(_VIDEO, listing.videos)
    ]
    for folder, names, match in search_folders(_FRAME, listing):
        sources.append(Source(folder, "frames", tuple(names), group=match[2], split=match[1]))
    return sources


def _fits(listing: Listing) -> bool:
    pictures = not listing.images or all_match(_FRAME, listing.images)
    videos = not listing.videos or all_match(_VIDEO, listing.videos)
    return pictures and videos and bool(listing.images or listing.videos)


TAICHI = Layout(
    "taichi",
    "{train,test}/<video>#<start>#<end>.mp4, each a folder of 0000000.png, ... or a video",
    _find,
    _fits,
)
