"""Cityscapes (Cordts et al., 2016) ``leftImg8bit_sequence``: snippets of 30 frames at 17 frames a second.

A file is ``<city>_<sequence>_<frame>_leftImg8bit.png``. Most sequences are one snippet; in some cities one sequence
number goes through a whole drive, whose frame numbers are then cut where they jump, and every 30 frames. The test
images are meant for the benchmark's server, so that papers on prediction test on ``val``: train trains, val tests,
test is left out, unless the options ``val`` and ``test`` say otherwise.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import SIDES, Layout, images_only
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing, parent_of

SNIPPET: Final = 30
_FPS: Final = 17.0
_FRAME: Final = re.compile(
    r"(?:^|/)(?:leftImg8bit_sequence/)?(?:(train|val|test)/)?[^/]+/([a-z-]+)_(\d{6})_(\d{6})_leftImg8bit\.png$"
)


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    sequences: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    splits: dict[tuple[str, str], str | None] = {}
    for name in listing.images:
        if match := _FRAME.search(name):
            key = (parent_of(name), f"{match[2]}_{match[3]}")
            sequences[key].append((int(match[4]), name))
            splits[key] = match[1]
    sides = {"train": "train", "val": options["val"], "test": options["test"], None: None}
    sources = []
    for (folder, sequence), frames in sequences.items():
        for first, names in _snippets(sorted(frames)):
            sources.append(
                Source(
                    f"{folder}/{sequence}_{first:06d}",
                    "frames",
                    tuple(names),
                    category=sequence.partition("_")[0],
                    group=sequence,
                    split=sides[splits[folder, sequence]],
                    fps=_FPS,
                )
            )
    return sources


def _snippets(frames: list[tuple[int, str]]) -> list[tuple[int, list[str]]]:
    """First frame number and names of every run of consecutive numbers, cut every `SNIPPET` frames."""
    snippets: list[tuple[int, list[str]]] = []
    last = None
    for number, name in frames:
        if last is None or number != last + 1 or len(snippets[-1][1]) == SNIPPET:
            snippets.append((number, []))
        snippets[-1][1].append(name)
        last = number
    return snippets


CITYSCAPES = Layout(
    "cityscapes",
    "leftImg8bit_sequence/{train,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png",
    _find,
    lambda listing: images_only(_FRAME, listing),
    {"val": ("test", SIDES), "test": ("out", SIDES)},
)
