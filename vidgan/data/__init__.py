"""Data: from files that lie about to a checked and split data set, and from there to batches.

- prepare: `prepare`, `PreparedData` (from `vidgan.data.preparing.prepare`)
- index: `load_index`, `Index`, `ClipEntry`
- dataset, loader: `ClipDataset`, `ClipLoader`, `LoaderError`, `Window`
- shards: `verify_shards`
- shapes: `render_moving_shape`, generated clips with known motion
- `DATASETS`, the data sets by name; `DataError`, what all of them raise

Names are imported on first use: the processes that `prepare` starts need no torch, which takes longer to import than
most videos take to read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vidgan.data.dataset import DATASETS, ClipDataset, Window
    from vidgan.data.loader import ClipLoader
    from vidgan.data.preparing.prepare import PreparedData
    from vidgan.data.store.index import ClipEntry, Index, load_index
    from vidgan.data.store.shards import verify_shards
    from vidgan.data.synthetic.shapes import MovingShape, render_moving_shape
    from vidgan.errors import DataError, LoaderError

_HOMES: Final = {
    "DATASETS": "dataset",
    "ClipDataset": "dataset",
    "Window": "dataset",
    "ClipEntry": "index",
    "Index": "index",
    "load_index": "index",
    "ClipLoader": "loader",
    "LoaderError": "loader",
    "verify_shards": "shards",
    "DataError": "names",
    "PreparedData": "prepare",
    "MovingShape": "shapes",
    "render_moving_shape": "shapes",
}
__all__ = [
    "DATASETS",
    "ClipDataset",
    "ClipEntry",
    "ClipLoader",
    "DataError",
    "Index",
    "LoaderError",
    "MovingShape",
    "PreparedData",
    "Window",
    "load_index",
    "render_moving_shape",
    "verify_shards",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"vidgan.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vidgan.data' has no attribute {name!r}")
