"""Open the store that a data set was prepared with.

- `FrameStore` (``frames``): one .npy file per clip; the fastest.
- `VideoStore` (``video``): source videos are decoded on demand; no copy of the pixels exists.
- `PairedStore`: one of these for the clips, and one for their conditions.
- `ShardStore` (``shards``): frames packed into large tar files, for network file systems and several machines.
"""

from pathlib import Path

from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.frames import FrameStore
from vidgan.data.store.index import Index
from vidgan.data.store.paired import CONDITIONS, PairedStore, load_conditions
from vidgan.data.store.shards import ShardStore
from vidgan.data.store.video import VideoStore


def open_store(root: Path, index: Index, *, conditions: bool = False) -> ClipStore:
    """The store of the data set in `root`, as its index says.

    Args:
        root: folder of the data set.
        index: its index.
        conditions: read each frame with its condition behind, (T, H, W, 6).

    Raises:
        DataError: the data set has no conditions, or they do not fit.
    """
    stores: dict[str, type[FrameStore | VideoStore | ShardStore]] = {
        "frames": FrameStore,
        "video": VideoStore,
        "shards": ShardStore,
    }
    store = stores[index.store](root, index)
    if not conditions:
        return store
    theirs = load_conditions(root)
    return PairedStore(store, index, stores[theirs.store](root / CONDITIONS, theirs), theirs)
