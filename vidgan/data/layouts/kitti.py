"""KITTI raw data (Geiger et al., 2013), drives "synced+rectified" as downloaded, with PredNet's split.

PredNet (Lotter et al., 2017; coxlab/prednet ``process_kitti.py``) takes the right colour camera image_03 and keeps one
drive for validation and three for testing. That split is used where one of its test drives is there.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import OUT, SIDES, Layout, images_only, search_folders
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing
from vidgan.errors import DataError

VALIDATION_DRIVES: Final = frozenset({"2011_09_26_drive_0005"})
TEST_DRIVES: Final = frozenset({"2011_09_26_drive_0104", "2011_09_26_drive_0079", "2011_09_26_drive_0070"})
_FPS: Final = 10.0
_CATEGORIES: Final = frozenset({"city", "residential", "road", "campus", "person"})
_FRAME: Final = re.compile(
    r"(?:^|/)(\d{4}_\d\d_\d\d_drive_\d{4})_(?:sync|extract)/(image_0[0-3])/data/\d{10}\.(?:png|jpg)$"
)
_PREFERENCE: Final = ("image_03", "image_02", "image_00", "image_01")


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    cameras: dict[tuple[str, str], dict[str, tuple[str, list[str]]]] = defaultdict(dict)
    for folder, names, match in search_folders(_FRAME, listing):
        place = folder.removesuffix(f"/{match[2]}/data")  # the same drive may lie there twice
        cameras[place, match[1]][match[2]] = (folder, names)
    wanted = _PREFERENCE if options["camera"] == "auto" else (options["camera"],)
    has_test = any(drive in TEST_DRIVES for _, drive in cameras)
    if not has_test and options["val"] != OUT:
        raise DataError(
            f"{listing.root}: layout kitti-raw: val has no effect, as none of PredNet's test drives is there"
        )
    sources = []
    for (place, drive), by_camera in cameras.items():
        camera = next((camera for camera in wanted if camera in by_camera), None)
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
    lambda listing: images_only(_FRAME, listing),
    {"camera": ("auto", "auto|image_0[0-3]"), "val": (OUT, SIDES)},
)
