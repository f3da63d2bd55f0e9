"""FaceForensics, first version (Roessler et al., 2018): ``{train,val,test}/{original,altered,mask}/<name>.avi``.

One of the three is taken (``kind``, default original); files of one name belong together. Train trains, test tests,
val is left out unless the option ``val`` says otherwise. Cropping to the face by the mask is not done.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import SIDES, Layout, search_all, videos_only
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing

_VIDEO: Final = re.compile(r"(?:^|/)(?:(train|val|test)/)?(original|altered|mask)/([^/]+)\.(?:avi|mp4)$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    sides = {"train": "train", "val": options["val"], "test": "test", None: None}
    return [
        Source(name, "video", (name,), group=match[3], split=sides[match[1]])
        for name, match in search_all(_VIDEO, listing.videos)
        if match[2] == options["kind"]
    ]


def _fits(listing: Listing) -> bool:
    folders = {match[2] for _, match in search_all(_VIDEO, listing.videos)}
    return videos_only(_VIDEO, listing) and {"original", "altered"} <= folders


FACEFORENSICS = Layout(
    "faceforensics",
    "{train,val,test}/{original,altered,mask}/*.avi, or these three folders alone",
    _find,
    _fits,
    {"kind": ("original", "original|altered|mask"), "val": ("out", SIDES)},
)
