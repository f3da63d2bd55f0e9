"""BAIR robot pushing (Ebert et al., 2017): ``softmotion30_44k/{train,test}/traj_0_to_255.tfrecords``.

Each record is one trajectory of 30 frames of 64x64, one clip and one group. Options: ``camera=image_aux1`` (the usual
choice) or ``image_main``.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, search_all
from vidgan.data.sources.file_tree import FileTree, is_clip_file
from vidgan.data.sources.source import Source

_FILE: Final = re.compile(r"(?:^|/)(?:(train|test)/)?traj_\d+_to_\d+\.tfrecords$")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    recipe = json.dumps({"camera": options["camera"]})
    return [
        Source(name, "tfrecord", (name,), split=match[1], recipe=recipe)
        for name, match in search_all(_FILE, tree.names)
    ]


BAIR = Layout(
    "bair",
    "softmotion30_44k/{train,test}/traj_<number>_to_<number>.tfrecords",
    _find,
    lambda tree: any(_FILE.search(name) for name in tree.names) and not any(map(is_clip_file, tree.names)),
    {"camera": ("image_aux1", "image_aux1|image_main")},
)
