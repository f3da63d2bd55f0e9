"""Prepared data, archives and names from a stranger, and data that change while they are read."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clipfiles import noise, npy_bytes, prepare_noise, write_tar

from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.data.preparing.prepare import prepare
from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.sources.array_files import labelled_clips
from vidgan.data.store import frames as frames_store
from vidgan.data.store.frames import save_array
from vidgan.data.store.index import load_index, save_index
from vidgan.errors import DataError
from vidgan.files import atomic_file, temporary_folder

SIZE = (16, 16)


def limited(code: str, *arguments: object, megabytes: int = 1024, seconds: float = 120.0) -> str:
    """Run code in a process of limited memory, whose start (imports) does not count; its standard output."""
    start = (
        "import resource, sys, time; import vidgan.data.preparing.prepare, vidgan.data.dataset, vidgan.data.loader\n"
    )
    limit = f"resource.setrlimit(resource.RLIMIT_DATA, ({megabytes} << 20,) * 2)\n" if sys.platform == "linux" else ""
    command = [sys.executable, "-c", start + limit + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True).stdout


def rewrite(root: Path, **changes: Any) -> None:
    """Change all clips of an index, with valid digests."""
    from dataclasses import replace

    index = load_index(root)
    save_index(root, replace(index, clips=[replace(clip, **changes) for clip in index.clips]))


@pytest.mark.parametrize("store", ["frames", "shards"])
def test_more_frames_than_the_files_have_are_refused_at_once(tmp_path: Path, store: str) -> None:
    root = prepare_noise(tmp_path, [4, 5, 6], store=store).root
    for frames in (7, 10**7):
        rewrite(root, frames=frames)
        started = time.monotonic()
        with pytest.raises(DataError, match=r"clips/|train-0"):
            ClipDataset(root, frames=2)
        assert time.monotonic() - started < 2
    content = json.loads((root / "index.json").read_text())
    content["clips"][0]["frames"] = 10**12
    (root / "index.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"index\.json"):
        ClipDataset(root, frames=2)


def test_more_categories_than_clips_and_deep_nesting_name_the_file(tmp_path: Path) -> None:
    root = prepare_noise(tmp_path, [4, 5, 6]).root
    content = json.loads((root / "index.json").read_text())
    for change in ({"categories": [str(i) for i in range(100_000)]}, {"size": [10**6, 10**6]}, {"settings": [1]}):
        (root / "index.json").write_text(json.dumps(content | change))
        with pytest.raises(DataError, match=r"index\.json"):
            ClipDataset(root, frames=2)
    for text in ("[" * 100_000, '{"format": 2, "clips": ' + "[" * 500 + "]" * 500 + "}"):
        (root / "index.json").write_text(text)
        with pytest.raises(DataError, match=r"index\.json"):
            ClipDataset(root, frames=2)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "dangling"])
def test_a_clip_that_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    root = prepare_noise(tmp_path, [4, 5, 6]).root
    dataset = ClipDataset(root, frames=2)
    path = root / "clips" / f"{dataset.entries[0].id}.npy"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else tmp_path / "nowhere")
    with pytest.raises(DataError, match=path.name):
        ClipDataset(root, frames=2)
    with pytest.raises(DataError, match=path.name):  # replaced while a training runs
        dataset[0, 0]


def test_files_outside_the_source_are_not_followed(tmp_path: Path) -> None:
    root = prepare_noise(tmp_path, [4, 5, 6]).root
    content = json.loads((root / "index.json").read_text())
    for name in ("../x.mp4", "a/../../x.mp4", "a\0b"):
        content["clips"][0]["file"] = name
        (root / "index.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"index\.json.*outside"):
            load_index(root)


def test_archive_bombs_are_refused_early(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "good.npy", noise(0))
    np.save(tmp_path / "in" / "good2.npy", noise(1))
    chunk = b"\0" * (1 << 20)

    class Zeros:
        def __init__(self, size: int) -> None:
            self.left = size

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left, len(chunk))
            self.left -= size
            return chunk[:size]

    with tarfile.open(tmp_path / "in" / "bomb.tar.gz", "w:gz", compresslevel=1) as file:
        info = tarfile.TarInfo("a.npy")
        info.size = 300 << 20
        file.addfile(info, Zeros(info.size))  # type: ignore[arg-type]
        small = tarfile.TarInfo("b.npy")
        file.addfile(small, BytesIO(b""))
    with zipfile.ZipFile(tmp_path / "in" / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.npy", "w") as member:
            for _ in range(200):
                member.write(chunk)
        archive.writestr("b.npy", npy_bytes(noise(2)))
    packed = zipfile.ZipFile(tmp_path / "in" / "bomb.npz", "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("a.npy", "w") as member:
        for _ in range(200):
            member.write(chunk)
    code = (
        "started = time.monotonic()\n"
        "from vidgan.data.layouts.discovery import discover\nfrom pathlib import Path\n"
        "listed = discover(Path(sys.argv[1]))\n"
        "print(time.monotonic() - started)\nprint(sorted(r.source for r in listed.refusals))\n"
    )
    seconds, refused = limited(code, tmp_path / "in", megabytes=512).splitlines()
    assert float(seconds) < 2 and refused == "['bomb.tar.gz/a.npy', 'bomb.zip/a.npy']"
    with pytest.raises(DataError, match=r"a\.npy.*decompresses"):
        next(labelled_clips("bomb.npz", tmp_path / "in" / "bomb.npz"))
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    assert {clip.source for clip in prepared.index.clips} == {"bomb.zip/b.npy", "good.npy", "good2.npy"}


def test_many_small_members_and_large_headers_are_bombs_too(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "many.tar.gz", "w:gz", compresslevel=1) as file:
        for i in range(11):
            info = tarfile.TarInfo(f"{i}.npy")
            info.size = 60 << 20
            file.addfile(info, BytesIO(bytes(info.size)))
    with Archive(tmp_path / "many.tar.gz") as archive:
        assert len(archive.members) < 11 and [member.reason for member in archive.refused] == ["too-large"]
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 500 << 20
    (tmp_path / "header.tar").write_bytes(header.tobuf() + bytes(2048))
    with pytest.raises(ARCHIVE_ERRORS, match="header"):
        Archive(tmp_path / "header.tar")


def test_healthy_compressed_archives_are_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar.gz", {f"{i}.npy": npy_bytes(np.zeros((9, 64, 64, 3), np.uint8)) for i in range(30)})
    with Archive(tmp_path / "a.tar.gz") as archive:
        assert len(archive.members) == 30 and not archive.refused


def test_labels_that_change_are_taken_over_without_reading_again(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(0))
    np.save(tmp_path / "b.npy", noise(1))
    for first, second in (("x", "y"), ("z", "y")):
        (tmp_path / "list.csv").write_text(f"path,category,split\na.npy,{first},train\nb.npy,{second},test\n")
        prepared = prepare(tmp_path / "list.csv", tmp_path / "out", size=SIZE)
        assert prepared.index.categories == sorted([first, second])
    assert prepared.reused == 2


def test_data_are_not_changed_under_a_training(tmp_path: Path) -> None:
    root = prepare_noise(tmp_path, [6, 7, 8]).root
    source = tmp_path / "source"
    batches = ClipLoader(ClipDataset(root, frames=3), batch_size=2, seed=0).batches()
    next(batches)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert prepare(source, root, size=SIZE).reused == 3  # nothing changes
    for options in ({"size": (8, 8)}, {"holdout": 0.5}):
        with pytest.raises(DataError, match="training"):
            prepare(source, root, overwrite=True, **{"size": SIZE, **options})  # type: ignore[arg-type]
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert prepare(source, root, size=(8, 8), overwrite=True).index.size == (8, 8)


def test_a_training_notices_that_its_data_were_prepared_again(tmp_path: Path) -> None:
    root = prepare_noise(tmp_path, [6, 7, 8]).root
    dataset = ClipDataset(root, frames=3)
    save_index(root, dataset.index)  # the same again
    dataset.check_unchanged()
    prepare(tmp_path / "source", root, size=(8, 8), overwrite=True)  # on a file system without locks
    with pytest.raises(DataError, match="prepared again"):
        next(ClipLoader(dataset, batch_size=2, seed=0).batches())


def test_a_full_disk_names_path_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clips" / "a.npy"
    path.parent.mkdir()
    code = (
        "import signal\nfrom pathlib import Path\nimport numpy as np\n"
        "from vidgan.data.store.frames import save_array\nfrom vidgan.files import write_json\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "for write in (lambda p: save_array(p, np.zeros((9, 32, 32, 3), np.uint8)),\n"
        "              lambda p: write_json(p, list(range(5000)))):\n"
        "    try:\n        write(Path(sys.argv[1]))\n    except OSError as error:\n        print(error)\n"
    )
    lines = limited(code, path).splitlines()
    assert len(lines) == 2 and all(str(path) in line and "free" in line for line in lines)
    assert str(9 * 32 * 32 * 3) in lines[0]
    assert not list(path.parent.iterdir())
    full = OSError(28, "No space left on device")

    def fail(*arguments: object, **options: object) -> None:
        raise full

    monkeypatch.setattr(frames_store.np, "save", fail)
    with pytest.raises(OSError, match=f"{noise(0).nbytes} bytes to write, .*{path}"):
        save_array(path, noise(0))
    with pytest.raises(OSError, match=str(path)), atomic_file(path):
        raise full


SLOW = """
import sys, time
from pathlib import Path
import vidgan.data.preparing.prepare as preparing
from vidgan.data.preparing import worker_processes
from test_hostile_data import sleep_long
preparing.read_and_cut = sleep_long
preparing.prepare(sys.argv[1], sys.argv[2], size=(16, 16))
"""


def sleep_long(task: Any) -> None:
    """A job that takes a minute."""
    (Path(str(task.plan.out)) / f"pid{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_reading_processes_end_with_a_stopped_preparation(tmp_path: Path, number: int) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "tmp").mkdir()
    np.save(tmp_path / "in" / "a.npy", noise(0))
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", SLOW, tmp_path / "in", tmp_path / "out"], env=environment)
    worker = 0
    for _ in range(2400):
        time.sleep(0.05)
        worker = next((int(path.name[3:]) for path in tmp_path.glob("out/pid*")), 0)
        if worker:
            break
    assert worker
    process.send_signal(number)
    process.wait(timeout=10)
    for _ in range(200):
        if not list((tmp_path / "tmp").glob("vidgan-*")):
            break
        time.sleep(0.05)
    assert not list((tmp_path / "tmp").glob("vidgan-*"))
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(worker, 0)
            time.sleep(0.05)


def test_temporary_folders_of_killed_processes_are_removed_at_the_next_start(tmp_path: Path) -> None:
    dead, live = "vidgan-temporary-41-deadbeef", "vidgan-temporary-42-abcdefgh"
    of_a_person = ("vidgan-analysis", "vidgan-temporary", "vidgan-temporary-mine", "other-41-deadbeef")
    for name in (dead, live, *of_a_person):
        (tmp_path / name / "x").mkdir(parents=True)
    code = (
        "import fcntl, os\nfrom vidgan.files import temporary_folder\n"
        f"handle = os.open(sys.argv[1] + '/{live}', os.O_RDONLY)\nfcntl.flock(handle, fcntl.LOCK_EX)\n"
        "with temporary_folder() as folder:\n    print(sorted(os.listdir(sys.argv[1])), folder.name)\n"
    )
    start = "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
    command = [sys.executable, "-c", start + code, str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert dead not in printed
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted((live, *of_a_person))
    with temporary_folder() as folder:
        (folder / "x").touch()
    assert not folder.exists()


def test_memory_that_runs_out_is_reported_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidgan.data.preparing.reading import is_out_of_memory, refuse_on_error
    from vidgan.errors import SourceError

    def failing(error: Exception) -> Any:
        raise error
        yield

    outer = SourceError("corrupt", "x")
    outer.__cause__ = MemoryError()
    for error in (MemoryError(), OSError(12, "Cannot allocate memory"), outer, SourceError("out-of-memory", "x")):
        assert is_out_of_memory(error)
        (refusal,) = refuse_on_error("a", failing(error))
        assert refusal.reason == "out-of-memory"  # type: ignore[union-attr]
    (refusal,) = refuse_on_error("a", failing(SourceError("corrupt", "x")))
    assert refusal.reason == "corrupt"  # type: ignore[union-attr]
