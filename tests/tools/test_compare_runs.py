"""The comparison finds equal runs equal and names what differs."""

import subprocess
import sys
from pathlib import Path

from helpers import small_config

from vidgan.commands.train import train

TOOL = Path(__file__).resolve().parents[2] / "tools" / "compare_runs.py"


def compare(one: Path, other: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(TOOL), str(one), str(other)], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_equal_and_different_runs(shapes_data: Path, tmp_path: Path) -> None:
    one, same, other = (
        train(small_config("mocogan", shapes_data, tmp_path / name, train__steps=2, seed=seed), quiet=True).run_dir
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert compare(one, same) == (0, "equal\n")
    code, printed = compare(one, other)
    assert code == 1 and "step 1: " in printed and "differences" in printed
