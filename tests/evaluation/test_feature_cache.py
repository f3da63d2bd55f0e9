"""Cached features: each distinct window once, the same numbers from disk and from several processes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch

from vidgan.evaluation import feature_cache
from vidgan.evaluation.feature_cache import CachedFeatures
from vidgan.evaluation.share import Share


class Counted:
    """Mean and last value of windows (B, length, 3, H, W), counting the windows."""

    def __init__(self) -> None:
        self.windows = 0

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += len(windows)
        flat = windows.float().flatten(1)
        return torch.stack([flat.mean(dim=1), flat[:, -1]], dim=1)


def clips(number: int = 3, length: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (number, length, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_each_frame_is_computed_once() -> None:
    describe = Counted()
    features = CachedFeatures(describe, "key")
    first = features(clips())
    assert first.shape == (3, 4, 2) and describe.windows == 12
    assert first[1, 2] == pytest.approx([float(clips()[1, 2].float().mean()), int(clips()[1, 2].flatten()[-1])])
    assert np.array_equal(features(clips().flip(1)), first[:, ::-1])
    assert np.array_equal(features(clips()[:, :1].expand(-1, 4, -1, -1, -1)), first[:, :1].repeat(4, axis=1))
    assert describe.windows == 12


def test_windows_of_several_frames() -> None:
    features = CachedFeatures(Counted(), "key", length=3, step=2)
    rows = features(clips(length=8))
    assert rows.shape == (3, 3, 2)
    assert rows[0, 2, 1] == clips(length=8)[0, 6].flatten()[-1]
    with pytest.raises(ValueError, match="at least 3 frames"):
        features(clips(length=2))


def test_a_file_holds_the_features_of_the_same_frames_and_key(tmp_path: Path) -> None:
    def computed(key: str, number: int) -> tuple[int, np.ndarray]:
        describe = Counted()
        rows = CachedFeatures(describe, key, folder=tmp_path)(clips(number))
        return describe.windows, rows

    windows, rows = computed("a", 3)
    again, same = computed("a", 3)
    assert (windows, again) == (12, 0) and np.array_equal(rows, same)
    assert computed("b", 3)[0] == 12 and computed("a", 2)[0] == 8
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:40])
    damaged, repaired = computed("a", 3)
    assert damaged == 12 and np.array_equal(rows, repaired)


def test_old_files_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "MOST_BYTES", 250)
    for number in (1, 2, 3):
        CachedFeatures(Counted(), "key", folder=tmp_path)(clips(number))
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_processes_share_the_windows_and_have_equal_numbers() -> None:
    barrier, tables = Barrier(2), {}

    def run(rank: int) -> tuple[int, np.ndarray]:
        class Exchanged(Share):
            def total(self, table: np.ndarray) -> np.ndarray:
                tables[rank] = table
                barrier.wait()
                total: np.ndarray = tables[0] + tables[1]
                barrier.wait()
                return total

        describe = Counted()
        rows = CachedFeatures(describe, "key", share=Exchanged(rank, 2))(clips())
        return describe.windows, rows

    with ThreadPoolExecutor(2) as pool:
        shares = list(pool.map(run, range(2)))
    alone = CachedFeatures(Counted(), "key")(clips())
    assert [windows for windows, _ in shares] == [6, 6]
    assert all(np.array_equal(rows, alone) for _, rows in shares)
