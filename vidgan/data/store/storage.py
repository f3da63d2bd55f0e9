"""Open the store that a data set was prepared with.

- `FrameStore` (``frames``): one .npy file per clip; the fastest.
- `VideoStore` (``video``): source videos are decoded on demand; no copy of the pixels exists.
- `ShardStore` (``shards``): frames packed into large tar files, for network file systems and several machines.
"""

from pathlib import Path

from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.frames import FrameStore
from vidgan.data.store.index import Index
from vidgan.data.store.shards import ShardStore
from vidgan.data.store.video import VideoStore


def open_store(root: Path, index: Index) -> ClipStore:
    """The store of the data set in `root`, as its index says."""
    stores: dict[str, type[FrameStore | VideoStore | ShardStore]] = {
        "frames": FrameStore,
        "video": VideoStore,
        "shards": ShardStore,
    }
    return stores[index.store](root, index)
