"""PredNet's prepared KITTI (Lotter et al., 2017; ``kitti_data.zip``): ``X_train.hkl``, ``sources_train.hkl`` and so on.

``X_<part>.hkl`` contains uint8 (N, 128, 160, 3) frames, ``sources_<part>.hkl`` the drive of each frame, such as
``city-2011_09_26_drive_0001_sync``. Each run of frames from one drive is a clip, so that no window spans two drives.
The part ``val`` is excluded unless the option ``val`` assigns it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import PurePosixPath
from typing import Final

from vidgan.data.layouts.layout import SIDES, Layout
from vidgan.data.sources.file_tree import FileTree, is_clip_file
from vidgan.data.sources.hickle_files import hickle_strings
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

_PARTS: Final = ("train", "val", "test")
_FPS: Final = 10.0


def _pairs(tree: FileTree) -> Iterator[tuple[str, str, str]]:
    """Part, path of its frames, path of the drives of these frames."""
    names = set(tree.names)
    for name in tree.names:
        path = PurePosixPath(name)
        part = path.stem.removeprefix("X_")
        drives = path.with_name(f"sources_{part}.hkl").as_posix()
        if path.name == f"X_{part}.hkl" and part in _PARTS and drives in names:
            yield part, name, drives


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    sides = {"train": "train", "val": options["val"], "test": "test"}
    sources = []
    for part, frames, drives in _pairs(tree):
        runs: Counter[str] = Counter()
        start = 0
        for drive, run in groupby(_drives(tree, drives)):
            end = start + sum(1 for _ in run)
            runs[drive] += 1
            suffix = f"~{runs[drive]}" if runs[drive] > 1 else ""
            sources.append(
                Source(
                    f"{frames}:{drive}{suffix}",
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


def _drives(tree: FileTree, name: str) -> list[str]:
    tree.mark_used(name)
    for _, blob in tree.blobs([name]):
        try:
            return hickle_strings(blob)
        except DataError as error:
            raise DataError(f"{tree.root / name}: {error}") from error
    raise DataError(f"{tree.root / name}: the archive can no longer be read")


PREDNET = Layout(
    "prednet-hickle",
    "X_train.hkl with sources_train.hkl, and the same for val and test",
    _find,
    lambda tree: any(True for _ in _pairs(tree)) and not any(map(is_clip_file, tree.names)),
    {"val": ("out", SIDES)},
)
