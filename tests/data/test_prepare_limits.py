"""`prepare` with files that hang, crash or exhaust a worker process: each costs only itself."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clipfiles import grey_ramp, noise
from reading_jobs import misbehave_by_name, open_files_and_memory

import vidgan.data.preparing.prepare as prepare_module
from vidgan.data.preparing.prepare import prepare
from vidgan.data.preparing.worker_processes import run_jobs
from vidgan.errors import DataError
from vidgan.video.encode import write_gif

SIZE = (16, 16)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_hangs_or_crashes_the_reader_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(prepare_module, "read_and_cut", misbehave_by_name)
    (tmp_path / "in").mkdir()
    for i, name in enumerate(["a", "crash", "hang", "slow", "z"]):
        np.save(tmp_path / "in" / f"{name}.npy", noise(i))
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, workers=workers, time_limit=1.0)
    assert [clip.source for clip in prepared.index.clips] == ["a.npy", "slow.npy", "z.npy"]
    assert [(r.source, r.reason) for r in prepared.quarantined] == [
        ("crash.npy", "worker-died"),
        ("hang.npy", "timed-out"),
    ]
    assert "time_limit" in prepared.quarantined[1].detail


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is bounded on Linux only")
def test_a_file_that_needs_too_much_memory_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "ok.npy", noise(0))
    np.save(tmp_path / "in" / "big.npy", np.zeros((12000, 2, 2, 3), np.uint8))
    options = {"size": (256, 256)}  # 2.2 GiB, once enlarged
    prepared = prepare(tmp_path / "in", tmp_path / "out", memory_limit=1.0, **options)  # type: ignore[arg-type]
    assert [clip.source for clip in prepared.index.clips] == ["ok.npy"]
    assert [(r.source, r.reason) for r in prepared.quarantined] == [("big.npy", "out-of-memory")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_limit": 0.0}, "time_limit is 0.0; accepted: seconds above 0"),
        ({"memory_limit": 0.1}, "memory_limit is 0.1; accepted: 0.5 GiB or more"),
        ({"part": (3, 2)}, "part is 3/2; accepted: 1/N to N/N"),
    ],
)
def test_invalid_limits_are_refused(tmp_path: Path, options: dict, message: str) -> None:
    np.save(tmp_path / "a.npy", noise(0))
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / "a.npy", tmp_path / "out", size=SIZE, **options)


def test_the_run_ends_as_soon_as_too_many_files_are_bad(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(10):
        (tmp_path / "in" / f"{i}.mp4").write_bytes(b"no video")
        np.save(tmp_path / "in" / f"x{i}.npy", noise(i))
    done = []
    with pytest.raises(DataError, match=r"max_bad_share=0.1 .*3 refused"):
        prepare(
            tmp_path / "in",
            tmp_path / "out",
            size=SIZE,
            max_bad_share=0.1,
            progress=lambda n, total, name: done.append(n),
        )
    assert done == [1, 2, 3]
    assert len((tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()) == 3
    assert len(prepare(tmp_path / "in", tmp_path / "out", size=SIZE).index.clips) == 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_open_files_stay_flat(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    write_gif(path, grey_ramp(4), fps=10)
    limits = {"workers": 1, "time_limit": 60.0, "memory_limit": 4 << 30}
    (measurements,) = run_jobs(open_files_and_memory, [[path] * 400], crashed=lambda job, why: [], **limits)  # type: ignore[arg-type]
    descriptors, memory = zip(*measurements, strict=True)
    assert len(set(descriptors)) == 1
    slope = np.polyfit(np.arange(2, 10), memory[2:], 1)[0] / 40  # KiB per file, after caches are filled
    assert slope < 4


def test_worker_processes_import_no_torch() -> None:
    """Importing it takes longer than reading most videos."""
    code = "import sys, vidgan.data.preparing.cutting; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
