"""Clips with their conditions: two prepared data sets whose clips have equal names, read as frames of six channels."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.index import ClipEntry, Index, load_index
from vidgan.data.store.video import source_name
from vidgan.errors import DataError

CONDITIONS: Final = "conditions"
"""Folder of the conditions below the data set that they belong to; a data set of its own."""

_SHOWN: Final = 3  # names in a message


class PairedStore(ClipStore):
    """Frames (T, H, W, 6): RGB of the clip, then RGB of its condition.

    A clip and its condition have the same path below their source folders but for the file's ending. Where a source was
    cut into shots, its condition is read at the same frames.

    Args:
        store: of the clips.
        index: of the clips.
        conditions: store of the conditions.
        theirs: index of the conditions.

    Raises:
        DataError: a clip has no condition, or one of another length or frame size; the message names them.
    """

    def __init__(self, store: ClipStore, index: Index, conditions: ClipStore, theirs: Index) -> None:
        super().__init__(store.root, index)
        self._store, self._conditions = store, conditions
        if theirs.size != index.size:
            ours, other = ("x".join(map(str, size)) for size in (index.size, theirs.size))
            raise DataError(f"{conditions.root}: conditions of {other} pixels; accepted: {ours}, the size of the clips")
        self._partners = _partners(store.root, index, conditions.root, theirs)

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        self._store.check(entries, flow=flow)
        partners = {self._partners[entry.id].id: self._partners[entry.id] for entry in entries}
        self._conditions.check(list(partners.values()), flow=False)

    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """Frames of a clip and of its condition: uint8 (T, H, W, 6)."""
        partner = self._partners[entry.id]
        theirs = self._conditions.frames(partner, [number + entry.start for number in indices])
        return np.concatenate([self._store.frames(entry, indices), theirs], axis=-1)

    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """See `ClipStore`."""
        return self._store.flow(entry, start, count)

    def shards(self, entries: Sequence[ClipEntry]) -> list[list[int]] | None:
        """See `ClipStore`."""
        return self._store.shards(entries)


def load_conditions(root: Path) -> Index:
    """The index of the conditions of the data set in `root`.

    Raises:
        DataError: the data were prepared without conditions.
    """
    if not (root / CONDITIONS).is_dir():
        raise DataError(
            f"{root}: prepared without conditions, which this model reads; `vidgan prepare VIDEOS --conditions FOLDER`"
            " stores them"
        )
    return load_index(root / CONDITIONS)


def pair_name(entry: ClipEntry) -> str:
    """What a clip and its condition have in common: the source without start of the shot and file ending."""
    path, mark, number = source_name(entry).partition("#")
    stem = PurePosixPath(path).parent / PurePosixPath(path).stem
    return f"{stem}{mark}{number}"


def _partners(root: Path, index: Index, other: Path, theirs: Index) -> dict[str, ClipEntry]:
    """Clip id -> its condition."""
    by_name = {pair_name(entry): entry for entry in theirs.clips}
    if len(by_name) < len(theirs.clips):
        raise DataError(f"{other}: conditions have equal names but for their endings; accepted: one for each clip")
    names = {pair_name(entry) for entry in index.clips}
    if len(names) == len(by_name) == 1:  # two folders that each are one clip: their own names do not matter
        by_name = {next(iter(names)): next(iter(by_name.values()))}
    if missing := sorted(names - by_name.keys()):
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise DataError(
            f"{root}: {len(missing)} of {len(names)} clips have no condition in {other} ({shown}); accepted:"
            " a condition of the same name for each clip"
        )
    partners = {}
    for entry in index.clips:
        partner = by_name[pair_name(entry)]
        is_cut = source_name(entry) != entry.source
        if (entry.start + entry.frames > partner.frames) if is_cut else (entry.frames != partner.frames):
            raise DataError(
                f"{root}: {entry.source} ends at frame {entry.start + entry.frames}, its condition in {other} has"
                f" {partner.frames} frames; accepted: equal lengths"
            )
        partners[entry.id] = partner
    return partners
