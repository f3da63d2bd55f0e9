"""CUHK Avenue (Lu et al., 2013): ``training_videos/01.avi`` to ``16.avi`` and ``testing_videos/01.avi`` to ``21.avi``.

360x640 at 25 frames per second. ``ground_truth_demo/testing_label_mask/1_label.mat`` holds the masks of the anomalies
(`vidgan.data.frame_labels`).
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, search_all
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source

_VIDEO: Final = re.compile(r"(?:^|/)(train|test)ing_videos/(\d\d)\.avi$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    return [
        Source(name, "video", (name,), group=name, split=match[1]) for name, match in search_all(_VIDEO, tree.videos)
    ]


def _matches(tree: FileTree) -> bool:
    sides = {match[1] for _, match in search_all(_VIDEO, tree.videos)}
    return sides == {"train", "test"}


AVENUE = Layout(
    "avenue",
    "training_videos/01.avi ... and testing_videos/01.avi ..., and for labels ground_truth_demo/testing_label_mask",
    _find,
    _matches,
)
