"""`prepare`: resuming, settings, processes, splits, flow, and the files it writes."""

import os
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise, stored, write_strip, write_tar
from PIL import Image
from reading_jobs import fail_with_full_disk, read_and_log

import vidgan.data.preparing.prepare as prepare_module
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import load_index
from vidgan.errors import DataError

SIZE = (16, 16)


class Reads:
    """Names of the sources that were read since the last `clear`, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.is_file() else []

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reads:
    monkeypatch.setattr(prepare_module, "read_and_cut", read_and_log)
    return Reads(tmp_path / "reads.log")


def make_source(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    for i in range(count):
        np.save(folder / f"{i}.npy", noise(i))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_written_files_and_the_unmodified_source(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in")
    before = tree(source)
    prepared = prepare(source, tmp_path / "out", size=SIZE)
    assert tree(source) == before
    ids = {clip.id for clip in prepared.index.clips}
    names = {"index.json", "prepare.jsonl", "quarantine.jsonl", "contact_sheet.png"}
    assert set(tree(tmp_path / "out")) == names | {f"clips/{i}.npy" for i in ids}
    assert load_index(tmp_path / "out") == prepared.index
    sheet = np.asarray(Image.open(tmp_path / "out" / "contact_sheet.png"))
    assert sheet.shape[0] >= 4 * 16 and sheet.shape[1] >= 8 * 16
    assert any(np.array_equal(sheet[y : y + 16, x : x + 16], noise(0)[0]) for y in range(9) for x in range(9))


def test_a_second_run_reads_nothing_and_writes_the_same_bytes(tmp_path: Path, reads: Reads) -> None:
    source = make_source(tmp_path / "in")
    write_tar(source / "more.tar.gz", {"x.npy": (source / "0.npy").read_bytes()[:-1] + b"\0"})
    first = prepare(source, tmp_path / "out", size=SIZE)
    assert (first.reused, first.prepared, len(reads())) == (0, 5, 5)
    before = tree(tmp_path / "out")
    second = prepare(source, tmp_path / "out", size=SIZE)
    assert (second.reused, second.prepared, len(reads())) == (5, 0, 5)
    assert tree(tmp_path / "out") == before


def test_only_new_changed_and_damaged_sources_are_read_again(tmp_path: Path, reads: Reads) -> None:
    source = make_source(tmp_path / "in", 5)
    first = prepare(source, tmp_path / "out", size=SIZE)
    reads.clear()
    np.save(source / "new.npy", noise(50))
    np.save(source / "1.npy", noise(51, 6))
    os.utime(source / "2.npy", ns=(1, 1))
    (source / "3.npy").unlink()
    cut = tmp_path / "out" / "clips" / f"{first.index.clips[4].id}.npy"
    cut.write_bytes(cut.read_bytes()[:-1])
    second = prepare(source, tmp_path / "out", size=SIZE)
    assert sorted(reads()) == ["1.npy", "2.npy", "4.npy", "new.npy"]
    np.testing.assert_array_equal(stored(second, "1.npy"), noise(51, 6))
    np.testing.assert_array_equal(stored(second, "4.npy"), noise(4))
    assert {clip.source for clip in second.index.clips} == {"0.npy", "1.npy", "2.npy", "4.npy", "new.npy"}
    assert len(list((tmp_path / "out" / "clips").iterdir())) == 5  # without the clip of the removed source
    assert second.index.fingerprint != first.index.fingerprint


def test_an_interrupted_run_resumes(tmp_path: Path, reads: Reads) -> None:
    source = make_source(tmp_path / "in")

    def stop(done: int, total: int, name: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", size=SIZE, progress=stop)
    with pytest.raises(DataError, match=r"index.json.*`vidgan prepare`"):
        load_index(tmp_path / "out")
    with (tmp_path / "out" / "prepare.jsonl").open("ab") as file:
        file.write(b'{"source": "2.npy", "st')  # left by a power failure
    (tmp_path / "out" / "clips" / ".x.npy.1.tmp").write_bytes(b"left over")
    prepared = prepare(source, tmp_path / "out", size=SIZE)
    assert reads() == ["0.npy", "1.npy", "2.npy", "3.npy"]
    assert (prepared.reused, prepared.prepared) == (2, 2)
    assert prepared.index == prepare(source, tmp_path / "straight", size=SIZE).index
    assert not list((tmp_path / "out" / "clips").glob(".*"))


def test_progress_counts_every_source(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", 3)
    calls: list[tuple[int, int, str]] = []
    for _ in range(2):
        prepare(source, tmp_path / "out", size=SIZE, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3, "0.npy"), (2, 3, "1.npy"), (3, 3, "2.npy")] * 2


@pytest.mark.parametrize(
    ("change", "named", "read_again"),
    [
        ({"size": (8, 8)}, r"size \[16, 16\], now \[8, 8\]", True),
        ({"min_frames": 3}, "min_frames 2, now 3", True),
        ({"holdout": 0.5}, "holdout None, now 0.5", False),
        ({"seed": 1}, "seed 0, now 1", False),
        ({"group_by": "folder"}, "group_by None, now 'folder'", False),
    ],
)
def test_other_settings_are_refused_unless_overwriting(
    tmp_path: Path, reads: Reads, change: dict[str, object], named: str, read_again: bool
) -> None:
    source = make_source(tmp_path / "in")
    prepare(source, tmp_path / "out", size=SIZE)
    before = tree(tmp_path / "out")
    reads.clear()
    options: dict[str, object] = {"size": SIZE, **change}
    with pytest.raises(DataError, match=f"out .*{named}"):
        prepare(source, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert tree(tmp_path / "out") == before
    again = prepare(source, tmp_path / "out", overwrite=True, **options)  # type: ignore[arg-type]
    assert len(reads()) == (4 if read_again else 0)
    assert again.index == prepare(source, tmp_path / "fresh", **options).index  # type: ignore[arg-type]


def test_another_source_is_refused_unless_overwriting(tmp_path: Path) -> None:
    prepare(make_source(tmp_path / "in"), tmp_path / "out", size=SIZE)
    other = make_source(tmp_path / "other", 2)
    with pytest.raises(DataError, match=r"source .*/in', now .*/other'"):
        prepare(other, tmp_path / "out", size=SIZE)
    assert len(prepare(other, tmp_path / "out", size=SIZE, overwrite=True).index.clips) == 2


@pytest.mark.parametrize("out", ["in", "in/out", "in/deep/out"])
def test_out_inside_the_source_is_refused(tmp_path: Path, out: str) -> None:
    source = make_source(tmp_path / "in")
    before = tree(tmp_path)
    with pytest.raises(DataError, match=f"out {tmp_path / out} .*source {source}"):
        prepare(source, tmp_path / out, size=SIZE)
    assert tree(tmp_path) == before


def test_out_with_other_files_is_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match=f"out {tmp_path / 'out'}"):
        prepare(source, tmp_path / "out", size=SIZE, overwrite=True)
    with pytest.raises(DataError, match="out .*thesis.tex .*accepted: a folder"):
        prepare(source, tmp_path / "out" / "thesis.tex", size=SIZE)


def test_a_full_disk_ends_the_run_and_refuses_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "read_and_cut", fail_with_full_disk)
    with pytest.raises(DataError, match=r"out .*No space left"):
        prepare(make_source(tmp_path / "in"), tmp_path / "out", size=SIZE)
    assert not (tmp_path / "out" / "quarantine.jsonl").exists()


def test_relative_paths_follow_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes stay alive between calls and keep the folder that they were started in."""
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        make_source(Path("in"))
        prepare(Path("in"), Path("out"), size=SIZE)
        assert len(list((tmp_path / name / "out" / "clips").iterdir())) == 4


def test_two_runs_never_write_into_one_folder(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in")

    def another(done: int, total: int, name: str) -> None:
        with pytest.raises(DataError, match=f"out {tmp_path / 'out'}: another preparation"):
            prepare(source, tmp_path / "out", size=SIZE)

    first = prepare(source, tmp_path / "out", size=SIZE, progress=another)
    assert prepare(source, tmp_path / "out", size=SIZE).index == first.index


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in")
    write_strip(source / "bad.png", noise(9, 2))
    (source / "bad.mp4").write_bytes(b"nothing")
    write_tar(source / "t.tar.gz", {f"{i}.npy": (source / f"{i}.npy").read_bytes() for i in range(2)})
    one = prepare(source, tmp_path / "one", size=SIZE)
    two = prepare(source, tmp_path / "two", size=SIZE, workers=2)
    assert two.index == one.index
    assert two.quarantined == one.quarantined
    clips = [{k: v for k, v in tree(tmp_path / name).items() if k.startswith("clips")} for name in ("one", "two")]
    assert clips[0] == clips[1]


def test_copies_and_mirror_images_never_cross_the_split(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i in range(10):
        np.save(source / f"{i}a.npy", noise(i))
        np.save(source / f"{i}b.npy", noise(i)[:, :, ::-1] if i % 2 else noise(i))
    for seed in range(4):
        index = prepare(source, tmp_path / f"out{seed}", size=SIZE, holdout=0.5, seed=seed).index
        split = {clip.source: clip.split for clip in index.clips}
        assert all(split[f"{i}a.npy"] == split[f"{i}b.npy"] for i in range(10))
        assert sorted(split.values()) == ["test"] * 10 + ["train"] * 10
        assert index.notices[0].startswith("10 clips are exact copies")


def test_categories_groups_and_a_test_pattern_reach_the_index(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for category in ("walk", "run"):
        for i in range(4):
            write_strip(source / category / f"{i}.png", noise(i + 10 * len(category)))
    index = prepare(source, tmp_path / "a", size=SIZE, categories=True, group_by="number//2", holdout=0.5).index
    assert index.categories == ["run", "walk"]
    assert [clip.category for clip in index.clips] == [0] * 4 + [1] * 4
    assert [clip.group for clip in index.clips] == ["0", "0", "1", "1"] * 2
    assert len({(clip.group, clip.split) for clip in index.clips}) == 2
    index = prepare(source, tmp_path / "b", size=SIZE, test_pattern="^walk/[01]").index
    assert [clip.source for clip in index.of_split("test")] == ["walk/0.png", "walk/1.png"]
    assert index.categories == [] and {clip.category for clip in index.clips} == {-1}


def test_the_index_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    for name, order in (("x", range(9)), ("y", range(8, -1, -1))):
        (tmp_path / name / "in").mkdir(parents=True)
        for i in order:
            np.save(tmp_path / name / "in" / f"{i}.npy", noise(i))
        prepare(tmp_path / name / "in", tmp_path / name / "out", size=SIZE)
    x, y = (load_index(tmp_path / name / "out") for name in "xy")
    assert x.clips == y.clips
    assert (x.fingerprint, x.split_hash) == (y.fingerprint, y.split_hash)


def test_flow_is_stored_backward_in_float16(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 20, 3), dtype=np.uint8))
    scene = np.asarray(coarse.resize((80, 64), Image.Resampling.BICUBIC))
    clip = np.stack([scene[:, 10 - 2 * t : 74 - 2 * t] for t in range(3)])  # the scene moves 2 px to the right
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", clip)
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=(64, 64), flow="auto")
    assert prepared.index.flow in ("dis", "tvl1")
    flow = np.load(tmp_path / "out" / "flow" / f"{prepared.index.clips[0].id}.npy")
    assert flow.shape == (2, 2, 64, 64) and flow.dtype == np.float16
    inner = flow[:, :, 8:-8, 8:-8].astype(np.float64)
    np.testing.assert_allclose(np.median(inner, axis=(0, 2, 3)), [-2, 0], atol=0.1)
