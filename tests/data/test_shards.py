"""Tar shards: content, compatibility with webdataset, damage, and the order of reading."""

import hashlib
import json
import os
import tarfile
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from clipfiles import noise, prepare_noise

from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader, ShardOrder
from vidgan.data.store.index import Index, load_index, save_index
from vidgan.data.store.shards import load_manifest, packed_clips, write_shards
from vidgan.errors import DataError

LENGTHS = [6] * 10 + [13, 20]
CLIP_BYTES = 128 + 6 * 8 * 8 * 3  # .npy header and pixels of a clip of six frames


def sharded(folder: Path, *, shard_bytes: int = 4 * CLIP_BYTES, holdout: float = 0.0) -> tuple[Path, Index]:
    """A prepared data set of noise clips, moved into shards, with its index."""
    root = prepare_noise(folder, LENGTHS, holdout=holdout, size=8).root
    index = load_index(root)
    write_shards(root, index.clips, shard_bytes=shard_bytes, flow=False, categories=index.categories)
    save_index(root, replace(index, store="shards"))
    return root, index


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips, sixteen items of four frames, in several shards."""
    return sharded(tmp_path_factory.mktemp("data"))[0]


def test_shards_contain_each_clip_once_within_the_size_and_the_arrays_are_removed(tmp_path: Path) -> None:
    root, index = sharded(tmp_path, holdout=0.3)
    shards = load_manifest(root)
    assert {shard.split for shard in shards} == {"train", "test"}
    assert shards[0].name == "train-000000.tar" and shards[-1].name.startswith("test-")
    split = {entry.id: entry.split for entry in index.clips}
    assert Counter(m.id for s in shards for m in s.clips) == Counter(split.keys())
    assert all(split[member.id] == shard.split for shard in shards for member in shard.clips)
    for shard in shards:
        assert len(shard.clips) == 1 or sum(member.frames.nbytes for member in shard.clips) <= 4 * CLIP_BYTES
    assert list((root / "clips").iterdir()) == []
    assert packed_clips(root) == {(entry.id, entry.digest) for entry in index.clips}
    for shard in shards:
        content = (root / "shards" / shard.name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard.sha256


def test_the_manifest_locates_members(data: Path) -> None:
    sources = {entry.id: entry for entry in load_index(data).clips}
    for shard in load_manifest(data):
        content = (data / "shards" / shard.name).read_bytes()
        assert len(content) == shard.nbytes
        for member in shard.clips:
            entry = sources[member.id]
            pixels = content[member.frames.offset :][: member.frames.nbytes][-entry.frames * 8 * 8 * 3 :]
            expected = noise(int(entry.source[2:-4]), entry.frames, 8, 8)
            assert pixels == expected.tobytes()


def test_equal_clips_produce_equal_bytes(tmp_path: Path, data: Path) -> None:
    root, _ = sharded(tmp_path)
    assert [s.sha256 for s in load_manifest(root)] == [s.sha256 for s in load_manifest(data)]


def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    root = prepare_noise(tmp_path, [4, 5, 6], holdout=0, size=16, flow="tvl1").root
    index = load_index(root)
    clips = [replace(entry, category=i) for i, entry in enumerate(index.clips)]
    flows = {entry.id: np.load(root / "flow" / f"{entry.id}.npy") for entry in clips}
    write_shards(root, clips, shard_bytes=10**9, flow=True, categories=["a", "b", "c"])
    url = str(root / "shards" / "train-{000000..000000}.tar")
    samples = list(webdataset.WebDataset(url, shardshuffle=False).decode())
    assert sorted(sample["__key__"] for sample in samples) == sorted(flows)
    for sample in samples:
        number = sample["cls"]
        assert sample["json"]["category"] == "abc"[number] and sample["json"]["source"] == clips[number].source
        np.testing.assert_array_equal(sample["npy"], noise(number, number + 4))
        np.testing.assert_array_equal(sample["flow.npy"], flows[sample["__key__"]])
    save_index(root, replace(index, store="shards"))
    row = ClipDataset(root, frames=4, flow=True)[0, 0]  # the clip of four frames has one start
    np.testing.assert_array_equal(row.flow.numpy(), flows[clips[0].id].astype(np.float32))


def test_an_interrupted_run_leaves_the_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = prepare_noise(tmp_path, [6] * 6, holdout=0, size=8).root
    index = load_index(root)
    before = sorted(path.name for path in (root / "clips").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(
            "vidgan.data.store.shards.write_json", lambda path, value: (_ for _ in ()).throw(OSError(28, "full"))
        )
        with pytest.raises(OSError, match="full"):
            write_shards(root, index.clips, shard_bytes=CLIP_BYTES, flow=False, categories=[])
    assert sorted(path.name for path in (root / "clips").iterdir()) == before
    assert packed_clips(root) == set()
    write_shards(root, index.clips, shard_bytes=2 * CLIP_BYTES, flow=False, categories=[])  # fewer; old ones removed
    assert len(load_manifest(root)) == 3 == len(list((root / "shards").glob("*.tar")))
    assert len(packed_clips(root)) == 6


def flip_byte(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(bytes(content))


def test_damaged_clips_are_reported_and_never_used(tmp_path: Path) -> None:
    root, _ = sharded(tmp_path)
    dataset = ClipDataset(root, frames=4)
    shard = load_manifest(root)[1]
    path = root / "shards" / shard.name
    member = shard.clips[0]
    flip_byte(path, member.frames.offset + member.frames.nbytes - 1)

    refused = 0
    for item in range(len(dataset)):
        if dataset.clip_of(item).id == member.id:
            with pytest.raises(DataError, match=f"{shard.name}: .*clip {member.id} .*checksum"):
                dataset[0, item]
            refused += 1
        else:
            dataset[0, item]
    assert refused >= 1


def test_truncated_missing_and_foreign_shards_are_refused_at_the_start(tmp_path: Path) -> None:
    root, _ = sharded(tmp_path)
    path = root / "shards" / load_manifest(root)[0].name
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"{path.name}: {len(content) - 1} bytes.*{len(content)}"):
        ClipDataset(root, frames=4)
    path.unlink()
    with pytest.raises(DataError, match=f"{path.name}: missing"):
        ClipDataset(root, frames=4)
    assert packed_clips(root) == set()
    manifest = root / "shards" / "manifest.json"
    listed = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(listed | {"shards": listed["shards"][1:]}))
    with pytest.raises(DataError, match=f"{root / 'shards'}: clip "):
        ClipDataset(root, frames=4)
    manifest.write_text(json.dumps({"format": 1, "shards": [listed["shards"][1] | {"name": "../x.tar"}]}))
    with pytest.raises(DataError, match="manifest.json: damaged"):
        ClipDataset(root, frames=4)
    manifest.unlink()
    with pytest.raises(DataError, match="manifest.json: missing"):
        ClipDataset(root, frames=4)


def test_a_shard_truncated_during_training_is_an_error_not_a_crash(tmp_path: Path) -> None:
    root, _ = sharded(tmp_path)
    dataset = ClipDataset(root, frames=4)
    dataset[0, 0]
    shard = next(s for s in load_manifest(root) if any(m.id == dataset.clip_of(0).id for m in s.clips))
    path = root / "shards" / shard.name
    with path.open("r+b") as file:
        file.truncate(700)
    with pytest.raises(DataError, match=f"{shard.name}: .*too short"):
        dataset[0, 0]


def test_every_epoch_contains_every_item_once_in_a_different_order(data: Path) -> None:
    dataset = ClipDataset(data, frames=4)
    assert len(dataset) == 16 and sorted(item for shard in dataset.shards or [] for item in shard) == list(range(16))
    loader = ClipLoader(dataset, batch_size=4, seed=0)
    keys = [key for step in range(48) for key in loader.keys(step, 0)]
    assert Counter(keys) == Counter((epoch, item) for epoch in range(12) for item in range(16))
    orders = [tuple(item for epoch, item in keys if epoch == e) for e in range(12)]
    assert len(set(orders)) == 12


@pytest.mark.parametrize(("items", "rows"), [(100, 8), (7, 12), (64, 64), (1, 3), (1000, 6)])
def test_epochs_are_complete_and_no_row_runs_ahead(items: int, rows: int) -> None:
    shards = np.array_split(np.arange(items), 9)
    order = ShardOrder([shard.tolist() for shard in shards], batch_size=rows, seed=1, window=5)
    steps = -(-4 * items // rows)
    keys = [[order.key(step, row) for row in range(rows)] for step in range(steps)]
    counts = Counter(key for step in keys for key in step)
    for epoch in range(3):
        assert [counts[epoch, item] for item in range(items)] == [1] * items
    for step in range(steps):
        epochs = {epoch for epoch, _ in keys[step]}
        # A step may contain the last samples of an epoch and the first of the next.
        assert max(epochs) - min(epochs) <= -(-rows // items)


def test_the_key_of_a_sample_does_not_depend_on_previous_calls() -> None:
    shards = [list(range(start, start + 50)) for start in range(0, 500, 50)]
    options = {"batch_size": 4, "seed": 3, "window": 16}
    whole = ShardOrder(shards, **options)  # type: ignore[arg-type]
    keys = [[whole.key(step, row) for row in range(4)] for step in range(300)]
    for step in (299, 131, 0, 125, 124):
        assert [ShardOrder(shards, **options).key(step, row) for row in range(4)] == keys[step]  # type: ignore[arg-type]


def test_reads_stay_in_a_window_of_one_shard_after_another() -> None:
    shards = [list(range(start, start + 50)) for start in range(0, 500, 50)]
    order = ShardOrder(shards, batch_size=2, seed=0, window=10)
    visited: dict[tuple[int, int], list[int]] = {}  # (epoch, row) -> shards in reading order
    for row in range(2):
        keys = [order.key(step, row) for step in range(1500)]
        for epoch in range(6):
            items = [item for key_epoch, item in keys if key_epoch == epoch]
            assert len(items) == 250 and items != sorted(items)
            windows = [item // 10 for item in items]
            assert windows[::10] == list(dict.fromkeys(windows))  # one after another
            visited[epoch, row] = list(dict.fromkeys(item // 50 for item in items))
            assert len(visited[epoch, row]) == 5
            for shard in visited[epoch, row]:
                in_shard = [window for window in windows if window // 5 == shard]
                assert in_shard == sorted(in_shard)  # sequential
    # The boundary of the two parts is between two shards.
    assert set(visited[0, 0]).isdisjoint(visited[0, 1])
    assert len({tuple(visited[epoch, 0]) for epoch in range(6)}) == 6


def opened_by(loader: ClipLoader, steps: int, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], list[torch.Tensor]]:
    """Names of the shards that a rank opens in `steps` steps, and the clips that it reads."""
    opened: set[str] = set()
    real_open = os.open

    def record(path: object, *rest: int, **options: object) -> int:
        if str(path).endswith(".tar"):
            opened.add(Path(str(path)).name)
        return real_open(path, *rest, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", record)
        clips = [batch.clip for step in islice(loader.batches(), steps) for batch in step]
    return opened, clips


def test_each_rank_opens_its_own_shards_and_their_union_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = prepare_noise(tmp_path, [4] * 32, holdout=0, size=8).root
    index = load_index(root)
    nbytes = 128 + 4 * 8 * 8 * 3
    write_shards(root, index.clips, shard_bytes=4 * nbytes, flow=False, categories=[])
    save_index(root, replace(index, store="shards"))
    assert len(load_manifest(root)) == 8

    def loader(rank: int, world_size: int) -> ClipLoader:
        return ClipLoader(ClipDataset(root, frames=4), batch_size=4, seed=0, rank=rank, world_size=world_size)

    everything, whole = opened_by(loader(0, 1), 8, monkeypatch)  # 8 steps of 4 rows: one epoch of 32 items
    ranks = [opened_by(loader(rank, 4), 8, monkeypatch) for rank in range(4)]
    assert [len(opened) for opened, _ in ranks] == [2, 2, 2, 2]
    assert set.union(*(opened for opened, _ in ranks)) == everything and len(everything) == 8
    for step in range(8):
        assert torch.equal(torch.cat([clips[step] for _, clips in ranks]), whole[step])


def test_tars_contain_plain_members(data: Path) -> None:
    with tarfile.open(data / "shards" / "train-000000.tar") as tar:
        members = tar.getmembers()
    assert all(member.isreg() and member.mtime == 0 and "/" not in member.name for member in members)
    assert {member.name.split(".", 1)[1] for member in members} == {"npy", "json"}
