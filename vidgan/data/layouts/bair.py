"""BAIR robot pushing (Ebert et al., 2017): ``softmotion30_44k/{train,test}/traj_0_to_255.tfrecords``.

Each record is one trajectory of 30 frames of 64x64. ``camera=image_aux1`` (the usual choice) or ``image_main``. Every
trajectory is a clip and a group by itself.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, search_all
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing, is_clip_file

_FILE: Final = re.compile(r"(?:^|/)(?:(train|test)/)?traj_\d+_to_\d+\.tfrecords$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    recipe = json.dumps({"camera": options["camera"]})
    return [
        Source(name, "tfrecord", (name,), split=match[1], recipe=recipe)
        for name, match in search_all(_FILE, listing.names)
    ]


BAIR = Layout(
    "bair",
    "softmotion30_44k/{train,test}/traj_<number>_to_<number>.tfrecords",
    _find,
    lambda listing: any(_FILE.search(name) for name in listing.names) and not any(map(is_clip_file, listing.names)),
    {"camera": ("image_aux1", "image_aux1|image_main")},
)
