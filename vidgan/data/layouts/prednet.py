"""PredNet's prepared KITTI (Lotter et al., 2017; ``kitti_data.zip``): ``X_train.hkl``, ``sources_train.hkl`` and so on.

``X_<part>.hkl`` holds uint8 (N, 128, 160, 3) frames, ``sources_<part>.hkl`` the drive of each, such as
``city-2011_09_26_drive_0001_sync``. Each stretch of one drive is a clip, so that no window crosses a change. The part
``val`` is left out unless the option ``val`` says otherwise.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import PurePosixPath
from typing import Final

from vidgan.data.layouts.layout import SIDES, Layout
from vidgan.data.sources.entries import Source
from vidgan.data.sources.hickle_files import hickle_strings
from vidgan.data.sources.listing import Listing, is_clip_file
from vidgan.errors import DataError

_PARTS: Final = ("train", "val", "test")
_FPS: Final = 10.0


def _pairs(listing: Listing) -> Iterator[tuple[str, str, str]]:
    """Part, path of its frames, path of their drives."""
    names = set(listing.names)
    for name in listing.names:
        path = PurePosixPath(name)
        part = path.stem.removeprefix("X_")
        drives = path.with_name(f"sources_{part}.hkl").as_posix()
        if path.name == f"X_{part}.hkl" and part in _PARTS and drives in names:
            yield part, name, drives


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    sides = {"train": "train", "val": options["val"], "test": "test"}
    sources = []
    for part, frames, drives in _pairs(listing):
        seen: Counter[str] = Counter()
        start = 0
        for drive, run in groupby(_drives(listing, drives)):
            end = start + sum(1 for _ in run)
            seen[drive] += 1
            again = f"~{seen[drive]}" if seen[drive] > 1 else ""
            sources.append(
                Source(
                    f"{frames}:{drive}{again}",
                    "hickle",
                    (frames,),
                    category=drive.partition("-")[0] if "-" in drive else None,
                    group=drive,
                    split=sides[part],
                    start=start,
                    end=end,
                    fps=_FPS,
                )
            )
            start = end
    return sources


def _drives(listing: Listing, name: str) -> list[str]:
    listing.mark_used(name)
    for _, blob in listing.blobs([name]):
        try:
            return hickle_strings(blob)
        except DataError as error:
            raise DataError(f"{listing.root / name}: {error}") from error
    raise DataError(f"{listing.root / name}: its archive can no longer be read")


PREDNET = Layout(
    "prednet-hickle",
    "X_train.hkl with sources_train.hkl, and the same for val and test",
    _find,
    lambda listing: any(True for _ in _pairs(listing)) and not any(map(is_clip_file, listing.names)),
    {"val": ("out", SIDES)},
)
