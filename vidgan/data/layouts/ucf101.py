"""UCF-101 (Soomro et al., 2012): ``v_ApplyEyeMakeup_g01_c01.avi`` in one folder per class, and ``ucfTrainTestlist``.

Category is the class, group the class with its gNN (clips of one group share persons and scene). The split is that of
trainlist01 and testlist01, or of list 2 or 3 (option ``list``); without lists there is none. ``every=10`` keeps only
lines 1, 11, 21, ... of the test list, the 379 clips of Mathieu et al. (2016) and of work that compares with it.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, Layout, only, search_all, videos_only
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

_VIDEO: Final = re.compile(r"(?:^|/)(v_([A-Za-z0-9]+)_(g\d\d)_c\d\d)\.(?:avi|mp4)$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    found = search_all(_VIDEO, tree.videos)
    if not found:
        return []
    number = options["list"]
    lists = {side: only(tree, f"{side}list0{number}.txt") for side in ("train", "test")}
    sides: dict[str, str] | None = None
    if lists["train"] and lists["test"]:
        sides = dict.fromkeys(_titles(tree, lists["train"]), "train")
        tests = _titles(tree, lists["test"])
        sides |= dict.fromkeys(tests, OUT) | dict.fromkeys(tests[:: int(options["every"])], "test")
    elif options["every"] != "1" or number != "1":
        raise DataError(f"{tree.root}: trainlist0{number}.txt or testlist0{number}.txt is missing")
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


def _titles(tree: FileTree, path: str) -> list[str]:
    """``ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`` -> ``v_ApplyEyeMakeup_g08_c01``."""
    return [line.split()[0].rpartition("/")[2].rpartition(".")[0] for line in tree.lines(path)]


UCF101 = Layout(
    "ucf101",
    "<Class>/v_<Class>_g01_c01.avi, and for the split ucfTrainTestlist/trainlist01.txt and testlist01.txt",
    _find,
    lambda tree: videos_only(_VIDEO, tree),
    {"list": ("1", "[123]"), "every": ("1", "[1-9][0-9]{0,3}")},
)
