"""Weizmann actions (Gorelick et al., 2007): ``daria_walk.avi``, 180x144, nine persons, ten actions.

Category is the action, group the person; lena has two videos of some actions (``lena_walk1.avi``). There is no common
split.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, search_all, videos_only
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_PERSONS: Final = "daria|denis|eli|ido|ira|lena|lyova|moshe|shahar"
_ACTIONS: Final = "bend|jack|jump|pjump|run|side|skip|walk|wave1|wave2"
_VIDEO: Final = re.compile(rf"(?:^|/)({_PERSONS})_({_ACTIONS})[12]?\.(?:avi|mp4)$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    found = search_all(_VIDEO, tree.videos)
    return [Source(name, "video", (name,), category=match[2], group=match[1]) for name, match in found]


WEIZMANN = Layout(
    "weizmann",
    "daria_walk.avi, lena_walk1.avi, ...: <person>_<action>.avi in any folders or the zips of the actions",
    _find,
    lambda tree: videos_only(_VIDEO, tree),
)
