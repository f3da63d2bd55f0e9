"""SkyTimelapse (Xiong et al., 2018): ``sky_train`` and ``sky_test``, in them a folder a video, in it folders of frames.

``sky_train/<video>/<video>_1/<video>_frames_00000046.jpg``, 640x360. Each innermost folder is a clip, all of one video
are a group.
"""

import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, images_only, search_folders
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing

_FRAME: Final = re.compile(r"(?:^|/)sky_(train|test)/([^/]+)/(?:[^/]+/)?[^/]+\.(?:jpg|jpeg|png)$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    return [
        Source(folder, "frames", tuple(names), group=match[2], split=match[1])
        for folder, names, match in search_folders(_FRAME, listing)
    ]


SKY_TIMELAPSE = Layout(
    "sky-timelapse",
    "sky_train and sky_test, in them <video>/<video>_1/*.jpg",
    _find,
    lambda listing: images_only(_FRAME, listing),
)
