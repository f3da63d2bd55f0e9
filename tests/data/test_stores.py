"""The three stores: equal pixels, refused files, and sampling by time."""

import json
import os
import pickle
import resource
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clipfiles import noise, prepare_noise
from helpers import small_config
from video.video_files import counting_frames, encode, frame_numbers, textured_frames

from vidgan.build import build_dataset
from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.clip_store import OpenFiles
from vidgan.data.store.frames import FrameStore
from vidgan.data.store.index import load_index, save_index
from vidgan.data.store.shards import ShardStore, write_shards
from vidgan.data.store.storage import open_store
from vidgan.data.store.video import VideoStore
from vidgan.data.timing import AtRate
from vidgan.errors import ConfigError, DataError

STORES = ("frames", "video", "shards")
IRREGULAR = [0, 40, 80, 200, 240, 300, 420, 460, 500, 540, 580, 700, 740, 780, 820, 860, 900, 1000, 1040, 1080]  # ms


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An H.264 file with B-frames and sparse key frames, an MPEG-4 file, and a file of variable frame rate."""
    folder = tmp_path_factory.mktemp("videos")
    encode(folder / "b.mp4", textured_frames(40), options={"bf": "2", "g": "15"})
    encode(folder / "a.avi", textured_frames(30)[:, :, ::-1], "mpeg4", options={"bf": "2", "g": "12"})
    frames = counting_frames(len(IRREGULAR))
    encode(folder / "vfr.mp4", frames, pts=IRREGULAR, time_base=Fraction(1, 1000), options={"bf": "0"})
    return folder


def prepared(videos: Path, out: Path, **options: object) -> dict[str, Path]:
    """`videos` prepared at 24x32 for each store."""
    arguments = {"size": (24, 32), "holdout": 0.0, "cuts": "off", **options}
    return {store: prepare(videos, out / store, store=store, **arguments).root for store in STORES}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def roots(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return prepared(videos, tmp_path_factory.mktemp("roots"))


def assert_same_items(roots: dict[str, Path], **options: object) -> None:
    datasets = [ClipDataset(roots[store], flip=True, seed=3, **options) for store in STORES]  # type: ignore[arg-type]
    assert len({len(dataset) for dataset in datasets}) == 1 and len(datasets[0]) > 0
    assert len({dataset.index.fingerprint for dataset in datasets}) == 1
    for epoch in range(3):
        for item in range(len(datasets[0])):
            rows = [dataset[epoch, item] for dataset in datasets]
            assert all(torch.equal(a, b) for row in rows[1:] for a, b in zip(row, rows[0], strict=True))


def test_all_stores_return_the_same_pixels(roots: dict[str, Path]) -> None:
    kinds = [type(open_store(root, load_index(root))) for root in roots.values()]
    assert kinds == [FrameStore, VideoStore, ShardStore]
    assert not list((roots["video"] / "clips").glob("*.npy")) and not list((roots["shards"] / "clips").glob("*.npy"))
    assert_same_items(roots, frames=6)
    assert_same_items(roots, frames=4, stride=3)
    assert_same_items(roots, frames=4, fps=10)


def test_they_do_for_files_without_timestamps(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    frames = textured_frames(60)
    encode(tmp_path / "in" / "a.avi", frames, fps=30, options={"bf": "2"}, pts_from_dts=True)
    encode(tmp_path / "in" / "raw.mp4", frames, container="h264", fps=30)
    roots = prepared(tmp_path / "in", tmp_path / "out", fps=12.0)  # every second tick is between two frames
    assert_same_items(roots, frames=2)


@pytest.mark.parametrize("options", [{"fps": 10.0}, {"every": 3}, {"fps": 12.5, "every": 2}, {"fit": "squash"}])
def test_they_do_for_all_read_options(videos: Path, tmp_path: Path, options: dict[str, object]) -> None:
    assert_same_items(prepared(videos, tmp_path, **options), frames=2)


def test_they_do_for_sources_with_several_shots(tmp_path: Path) -> None:
    shots = np.concatenate([textured_frames(20), 255 - textured_frames(25)[:, ::-1], noise(1, 15, 48, 64) // 4])
    (tmp_path / "in").mkdir()
    encode(tmp_path / "in" / "film.mp4", shots, options={"bf": "2", "g": "25"})
    roots = prepared(tmp_path / "in", tmp_path / "out", cuts="auto", every=2)
    assert [entry.start for entry in load_index(roots["video"]).clips] == [0, 10, 23]
    assert_same_items(roots, frames=3)


def test_all_stores_return_the_same_pixels_of_real_videos(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("ucf101/v_SoccerJuggling_g23_c01.avi", "hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi"):
        shutil.copy(shared_data / "clips" / name, tmp_path / "in")
    assert_same_items(prepared(tmp_path / "in", tmp_path / "out"), frames=8, fps=15)


def test_windows_are_read_from_the_store_too(roots: dict[str, Path]) -> None:
    windows = [list(ClipDataset(roots[store], frames=2).windows(8, 5)) for store in STORES]
    assert len(windows[0]) == len(windows[1]) == len(windows[2]) == 5 + 7 + 3
    for a, b, c in zip(*windows, strict=True):
        assert torch.equal(a.clip, b.clip) and torch.equal(a.clip, c.clip) and a[1:] == b[1:] == c[1:]


@pytest.mark.parametrize("store", STORES)
def test_stores_can_be_pickled_and_forked(roots: dict[str, Path], store: str) -> None:
    dataset = ClipDataset(roots[store], frames=4)
    row = dataset[0, 0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[0, 0].clip, row.clip)
    opened = getattr(dataset.store, "_videos", getattr(dataset.store, "_handles", None))
    pid = os.fork()
    if pid == 0:  # the child opens its own files
        same = torch.equal(dataset[0, 0].clip, row.clip)
        os._exit(0 if same and (opened is None or opened._process == os.getpid()) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_changed_or_missing_video_is_refused(videos: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(videos, source)
    root = prepare(source, tmp_path / "out", size=(24, 32), store="video", holdout=0, cuts="off").root
    dataset = ClipDataset(root, frames=4)
    items = {dataset.clip_of(item).file: item for item in range(len(dataset))}
    path = source / "b.mp4"
    encode(path, textured_frames(40)[::-1].copy(), options={"bf": "2", "g": "15"})
    with pytest.raises(DataError, match=f"{path}: cannot be read"):
        dataset[0, items["b.mp4"]]
    dataset[0, items["a.avi"]]
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: cannot be read"):
        dataset[0, items["b.mp4"]]
    with pytest.raises(DataError, match=f"{path}: missing"):
        ClipDataset(root, frames=4)


def shown(row_clip: torch.Tensor) -> list[int]:
    return frame_numbers(row_clip.permute(0, 2, 3, 1).numpy())


def test_sampling_at_a_rate_uses_the_frames_nearest_in_time(roots: dict[str, Path]) -> None:
    dataset = ClipDataset(roots["frames"], frames=5, fps=10)
    (entry,) = [entry for entry in dataset.entries if entry.file == "vfr.mp4"]
    starts = dataset._starts(entry)
    assert len(starts) == sum(time <= IRREGULAR[-1] - 400 for time in IRREGULAR)
    by_hand = {0: [0, 2, 3, 5, 6], 3: [3, 5, 6, 8, 10], 5: [5, 6, 8, 10, 11]}
    # From 0: ticks 0 100 200 300 400; from 200: 200 300 400 500 600; from 300: 300 400 500 600 700 (ms).
    for start, numbers in by_hand.items():
        assert dataset._sampling.indices(entry, start, 5) == numbers
    windows = [window for window in dataset.windows(5, 1) if window.source == "vfr.mp4"]
    assert shown(windows[3].clip) == by_hand[3] and windows[3].fps == 10
    assert dataset.rates == (10, 10)


def test_the_rate_of_strided_clips_is_known(roots: dict[str, Path]) -> None:
    dataset = ClipDataset(roots["frames"], frames=4, stride=2)
    assert dataset.rates is not None
    assert dataset.rates[0] == pytest.approx(19 / 1.08 / 2) and dataset.rates[1] == pytest.approx(12.5)


def test_an_unreachable_rate_is_refused(
    roots: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ClipDataset(roots["frames"], frames=4, fps=25).too_slow == 1  # the variable-rate clip has 17.6 fps
    assert "1 train clips of less than 25 fps" in caplog.text
    with pytest.raises(DataError, match="fps 50 .*train split"):
        ClipDataset(roots["frames"], frames=4, fps=50)
    with pytest.raises(DataError, match=r"40 frames at 10 fps .*3.90 s"):
        ClipDataset(roots["frames"], frames=40, fps=10)
    with pytest.raises(DataError, match="stride 2 .*fps 10"):
        ClipDataset(roots["frames"], frames=4, stride=2, fps=10)
    with pytest.raises(DataError, match="fps is -1"):
        ClipDataset(roots["frames"], frames=4, fps=-1)
    arrays = prepare_noise(tmp_path, [6], holdout=0).root
    with pytest.raises(DataError, match=r"a/0.npy has no clock .*stride"):
        ClipDataset(arrays, frames=2, fps=5)


def test_sampling_a_steady_clip_is_a_stride(roots: dict[str, Path]) -> None:
    clip = replace(load_index(roots["frames"]).clips[0], frames=21, fps=30.0)
    for fps, stride in ((30, 1), (15, 2), (10, 3), (29.97, 1)):
        sampling = AtRate(fps, lambda entry: np.arange(21) / 30)
        assert list(sampling.indices(clip, 2, 6)) == list(range(2, 2 + 6 * stride, stride))
        assert len(sampling.starts(clip, 6)) == (21 - 5 * stride if fps != 29.97 else 15)
        assert not sampling.repeats(clip)
    assert AtRate(31, lambda entry: np.arange(21) / 30).repeats(clip)
    # 30 -> 20 fps: ticks at frames 0, 1.5, 3; ties go to the earlier frame.
    assert AtRate(20, lambda entry: np.arange(21) / 30).indices(clip, 0, 5) == [0, 1, 3, 4, 6]


def resident() -> float:
    """Memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def descriptors(folder: Path) -> int:
    """Number of open files below `folder`; files of other tests may be closed by the garbage collector any time."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of the listing itself
            count += link.readlink().is_relative_to(folder)
    return count


def slope(action: Callable[[int], object], count: int, folder: Path) -> tuple[float, int]:
    """Growth in MiB and in open files below `folder` over `count` calls, after a warm-up that opens every file."""
    for i in range(60):
        action(i)
    memory, files = resident(), descriptors(folder)
    for i in range(count):
        action(60 + i)
    return resident() - memory, descriptors(folder) - files


def test_memory_and_descriptors_stay_flat_over_many_files(tmp_path: Path) -> None:
    """600 opens of each store: a leak of one array or descriptor per file would be visible."""
    root = prepare_noise(tmp_path, [8] * 60, holdout=0, size=64).root  # 98 kB per clip
    index = load_index(root)
    frames = ClipDataset(root, frames=4)
    grown, files = slope(lambda i: frames[i, i % 60], 600, tmp_path)
    assert grown < 6 and files <= 0  # all 60 arrays would take 5.6 MiB, 600 kept open 56
    shutil.copytree(root, tmp_path / "sharded")
    write_shards(tmp_path / "sharded", index.clips, shard_bytes=1, flow=False, categories=[])  # 60 shards
    save_index(tmp_path / "sharded", replace(index, store="shards"))
    shards = ClipDataset(tmp_path / "sharded", frames=4)
    grown, files = slope(lambda i: shards[i, i % 60], 600, tmp_path)
    assert grown < 6 and files <= 0 and descriptors(tmp_path) == 60


def test_video_readers_are_closed(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    first = encode(source / "0.mp4", textured_frames(8), options={"g": "4"})
    for i in range(1, 20):
        shutil.copy(first, source / f"{i}.mp4")
        with (source / f"{i}.mp4").open("ab") as file:
            file.write(i.to_bytes(8, "big"))
    root = prepare(source, tmp_path / "out", size=(16, 16), store="video", holdout=0, cuts="off").root
    dataset = ClipDataset(root, frames=4)
    grown, files = slope(lambda i: dataset[i, i % 20], 200, tmp_path)
    assert grown < 10 and files <= 0


def test_the_least_recently_used_file_is_closed() -> None:
    closed: list[str] = []
    files = OpenFiles(str.upper, closed.append, most=2)
    assert [files["a"], files["b"], files["a"], files["c"]] == ["A", "B", "A", "C"]
    assert closed == ["B"]


def test_a_config_samples_at_its_rate(roots: dict[str, Path], tmp_path: Path) -> None:
    config = small_config("mocogan", roots["frames"], tmp_path, data__frames=4, data__fps=10)
    assert build_dataset(config).fps == 10 and build_dataset(config).rates == (10, 10)
    with pytest.raises(ConfigError, match=r"data.stride=2 .*fps=10"):
        small_config("mocogan", roots["frames"], tmp_path, data__frames=4, data__fps=10, data__stride=2)


def test_damaged_video_metadata_is_reported(videos: Path, tmp_path: Path) -> None:
    root = prepare(videos, tmp_path / "out", size=(24, 32), store="video", holdout=0, cuts="off").root
    path = root / "videos.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "index": {}}) + "\n" for line in lines))
    with pytest.raises(DataError, match=f"{videos}.*cannot be read"):
        ClipDataset(root, frames=4)[0, 0]
