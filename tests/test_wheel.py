"""A built wheel, installed into a clean environment, brings the command, the configs and the shipped weights."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_a_wheel_installs_and_runs(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")

    clean = tmp_path / "clean"
    venv.create(clean, with_pip=False)
    python = clean / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # The dependencies are borrowed: only vidgan itself is under test, and a download would take minutes.
    (site,) = clean.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    where = "import vidgan; print(vidgan.__file__)"
    told = subprocess.run([python, "-c", where], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert Path(told.strip()).is_relative_to(clean)
    done = subprocess.run([clean / "bin" / "vidgan", "models"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("mocogan/paper", "dual_motion/vidgan", "mocogan/demo"):
        assert name in done.stdout
    at_once = [clean / "bin" / "vidgan", "generate", "--pretrained", "shapes", "--clips", "2"]
    done = subprocess.run(at_once, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (weights,) = clean.glob("lib/python*/site-packages/vidgan/weights/mocogan/shapes")
    assert json.loads((tmp_path / "shapes-clips" / "generated.json").read_text())["model"] == str(weights)
    assert (weights.parents[1] / "dual_motion" / "shapes" / "model.safetensors").is_file()
    quick = [clean / "bin" / "vidgan", "demo", "--quick", "--out", "demo"]
    done = subprocess.run(quick, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path / done.stdout.strip().splitlines()[-1]).is_file()
