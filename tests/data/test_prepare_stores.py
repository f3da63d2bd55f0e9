"""`prepare` with every store: the same data, resumable after a kill at any moment."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clipfiles import grey_ramp, noise, write_strip

from vidgan.data.preparing import cutting, storing, worker_processes
from vidgan.data.preparing.prepare import prepare
from vidgan.data.preparing.reading import Plan, ReadTask
from vidgan.data.preparing.shots import ShotSettings
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.sources.source import Source
from vidgan.data.store.index import load_index
from vidgan.data.store.storage import open_store
from vidgan.data.store.video import VideosFile
from vidgan.errors import DataError, VideoError
from vidgan.video.encode import write_mp4

SIZE = (16, 24)
NO_CUTS = ShotSettings("off", None, None, False, False)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos; two of them are equal."""
    folder = tmp_path_factory.mktemp("videos")
    for i in range(5):
        clip = grey_ramp(8 + i, 32, 48, step=18)
        clip[:, :, 8 * i : 8 * i + 5, 0] = 255  # none is the mirror image of another
        write_mp4(folder / f"{i}.mp4", clip, fps=10)
    shutil.copy(folder / "3.mp4", folder / "copy.mp4")
    return folder


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and modification time of a folder and everything below it."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in [folder, *sorted(folder.rglob("*"))]}


@pytest.mark.parametrize("options", [{}, {"fps": 4.0}, {"every": 3, "fit": "cover"}])
def test_all_stores_contain_the_same_frames(videos: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    before = files(videos)
    stores = {
        name: prepare(videos, tmp_path / name, size=SIZE, store=name, holdout=0.4, **options)
        for name in ("frames", "video", "shards")
    }
    assert files(videos) == before
    frames = stores["frames"].index
    assert len(frames.clips) == 6 and "1 clips are exact copies" in " ".join(frames.notices)
    split = {clip.source: clip.split for clip in frames.clips}
    assert split["3.mp4"] == split["copy.mp4"]
    for name, prepared in stores.items():
        index = load_index(prepared.root)
        assert (index.fingerprint, index.split_hash) == (frames.fingerprint, frames.split_hash)
        assert index.store == name and index.source_root == (str(videos) if name == "video" else None)
        store = open_store(prepared.root, index)
        for clip, original in zip(index.clips, frames.clips, strict=True):
            expected = np.load(tmp_path / "frames" / "clips" / f"{original.id}.npy")
            np.testing.assert_array_equal(store.frames(clip, range(1, len(expected))), expected[1:])
        if name != "frames":
            assert not list((prepared.root / "clips").iterdir())
    sheets = {(tmp_path / name / "contact_sheet.png").read_bytes() for name in stores}
    assert len(sheets) == 1


def test_every_video_has_a_line_of_metadata(videos: Path, tmp_path: Path) -> None:
    prepared = prepare(videos, tmp_path / "out", size=SIZE, fps=5.0, every=2)
    lines = [json.loads(line) for line in (tmp_path / "out" / "videos.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [*(f"{i}.mp4" for i in range(5)), "copy.mp4"]
    line = lines[2]
    assert (line["width"], line["height"], line["rotation"], line["codec"]) == (48, 32, 0, "h264")
    assert (line["native_fps"], line["fps"], line["file"], line["cuts"]) == (10, 2.5, "2.mp4", [])
    step = line["pts"][1] - line["pts"][0]
    assert line["pts"] == [line["pts"][0] + i * step for i in range(10)] and line["keyframes"][0] == 0
    assert step * line["time_base"][0] / line["time_base"][1] == pytest.approx(0.1)
    assert line["sha256"] != lines[1]["sha256"] and lines[3]["sha256"] == lines[5]["sha256"]
    assert [clip.fps for clip in prepared.index.clips] == [2.5] * 6
    assert [clip.frames for clip in prepared.index.clips] == [2, 3, 3, 3, 3, 3]  # 0.8 to 1.2 s at 2.5 fps
    assert VideosFile(tmp_path / "out").of("copy.mp4")["file"] == "copy.mp4"


@pytest.mark.parametrize(
    ("add", "options", "message"),
    [
        ("", {"flow": "tvl1"}, "flow .*store='video'"),
        ("s.png", {}, r"s.png: store='video'"),
        ("", {"store": "shards", "shard_mb": 0}, "shard_mb is 0"),
        ("", {"store": "frames", "shard_mb": 8}, "shard_mb=8 has no effect with store='frames'"),
        ("", {"store": "cloud"}, "store is 'cloud'; accepted: frames, video, shards"),
    ],
)
def test_impossible_stores_are_refused(
    videos: Path, tmp_path: Path, add: str, options: dict[str, Any], message: str
) -> None:
    source = shutil.copytree(videos, tmp_path / "in")
    if add:
        write_strip(source / add, noise(0))
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "out", **{"size": SIZE, "store": "video", **options})
    assert not (tmp_path / "out").exists()


def test_a_video_that_cannot_be_indexed_costs_only_itself(tmp_path: Path, videos: Path) -> None:
    """Indexing reads the file again; it may have changed by then."""
    prepared = prepare(videos, tmp_path / "out", size=SIZE, store="video")
    (first, *_) = prepared.index.clips
    task = ReadTask(
        Source(first.file, "video", (first.file,)),
        Plan(videos, tmp_path, ReadSettings(SIZE, "crop", None, None), NO_CUTS, None, 2, "video"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "index_video", refuse_to_index)
        cut = cutting.read_and_cut(task)
    assert cut.clips == () and [(r.source, r.reason) for r in cut.refusals] == [(first.file, "corrupt")]


def refuse_to_index(path: Path) -> None:
    raise VideoError(path, "corrupt", "changed while it was read")


def killed(action: Callable[[], object]) -> None:
    """Run `action` in a fork of this process, which must be killed."""
    pid = os.fork()
    if pid == 0:
        worker_processes._idle.clear()  # the idle worker process belongs to the parent
        try:
            action()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def kill_me(*arguments: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("store", ["frames", "video", "shards"])
def test_a_run_killed_at_any_moment_resumes(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    options: dict[str, Any] = {"size": SIZE, "store": store}
    straight = prepare(videos, tmp_path / "straight", **options)

    def third(done: int, total: int, name: str) -> None:
        if done == 3:
            kill_me()

    killed(lambda: prepare(videos, tmp_path / "out", progress=third, **options))
    with (tmp_path / "out" / "videos.jsonl").open("ab") as file:
        file.write(b'{"source": "5.mp4", "pt')  # left by a power failure
    steps = ["packed_clips", "write_shards"] if store == "shards" else []
    for step in [*steps, "_write_contact_sheet", "save_index"]:
        with monkeypatch.context() as patch:
            patch.setattr(storing, step, kill_me)
            killed(lambda: prepare(videos, tmp_path / "out", **options))
        assert not (tmp_path / "out" / "index.json").exists()
    calls: list[int] = []
    ended = prepare(videos, tmp_path / "out", progress=lambda done, total, name: calls.append(done), **options)
    assert (ended.reused, ended.prepared) == (6, 0) and calls == [1, 2, 3, 4, 5, 6]
    assert ended.index == straight.index
    for name in ("index.json", "videos.jsonl", "contact_sheet.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    names = {p.relative_to(tmp_path / "straight") for p in (tmp_path / "straight").rglob("*")}
    assert {p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*")} == names


def test_finished_shards_are_only_replaced_as_a_whole(videos: Path, tmp_path: Path) -> None:
    source, out = shutil.copytree(videos, tmp_path / "in"), tmp_path / "out"
    first = prepare(source, out, size=SIZE, store="shards", shard_mb=1)
    before = files(out / "shards")
    again = prepare(source, out, size=SIZE, store="shards", shard_mb=1)
    assert (again.reused, again.prepared, again.index) == (6, 0, first.index)
    assert files(out / "shards") == before
    (source / "0.mp4").unlink()
    with pytest.raises(DataError, match=f"out {out} .*finished shards"):
        prepare(source, out, size=SIZE, store="shards", shard_mb=1)
    assert files(out / "shards") == before and load_index(out) == first.index
    fewer = prepare(source, out, size=SIZE, store="shards", shard_mb=1, overwrite=True)
    assert len(fewer.index.clips) == 5 and fewer.prepared == 5
    other = prepare(source, out, size=SIZE, store="shards", shard_mb=1, holdout=0.6, overwrite=True)
    assert other.prepared == 5
    held = {clip.id for clip in other.index.of_split("test")}
    manifest = json.loads((out / "shards" / "manifest.json").read_text())
    assert {clip["id"] for shard in manifest["shards"] if shard["split"] == "test" for clip in shard["clips"]} == held
