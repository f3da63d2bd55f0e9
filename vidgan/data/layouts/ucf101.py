"""UCF-101 (Soomro et al., 2012): ``v_ApplyEyeMakeup_g01_c01.avi`` in a folder a class, and ``ucfTrainTestlist``.

Category is the class, group the class with its gNN (one group shares persons and scene). The split is that of
trainlist01 and testlist01, or of list 2 or 3; without lists there is none. ``every=10`` keeps only lines 1, 11, 21, ...
of the test list: the 379 clips of Mathieu et al. (2016) and of those who compare with them.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, Layout, only, search_all, videos_only
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing
from vidgan.errors import DataError

_VIDEO: Final = re.compile(r"(?:^|/)(v_([A-Za-z0-9]+)_(g\d\d)_c\d\d)\.(?:avi|mp4)$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    found = search_all(_VIDEO, listing.videos)
    if not found:
        return []
    number = options["list"]
    lists = {side: only(listing, f"{side}list0{number}.txt") for side in ("train", "test")}
    sides: dict[str, str] | None = None
    if lists["train"] and lists["test"]:
        sides = dict.fromkeys(_titles(listing, lists["train"]), "train")
        tests = _titles(listing, lists["test"])
        sides |= dict.fromkeys(tests, OUT) | dict.fromkeys(tests[:: int(options["every"])], "test")
    elif options["every"] != "1" or number != "1":
        raise DataError(f"{listing.root}: trainlist0{number}.txt and testlist0{number}.txt are not in it")
    return [
        Source(
            name,
            "video",
            (name,),
            category=match[2],
            group=f"{match[2]}_{match[3]}",
            split=None if sides is None else sides.get(match[1], OUT),
        )
        for name, match in found
    ]


def _titles(listing: Listing, path: str) -> list[str]:
    """``ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`` -> ``v_ApplyEyeMakeup_g08_c01``."""
    return [line.split()[0].rpartition("/")[2].rpartition(".")[0] for line in listing.lines(path)]


UCF101 = Layout(
    "ucf101",
    "<Class>/v_<Class>_g01_c01.avi, and for the split ucfTrainTestlist/trainlist01.txt and testlist01.txt",
    _find,
    lambda listing: videos_only(_VIDEO, listing),
    {"list": ("1", "[123]"), "every": ("1", "[1-9][0-9]{0,3}")},
)
