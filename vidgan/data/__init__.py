"""Data: from files that lie about to a checked and split data set, and from there to batches.

- prepare: `prepare`, `PreparedData`
- index: `load_index`, `Index`, `ClipEntry`
- dataset, loader: `ClipDataset`, `ClipLoader`, `Window`
- shapes: `render_moving_shape`, generated clips with known motion
- `DATASETS`, the data sets that a config can name; `DataError`, what all of them raise
"""

from typing import Final

from vidgan.data.dataset import ClipDataset, Window
from vidgan.data.index import ClipEntry, Index, load_index
from vidgan.data.loader import ClipLoader
from vidgan.data.names import DataError
from vidgan.data.prepare import PreparedData, prepare
from vidgan.data.shapes import MovingShape, render_moving_shape

DATASETS: Final[dict[str, type[ClipDataset]]] = {"clips": ClipDataset}

__all__ = [
    "DATASETS",
    "ClipDataset",
    "ClipEntry",
    "ClipLoader",
    "DataError",
    "Index",
    "MovingShape",
    "PreparedData",
    "Window",
    "load_index",
    "prepare",
    "render_moving_shape",
]
