"""Prepare rendered moving shapes, with the flow that they were rendered with."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.frames import save_array
from vidgan.data.store.index import INDEX_NAME, flow_path, load_index, save_index
from vidgan.data.synthetic.shapes import render_moving_shape, render_shapes

RENDERED: Final = "rendered"
"""Flow method in the index for the true flow."""


def prepare_shapes(
    folder: Path, *, clips: int, frames: int, size: int, seed: int, flow: bool = False, holdout: float = 0.1
) -> Path:
    """Render shapes to mp4 files in `folder/videos` and prepare these as `folder/data`; a finished data set is kept.

    Args:
        folder: where both folders are created; deleted first if unfinished.
        clips: number of clips; clip i is ``<category>/<i>.mp4``.
        frames, size, seed: as in `vidgan.data.synthetic.shapes.render_moving_shape`.
        flow: store the true backward flow. Estimators cannot see that a plain background does not move: on these clips
            DIS has a mean error of half a pixel, more than zero flow has.
        holdout: fraction of the clips in the test split.

    Returns:
        The folder of the prepared data.
    """
    data = folder / "data"
    if (data / INDEX_NAME).is_file() and (not flow or load_index(data).flow == RENDERED):
        return data
    shutil.rmtree(folder, ignore_errors=True)  # leftovers of an interrupted run
    render_shapes(folder / "videos", clips=clips, frames=frames, size=size, seed=seed)
    prepare(folder / "videos", data, size=(size, size), categories=True, holdout=holdout, seed=seed)
    if flow:
        _store_true_flow(data, seed)
    return data


def _store_true_flow(data: Path, seed: int) -> None:
    index = load_index(data)
    (data / "flow").mkdir(exist_ok=True)
    for entry in index.clips:
        shape = render_moving_shape(seed, int(Path(entry.source).stem), frames=entry.frames, size=index.size[0])
        save_array(flow_path(data, entry), shape.flow.astype(np.float16))
    save_index(data, replace(index, flow=RENDERED))
