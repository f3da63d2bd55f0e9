"""Vimeo-90K (Xue et al., 2019): septuplets or triplets ``sequences/00001/0001/im1.png``, 448x256, with their lists.

The lists (``sep_trainlist.txt``, ``sep_testlist.txt``, or ``tri_`` for triplets) give the split; without them there is
none. Of the interpolation test set ``vimeo_interp_test/target/00001/0389/im1.png`` every triplet tests.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, Layout, frames_among, only, search_folders
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing
from vidgan.errors import DataError

_FRAME: Final = re.compile(r"(?:^|/)(sequences|target)/(\d{5}/\d{4})/im[1-7]\.png$")

_PICTURE: Final = re.compile(r"(?:^|/)(?:sequences|target|input)/\d{5}/\d{4}/im[1-7]\.png$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    folders = search_folders(_FRAME, listing)
    sides = _sides(listing) if folders else None
    sources = []
    for folder, names, match in folders:
        split = "test" if match[1] == "target" else None if sides is None else sides.get(match[2], OUT)
        sources.append(Source(folder, "frames", tuple(names), group=match[2], split=split))
    return sources


def _sides(listing: Listing) -> dict[str, str] | None:
    pairs = [(only(listing, f"{kind}_trainlist.txt"), only(listing, f"{kind}_testlist.txt")) for kind in ("sep", "tri")]
    whole = [(train, test) for train, test in pairs if train and test]
    if len(whole) > 1:
        raise DataError(f"{listing.root}: holds the lists of septuplets and of triplets; give the folder of one set")
    if not whole:
        return None
    train, test = whole[0]
    return dict.fromkeys(listing.lines(train), "train") | dict.fromkeys(listing.lines(test), "test")


VIMEO90K = Layout(
    "vimeo90k",
    "sequences/00001/0001/im1.png, ... with their lists, or vimeo_interp_test/target/00001/0389/im1.png, ...",
    _find,
    frames_among(_FRAME, _PICTURE),
)
