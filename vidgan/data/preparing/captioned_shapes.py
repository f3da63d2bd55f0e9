"""Prepare rendered shapes that captions describe."""

import shutil
from pathlib import Path

from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import INDEX_NAME
from vidgan.data.synthetic.captioned import render_captioned_shapes

__all__ = ["prepare_captioned_shapes"]


def prepare_captioned_shapes(
    folder: Path, *, clips: int, size: int, seed: int, holdout: float = 0.0, ids: bool = False
) -> Path:
    """Render clips and captions to `folder/videos` and prepare these as `folder/data`; a finished data set is kept.

    Args:
        folder: where both folders are created; deleted first if unfinished.
        clips, size, seed, ids: as in `vidgan.data.synthetic.captioned.render_captioned_shapes`.
        holdout: fraction of the clips in the test split. Combinations that are held out are in neither split.

    Returns:
        The folder of the prepared data.
    """
    data = folder / "data"
    if (data / INDEX_NAME).is_file():
        return data
    shutil.rmtree(folder, ignore_errors=True)  # leftovers of an interrupted run
    render_captioned_shapes(folder / "videos", clips=clips, size=size, seed=seed, ids=ids)
    prepare(folder / "videos", data, size=(size, size), holdout=holdout, seed=seed)
    return data
