"""Prepared clips of rendered moving shapes, with the flow that they were rendered with."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import flow_path, load_index, save_index
from vidgan.data.synthetic.shapes import CATEGORIES, render_moving_shape
from vidgan.video.encode import write_mp4

RENDERED = "rendered"  # what the index calls the true flow


def render_shapes(folder: Path, *, clips: int, frames: int, size: int, seed: int) -> None:
    """Moving shapes as mp4 files, `<category>/<number>.mp4`."""
    for index in range(clips):
        shape = render_moving_shape(seed, index, frames=frames, size=size)
        write_mp4(folder / CATEGORIES[shape.category] / f"{index:05d}.mp4", shape.frames, fps=12)


def prepare_shapes(
    folder: Path, *, clips: int, frames: int, size: int, seed: int, flow: bool = False, holdout: float = 0.1
) -> Path:
    """Render to mp4 files in `folder/videos`, and prepare these as `folder/data`; what is finished stays.

    Args:
        clips, frames, size, seed: as in `vidgan.data.synthetic.shapes.render_moving_shape`; the videos are named by index.
        flow: keep the true backward flow. No estimate takes its place: flow methods cannot see that plain ground stands
            still, and on these clips DIS errs by half a pixel in the mean, more than no motion at all would.
        holdout: share of the clips in the test split.

    Returns:
        The folder of the prepared data.
    """
    data = folder / "data"
    if (data / "index.json").is_file() and (not flow or load_index(data).flow == RENDERED):
        return data
    shutil.rmtree(folder, ignore_errors=True)  # what a stopped run left
    render_shapes(folder / "videos", clips=clips, frames=frames, size=size, seed=seed)
    prepare(folder / "videos", data, size=(size, size), categories=True, holdout=holdout, seed=seed)
    if flow:
        _keep_true_flow(data, seed)
    return data


def _keep_true_flow(data: Path, seed: int) -> None:
    index = load_index(data)
    (data / "flow").mkdir(exist_ok=True)
    for entry in index.clips:
        shape = render_moving_shape(seed, int(Path(entry.source).stem), frames=entry.frames, size=index.size[0])
        np.save(flow_path(data, entry), shape.flow.astype(np.float16), allow_pickle=False)
    save_index(data, replace(index, flow=RENDERED))
