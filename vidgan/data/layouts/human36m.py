"""Human3.6M (Ionescu et al., 2014) as frames: ``S1_Directions.54138969_000001.jpg``, all in one folder.

A clip is one subject, action and camera; 50 frames a second (papers on prediction take every fifth: ``every``).
Category is the action, group the subject; S9 and S11 test. The window lists that STRPM and OpenSTL use are not read:
98.8 % of their test windows share a frame with a training window.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, images_only
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing

TEST_SUBJECTS: Final = frozenset({"S9", "S11"})
_FPS: Final = 50.0
_FRAME: Final = re.compile(r"^((?:.*/)?(S\d+)_([A-Za-z]+)((?:_|%20| )\d+)?\.(\d{8}))_(\d{6})\.(?:jpg|png)$")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    clips: dict[str, list[str]] = defaultdict(list)
    about: dict[str, re.Match[str]] = {}
    for name in listing.images:
        if match := _FRAME.search(name):
            clips[match[1]].append(name)
            about[match[1]] = match
    return [
        Source(
            clip,
            "frames",
            tuple(sorted(names, key=lambda name: name[-10:-4])),
            category=about[clip][3],
            group=about[clip][2],
            split="test" if about[clip][2] in TEST_SUBJECTS else "train",
            fps=_FPS,
        )
        for clip, names in clips.items()
    ]


HUMAN36M = Layout(
    "human36m",
    "images/S1_Directions.54138969_000001.jpg, ...: <subject>_<action>.<camera>_<frame>.jpg",
    _find,
    lambda listing: images_only(_FRAME, listing),
)
