"""The scaling simulation against cases with a known result."""

import dataclasses
import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("plan_scaling", TOOLS / "plan_scaling.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(tool: Any, gpus: int, *, clip_bytes: float = 0.0, **cluster: float) -> Any:
    turns = [tool.Turn("frame", 0.010, 1e6), tool.Turn("generator", 0.030, 4e6)]
    exact = {"jitter": 0.0, "overlap": 0.0, "latency": 0.0}
    return tool.simulate(
        turns, gpus, tool.Cluster(**exact | cluster), clip_bytes=clip_bytes, clips=10, steps=300, seed=0
    )


def test_single_process_never_waits(tool: Any) -> None:
    alone = run(tool, 1)
    assert alone.step == pytest.approx(0.040) and alone.efficiency == pytest.approx(1)
    assert alone.communication == alone.waiting == 0


def test_communication_time_follows_the_bytes(tool: Any) -> None:
    """Four processes in a ring at 1 GB/s send 1.5 times 5 MB: 7.5 ms in addition to 40 ms of computation."""
    four = run(tool, 4, inside=1e9)
    assert four.step == pytest.approx(0.0475) and four.communication == pytest.approx(0.0075 / 0.0475)
    assert run(tool, 4, inside=1e9, overlap=0.5).communication == pytest.approx(0)  # 1.5 ms of 5, 6 ms of 15
    between = run(tool, 16, between=0.5e9)
    assert between.step == pytest.approx(0.040 + 2 * 15 / 16 * 5e6 / 0.5e9)


def test_tree_is_used_with_many_gpus(tool: Any) -> None:
    cluster = tool.Cluster(latency=1e-3)
    assert tool.all_reduce(1.0, 256, cluster) == pytest.approx(2 * 8 * 1e-3)
    assert tool.all_reduce(1.0, 2, cluster) == pytest.approx(2e-3)


def test_step_waits_for_the_slowest_process(tool: Any) -> None:
    """The largest of 64 standard normal numbers is 2.39 on average: steps are about exp(0.05 x 2.39) times longer."""
    many = run(tool, 64, jitter=0.05, inside=1e15, between=1e15)
    assert many.step / 0.040 == pytest.approx(math.exp(0.05 * 2.39), rel=0.02)
    assert many.waiting == pytest.approx(1 - 0.040 / many.step, rel=1e-4)


def test_storage_limits_the_step(tool: Any) -> None:
    """80 clips of 1 MB at 1 GB/s take 80 ms, twice the computation."""
    slow = run(tool, 8, clip_bytes=1e6, storage=1e9, inside=1e15)
    assert slow.step == pytest.approx(0.080) and slow.reading == pytest.approx(1e9)
    assert slow.efficiency == pytest.approx(0.5)


def test_turns_are_parsed_from_the_command_line(tool: Any) -> None:
    assert dataclasses.astuple(tool.parse_turn("video:41:44.6")) == ("video", 0.041, pytest.approx(44.6e6))
    command = [sys.executable, str(TOOLS / "plan_scaling.py"), "--turn", "video:41"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "'video:41'" in done.stderr
