"""KITTI raw data (Geiger et al., 2013), "synced+rectified" drives as downloaded, with PredNet's split.

PredNet (Lotter et al., 2017; coxlab/prednet ``process_kitti.py``) uses the right colour camera image_03, one drive for
validation and three for testing. That split applies if one of its test drives is present.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, SIDES, Layout, images_only, search_folders
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

VALIDATION_DRIVES: Final = frozenset({"2011_09_26_drive_0005"})
TEST_DRIVES: Final = frozenset({"2011_09_26_drive_0104", "2011_09_26_drive_0079", "2011_09_26_drive_0070"})
_FPS: Final = 10.0
_CATEGORIES: Final = frozenset({"city", "residential", "road", "campus", "person"})
_FRAME: Final = re.compile(
    r"(?:^|/)(\d{4}_\d\d_\d\d_drive_\d{4})_(?:sync|extract)/(image_0[0-3])/data/\d{10}\.(?:png|jpg)$"
)
_PREFERENCE: Final = ("image_03", "image_02", "image_00", "image_01")


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    cameras: dict[tuple[str, str], dict[str, tuple[str, list[str]]]] = defaultdict(dict)
    for folder, names, match in search_folders(_FRAME, tree):
        place = folder.removesuffix(f"/{match[2]}/data")  # the same drive may occur in two places
        cameras[place, match[1]][match[2]] = (folder, names)
    preferred = _PREFERENCE if options["camera"] == "auto" else (options["camera"],)
    has_test = any(drive in TEST_DRIVES for _, drive in cameras)
    if not has_test and options["val"] != OUT:
        raise DataError(
            f"{tree.root}: layout kitti-raw: val has no effect, since none of PredNet's test drives is present"
        )
    sources = []
    for (place, drive), by_camera in cameras.items():
        camera = next((camera for camera in preferred if camera in by_camera), None)
        if camera is None:
            continue
        folder, names = by_camera[camera]
        category = next((part for part in place.split("/") if part in _CATEGORIES), None)
        split = None
        if has_test:
            split = "test" if drive in TEST_DRIVES else options["val"] if drive in VALIDATION_DRIVES else "train"
        sources.append(Source(folder, "frames", tuple(names), category=category, group=drive, split=split, fps=_FPS))
    return sources


KITTI = Layout(
    "kitti-raw",
    "<date>/<date>_drive_<number>_sync/image_02 or image_03/data/<ten digits>.png, unpacked or in the drives' zips",
    _find,
    lambda tree: images_only(_FRAME, tree),
    {"camera": ("auto", "auto|image_0[0-3]"), "val": (OUT, SIDES)},
)
