"""Every command and every line of Python in the README runs."""

import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from vidgan.video.encode import write_mp4

README = Path(__file__).resolve().parents[1] / "README.md"

# The same networks for two steps on few clips: what is shown is that the command works as it is written.
TWO_STEPS = [
    "train.steps=2", "train.batch_size=2", "train.micro_batches=1", "train.warmup=0", "every.evaluate=null",
    "every.preview=2",
]  # fmt: skip


REAL = ("actions", "shapes", "sky", "gestures", "natural", "kitti")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def chapters() -> dict[str, list[str]]:
    """The `vidgan` command lines, in order, by the data that they are about; "own" is the reader's own videos."""
    found: dict[str, list[str]] = {}
    for block in blocks("bash"):
        for line in block.splitlines():
            command = line.split("  #")[0].strip()
            if command.startswith("vidgan "):
                real = () if "--pretrained" in command else REAL  # shipped weights are tried on the reader's videos
                name = next((name for name in real if re.search(rf"\b{name}\b", command)), "own")
                found.setdefault(name, []).append(command)
    return found


def run(command: str, where: Path, data: str = "DATA") -> None:
    """Run one line in `where`, with `DATA` filled in and training cut to two steps."""
    words = [word.replace("DATA/", f"{data}/") for word in shlex.split(command)[1:]]
    if words[0] == "train":
        words += TWO_STEPS
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    line = [sys.executable, "-m", "vidgan", *words]
    done = subprocess.run(line, cwd=where, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def moving_videos(folder: Path, names: list[str]) -> None:
    """A few moving gradients with noise, 40 frames each."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 200, 96)[None, None, :, None] + np.zeros((40, 72, 96, 3))
    for i, name in enumerate(names):
        clip = np.stack([np.roll(frame, (i + 1) * t, axis=1) for t, frame in enumerate(across)])
        write_mp4(folder / f"{name}.mp4", (clip + rng.integers(0, 50, clip.shape)).astype(np.uint8), fps=10)


def test_own_videos_and_python(tmp_path: Path) -> None:
    moving_videos(tmp_path / "my_videos", ["street", *(f"clip{i}" for i in range(19))])
    moving_videos(tmp_path / "my_truth", ["one", "two"])
    moving_videos(tmp_path / "my_forecasts", ["one", "two"])
    for command in chapters()["own"]:
        run(command, tmp_path)
    script = "\n".join(blocks("python"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    checks = "assert clips.shape == (8, 32, 3, 64, 64) and future.shape == (1, 10, 3, 64, 64)\n"
    checks += "assert futures.shape == (4, 1, 10, 3, 64, 64) and exchanged.shape == (4, 32, 3, 64, 64)\n"
    done = subprocess.run(
        [sys.executable, "-c", script + checks], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "weights" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", [name for name in REAL if name != "shapes"])
def test_real_data(name: str, shared_data: Path, tmp_path: Path) -> None:
    for command in chapters()[name]:
        run(command, tmp_path, str(shared_data))
    run_dir = next((tmp_path / "runs").iterdir())
    assert list((run_dir / "previews").iterdir()) and (run_dir / "model" / "model.safetensors").is_file()


def test_real_shapes(shared_data: Path, tmp_path: Path) -> None:
    """Straight from an archive; forty of the seven thousand strips, so that it stays quick."""
    few = tmp_path / "few" / "mocogan"
    few.mkdir(parents=True)
    with (
        tarfile.open(shared_data / "mocogan" / "shapes.tar.gz") as every,
        tarfile.open(few / "shapes.tar.gz", "w:gz") as some,
    ):
        members = [member for member in every if member.isfile()]
        for member in members[:20] + members[-20:]:
            some.addfile(member, every.extractfile(member))
    for command in chapters()["shapes"]:
        run(command, tmp_path, str(tmp_path / "few"))
