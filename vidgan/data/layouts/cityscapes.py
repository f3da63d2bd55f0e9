"""Cityscapes (Cordts et al., 2016) ``leftImg8bit_sequence``: snippets of 30 frames at 17 frames per second.

A file is ``<city>_<sequence>_<frame>_leftImg8bit.png``. Most sequences are one snippet. In some cities one sequence
number covers a whole drive, which is cut where frame numbers jump, and every 30 frames. The test images belong to the
benchmark's server, so papers on prediction test on ``val``: the default split is train for training, val for testing,
test excluded. Options: ``val`` and ``test``.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import SIDES, Layout, images_only
from vidgan.data.sources.file_tree import FileTree, parent_of
from vidgan.data.sources.source import Source

SNIPPET: Final = 30
_FPS: Final = 17.0
_FRAME: Final = re.compile(
    r"(?:^|/)(?:leftImg8bit_sequence/)?(?:(train|val|test)/)?[^/]+/([a-z-]+)_(\d{6})_(\d{6})_leftImg8bit\.png$"
)


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    sequences: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    splits: dict[tuple[str, str], str | None] = {}
    for name in tree.images:
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
    """First frame number and names of each run of consecutive numbers, cut every `SNIPPET` frames."""
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
    lambda tree: images_only(_FRAME, tree),
    {"val": ("test", SIDES), "test": ("out", SIDES)},
)
