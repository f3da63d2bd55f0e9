"""Items and windows of a prepared data set."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from clipfiles import noise, prepare_noise
from helpers import run_vidgan
from torch.utils.data import default_collate

from vidgan.data.augmentation import flip_flow, flip_frames
from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.prepare import prepare
from vidgan.errors import DataError
from vidgan.types import UNLABELLED, ClipBatch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five noise clips of 4, 6, 9, 20 and 3 frames, all in the training split, with random flow."""
    root = prepare_noise(tmp_path_factory.mktemp("data"), [4, 6, 9, 20, 3], holdout=0, flow="tvl1").root
    for i, entry in enumerate(ClipDataset(root, frames=3).entries):
        flow = np.random.default_rng(i).normal(size=(entry.frames - 1, 2, 16, 16)).astype(np.float16)
        np.save(root / "flow" / f"{entry.id}.npy", flow)
    return root


def source_clip(dataset: ClipDataset, row: ClipBatch) -> tuple[int, int, bool]:
    """Which noise clip a row was cut from, where it starts, and whether it is mirrored; found by its pixels."""
    shown = row.clip.permute(0, 2, 3, 1).numpy()
    span = (len(shown) - 1) * dataset.stride + 1
    for i, length in enumerate([4, 6, 9, 20, 3]):
        for start in range(length - span + 1):
            cut = noise(i, length)[start : start + span : dataset.stride]
            for mirrored in (False, True):
                if np.array_equal(shown, cut[:, :, ::-1] if mirrored else cut):
                    return i, start, mirrored
    raise AssertionError("the row shows none of the clips")


def test_rows_show_consecutive_frames_of_one_clip(data: Path) -> None:
    dataset = ClipDataset(data, frames=4)
    assert dataset.size == (16, 16) and dataset.num_categories == 0 and dataset.category_names == []
    row = dataset[0, 0]
    assert row.clip.shape == (4, 3, 16, 16) and row.clip.dtype == torch.uint8
    assert row.flow.shape == (0, 2, 16, 16) and row.flow.dtype == torch.float32
    assert int(row.category) == UNLABELLED and row.category.dtype == torch.int64
    assert int(row.item) == 0 and row.item.dtype == torch.int64
    assert source_clip(dataset, row) == (0, 0, False)


@pytest.mark.parametrize(
    ("frames", "stride", "items"), [(4, 1, [1, 1, 1, 4]), (2, 3, [1, 1, 1, 4]), (1, 1, [4, 6, 9, 20, 3])]
)
def test_long_clips_count_as_several_items(data: Path, frames: int, stride: int, items: list[int]) -> None:
    dataset = ClipDataset(data, frames=frames, stride=stride)
    assert dataset.too_short == 5 - len(items)
    assert len(dataset) == sum(items)
    shown = Counter(source_clip(dataset, dataset[0, item])[0] for item in range(len(dataset)))
    assert [shown[i] for i in range(len(items))] == items


def test_stride_leaves_frames_out(data: Path) -> None:
    dataset = ClipDataset(data, frames=3, stride=4)
    starts = {source_clip(dataset, dataset[epoch, item])[:2] for epoch in range(60) for item in range(len(dataset))}
    assert starts == {(2, 0)} | {(3, start) for start in range(12)}


def test_every_start_is_used_and_all_are_about_as_frequent(data: Path) -> None:
    dataset = ClipDataset(data, frames=4)
    items = range(3, 7)  # those of the clip of 20 frames, which has 17 starts
    starts = Counter(source_clip(dataset, dataset[epoch, item])[1] for epoch in range(50) for item in items)
    assert set(starts) == set(range(17))
    assert max(starts.values()) < 3 * 200 / 17


def test_a_row_is_a_function_of_seed_epoch_and_item(data: Path) -> None:
    def rows(seed: int, epoch: int) -> list[torch.Tensor]:
        dataset = ClipDataset(data, frames=3, flip=True, seed=seed)
        torch.manual_seed(seed * 100 + epoch)  # what global random numbers do has no effect
        return [dataset[epoch, item].clip for item in reversed(range(len(dataset)))]

    def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    state = torch.random.get_rng_state()
    assert same(rows(0, 0), rows(0, 0))
    assert not same(rows(0, 0), rows(0, 1))
    assert not same(rows(0, 0), rows(1, 0))
    torch.random.set_rng_state(state)
    dataset = ClipDataset(data, frames=3)
    dataset[0, 0]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_half_of_the_items_are_mirrored(data: Path) -> None:
    dataset = ClipDataset(data, frames=4, flip=True)
    mirrored = [source_clip(dataset, dataset[epoch, 0])[2] for epoch in range(200)]
    assert 70 < sum(mirrored) < 130


def test_flow_matches_the_frames_of_the_item(data: Path) -> None:
    dataset = ClipDataset(data, frames=4, flow=True, flip=True)
    seen = set()
    for epoch in range(10):
        for item in range(len(dataset)):
            row = dataset[epoch, item]
            number, start, mirrored = source_clip(dataset, row)
            stored = np.load(data / "flow" / f"{dataset.entries[number].id}.npy")[start : start + 3].astype(np.float32)
            expected = flip_flow(stored) if mirrored else stored
            np.testing.assert_array_equal(row.flow.numpy(), expected)
            seen.add(mirrored)
    assert seen == {False, True}


def test_mirrored_flow_warps_mirrored_frames() -> None:
    rng = np.random.default_rng(0)
    previous = rng.integers(0, 256, (1, 12, 12, 3), dtype=np.uint8)
    flow = rng.integers(-2, 3, (1, 2, 12, 12)).astype(np.float32)

    def warp(frames: np.ndarray, field: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[:12, :12]
        return frames[0, np.clip(y + field[0, 1], 0, 11).astype(int), np.clip(x + field[0, 0], 0, 11).astype(int)][None]

    current = warp(previous, flow)
    np.testing.assert_array_equal(warp(flip_frames(previous), flip_flow(flow)), flip_frames(current))
    np.testing.assert_array_equal(flip_flow(flip_flow(flow)), flow)


def test_rows_collate_to_a_batch_and_own_their_memory(data: Path) -> None:
    dataset = ClipDataset(data, frames=4)
    batch = default_collate([dataset[0, 0], dataset[0, 1]])
    assert isinstance(batch, ClipBatch)
    assert batch.clip.shape == (2, 4, 3, 16, 16) and batch.category.shape == batch.item.shape == (2,)
    assert batch.flow.shape == (2, 0, 2, 16, 16)
    dataset[0, 0].clip.zero_()
    assert torch.equal(dataset[0, 0].clip, batch.clip[0])


def test_the_dataset_pickles(data: Path) -> None:
    dataset = ClipDataset(data, frames=4, flow=True)
    copy = pickle.loads(pickle.dumps(dataset))
    assert all(torch.equal(a, b) for a, b in zip(copy[2, 1], dataset[2, 1], strict=True))


def test_windows_cover_each_clip_at_every_hop(data: Path) -> None:
    windows = list(ClipDataset(data, frames=2).windows(6, 3))
    assert [(w.source, w.start) for w in windows] == [
        ("a/1.npy", 0), ("a/2.npy", 0), ("a/2.npy", 3), *(("a/3.npy", start) for start in (0, 3, 6, 9, 12)),
    ]  # fmt: skip
    assert [w.group for w in windows] == [w.source for w in windows]
    np.testing.assert_array_equal(windows[2].clip.permute(0, 2, 3, 1).numpy(), noise(2, 9)[3:9])
    strided = list(ClipDataset(data, frames=2, stride=2).windows(5, 100))
    np.testing.assert_array_equal(strided[0].clip.permute(0, 2, 3, 1).numpy(), noise(2, 9)[0:9:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 21}, "21 frames at stride 1 .* 21 frames.*train split has 20"),
        ({"frames": 8, "stride": 3}, "clips of 22 frames"),
        ({"flow": True, "frames": 3, "stride": 2}, "flow with stride 2"),
        ({"split": "test"}, "data: the test split"),
        ({"split": "val"}, "split is 'val'; accepted: train, test"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_impossible_options_are_refused(data: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ClipDataset(data, **options)  # type: ignore[arg-type]


def test_bad_keys_and_windows_are_refused(data: Path) -> None:
    dataset = ClipDataset(data, frames=4)
    with pytest.raises(IndexError, match="item is 7; accepted: 0 to 6"):
        dataset[0, 7]
    with pytest.raises(TypeError, match=r"\(epoch, item\)"):
        dataset[3]  # type: ignore[index]
    with pytest.raises(DataError, match="windows of 30 frames"):
        dataset.windows(30, 1)
    with pytest.raises(DataError, match="hop 0"):
        dataset.windows(3, 0)


def test_errors_name_missing_and_foreign_files(tmp_path: Path) -> None:
    root = prepare_noise(tmp_path, [5, 5, 5], holdout=0).root
    with pytest.raises(DataError, match=f"{root}: .*without flow"):
        ClipDataset(root, frames=2, flow=True)
    dataset = ClipDataset(root, frames=2)
    path = root / "clips" / f"{dataset.entries[0].id}.npy"
    np.save(path, noise(0, 4))
    with pytest.raises(DataError, match=r"uint8 \(4, 16, 16, 3\), expected uint8 \(5, 16, 16, 3\)"):
        dataset[0, 0]
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match=f"{path.name}: cannot be read"):
        dataset[0, 0]
    path.unlink()
    with pytest.raises(DataError, match=f"{path.name}: missing"):
        ClipDataset(root, frames=2)


def test_items_have_their_categories(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for i, name in enumerate(["walk", "run"]):
        (source / name).mkdir(parents=True)
        np.save(source / name / "x.npy", noise(i))
    dataset = ClipDataset(prepare(source, tmp_path / "out", size=(16, 16), categories=True, holdout=0).root, frames=5)
    assert dataset.num_categories == 2 and dataset.category_names == ["run", "walk"]
    assert [int(dataset[0, item].category) for item in range(2)] == [0, 1]
    np.testing.assert_array_equal(dataset[0, 0].clip.permute(0, 2, 3, 1).numpy(), noise(1))


def test_clips_that_are_too_short_are_counted_and_a_few_long_ones_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = prepare_noise(tmp_path, [15] * 9 + [90], holdout=0.0).root
    dataset = ClipDataset(root, frames=12, stride=2)  # 23 frames
    (line,) = [record.getMessage() for record in caplog.records]
    assert "1 of 10 train clips" in line and "9 are shorter" in line and "23 frames" in line
    assert dataset.usage in line
    with pytest.raises(DataError, match=r"1 of 10 .*batch of 4.*data\.allow_few"):
        dataset.check_enough(4)
    dataset.check_enough(1)
    caplog.clear()
    whole = ClipDataset(root, frames=15)
    whole.check_enough(64)  # nothing is excluded, so a small data set is no surprise
    assert not caplog.records
    list(ClipDataset(root, frames=2).windows(20, 5))
    list(whole.windows(20, 5))
    assert sum("1 of 10" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize("allowed", [False, True])
def test_training_and_its_plan_refuse_a_few_long_clips(
    tmp_path: Path, allowed: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = prepare_noise(tmp_path, [6] * 9 + [90], size=32, holdout=0.0).root
    common = (f"data.root={root}", "data.frames=13", "train.batch_size=4", f"data.allow_few={str(allowed).lower()}")
    common += ("objective.category_source=null", "objective.weights.category=null", f"out={tmp_path / 'runs'}")
    code, out, err = run_vidgan(capfd, monkeypatch, "train", "mocogan/demo", *common, "--dry-run")
    assert code == (0 if allowed else 2), err
    assert "1 of 10 train clips" in (out if allowed else err)
