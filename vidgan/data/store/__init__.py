"""What a prepared data set consists of, and how its pixels are read.

- `index`: ``index.json``, the description of all clips
- `clip_store`: `ClipStore`, the interface of the three stores; `storage.open_store` returns the one of a data set
- `frames`: `FrameStore`, one .npy file per clip
- `shards`: `ShardStore`, and writing shards
- `video`: `VideoStore`, and ``videos.jsonl``, the properties of the source videos
"""
