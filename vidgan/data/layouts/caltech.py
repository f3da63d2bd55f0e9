"""Caltech Pedestrian (Dollar et al., 2012): ``set06/V000.seq``, Norpix streams of JPEG frames, 640x480 at 30 Hz.

Training: sets 00 to 05. Test: sets 06 to 10, as the data set defines. Each V file is a group.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, all_match, search_all
from vidgan.data.sources.file_tree import FileTree, is_clip_file, suffix_of
from vidgan.data.sources.source import Source

_VIDEO: Final = re.compile(r"(?:(?:^|/)set(\d\d)(?:\.tar)?/)?(?:set\d\d/)?(V\d{3})\.seq$", re.IGNORECASE)


def _streams(tree: FileTree) -> list[str]:
    return [name for name in tree.names if suffix_of(name) == ".seq"]


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    sources = []
    for name, match in search_all(_VIDEO, _streams(tree)):
        split = None if match[1] is None else "test" if int(match[1]) >= 6 else "train"
        group = match[2] if match[1] is None else f"set{match[1]}/{match[2]}"
        sources.append(Source(name, "norpix", (name,), group=group, split=split))
    return sources


def _matches(tree: FileTree) -> bool:
    return all_match(_VIDEO, _streams(tree)) and not any(map(is_clip_file, tree.names))


CALTECH = Layout("caltech-seq", "set00 to set10, each with V000.seq, V001.seq, ...", _find, _matches)
