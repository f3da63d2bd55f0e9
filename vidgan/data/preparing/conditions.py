"""Preparing real pairs: clips, and the label maps, masks or other clips that a translation reads instead of them."""

from pathlib import Path
from typing import Any

from vidgan.data.preparing.prepare import PreparedData, prepare
from vidgan.data.store.index import load_index
from vidgan.data.store.paired import CONDITIONS
from vidgan.data.store.storage import open_store
from vidgan.errors import DataError
from vidgan.video.resize import Resample

__all__ = ["prepare_pairs"]

# Options of `prepare` that the conditions share with their clips; all others would change lengths, order or split.
_SHARED = ("size", "fit", "fps", "every", "follow_links", "max_bad_share", "workers", "time_limit", "memory_limit",
           "overwrite", "progress")  # fmt: skip


def prepare_pairs(
    source: Path | str,
    conditions: Path | str,
    out: Path | str,
    *,
    condition_resample: Resample = "nearest",
    **options: Any,
) -> PreparedData:
    """Prepare clips in `out`, and their conditions in a folder in it.

    Args:
        source: as in `prepare`.
        conditions: a folder with a clip of the same path, but for the file's ending, for each clip of `source`, and of
            the same length: videos, or folders of frames such as label maps. If both folders are one clip each, their
            names do not matter.
        out: as in `prepare`.
        condition_resample: scaling filter of the conditions; ``"nearest"`` keeps the values of label maps.
        options: of `prepare`.

    Raises:
        DataError: as in `prepare`; a clip has no condition, or one of another length.
    """
    prepared = prepare(source, out, **options)
    if prepared.part is not None:
        raise DataError("conditions cannot be prepared in parts; prepare pairs without part")
    shared = {name: options[name] for name in _SHARED if name in options}
    root = Path(out)
    folder = root / CONDITIONS
    prepare(
        conditions, folder, resample=condition_resample, cuts="off", holdout=0.0, min_frames=1, layout="auto", **shared
    )
    open_store(root, load_index(root), conditions=True)
    return prepared
