"""The plan of a run: counted costs agree with measured ones, and nothing is written."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import small_config
from typer.testing import CliRunner

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.cli.app import app
from vidgan.commands import find_batch as search
from vidgan.commands.plan import describe, make_plan, plan_training
from vidgan.config import dump_config
from vidgan.errors import ConfigError
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.checkpoint import save_checkpoint
from vidgan.training.cost import start_optimizers, turn_costs


def wide(data: Path, out: Path, **changes: Any) -> Any:
    """A MoCoGAN whose activations need more memory than the interpreter itself."""
    return small_config(
        "mocogan", data, out, model__frame__width=16, discriminators__video__width=16, train__batch_size=60, **changes
    )


def test_planned_parameters_and_checkpoint_match_the_written_ones(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("dual_motion", shapes_data, tmp_path / "runs")
    plan = make_plan(config)
    assert not (tmp_path / "runs").exists()
    networks = build_networks(config, build_dataset(config))
    algorithm = build_algorithm(config, networks, build_accelerator("cpu"))
    assert plan.gradients == {name: 4 * sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    start_optimizers(algorithm.trainees)
    tensors = algorithm.trainees.tensors() | {"ema": algorithm.ema.state_dict()}
    folder = save_checkpoint(tmp_path, 1, tensors, {})
    written = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    headers = sum(200 * len(group) for group in tensors.values())
    assert plan.checkpoint_bytes <= written <= plan.checkpoint_bytes + headers


def test_memory_and_operations_are_linear_in_the_batch(shapes_data: Path, tmp_path: Path) -> None:
    config = wide(shapes_data, tmp_path)
    plan = make_plan(config)
    dataset, accelerator = build_dataset(config), build_accelerator("cpu")
    algorithm = build_algorithm(config, build_networks(config, dataset), accelerator)
    seven = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": 7})})
    (batch,) = next(build_loader(seven, dataset, accelerator).batches(0))
    micro = (batch, Draws(0, "any", rows=range(7)))
    start_optimizers(algorithm.trainees)
    for name, cost in turn_costs(algorithm, 0, [micro]).items():
        assert plan.turn(name, 7).flops == pytest.approx(cost.flops, rel=1e-6)
        assert plan.turn(name, 7).peak == pytest.approx(cost.peak, rel=1e-3)


# The small batch comes first, so that kernels and caches are in memory before the large one is measured.
MEASURE = """
import sys
from vidgan.build import *
from vidgan.training.accelerator import build_accelerator
from vidgan.config import load_config
from vidgan.seeding import Draws
from pathlib import Path
def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
config = load_config(Path(sys.argv[1]))
accelerator, dataset = build_accelerator("cpu"), build_dataset(config)
algorithm = build_algorithm(config, build_networks(config, dataset), accelerator)
for size in (1, 60):
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, VmHWM
    sized = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": size})})
    (batch,) = next(build_loader(sized, dataset, accelerator).batches(0))
    algorithm.step(0, [(batch, Draws(0, "any", rows=range(size)))])
    print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_the_estimate_is_close_to_the_measured_memory(shapes_data: Path, tmp_path: Path) -> None:
    """The measured memory is larger, up to 2.2 times: the allocator caches, and kernels need workspaces."""
    config = wide(shapes_data, tmp_path / "runs")
    (tmp_path / "config.yaml").write_text(dump_config(config))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "config.yaml")]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    measured = int(done.stdout.split()[-1])
    plan = make_plan(config)
    planned = plan.memory(60) - plan.checkpoint_bytes
    assert planned > 70e6
    assert planned < measured < planned * 2.2


def test_lazy_penalties_and_rare_turns_are_counted(shapes_data: Path, tmp_path: Path) -> None:
    plain = make_plan(small_config("mocogan", shapes_data, tmp_path))
    lazy = small_config(
        "mocogan", shapes_data, tmp_path,
        objective__penalty={"kind": "r1", "weight": 1.0, "every": 4},
        objective__turns=["frame", "video", {"network": "generator", "every": 6}],
    )  # fmt: skip
    assert lazy.lazy_period() == 4
    rare = make_plan(lazy)
    assert rare.cost_of_two["video"].flops > 1.5 * plain.cost_of_two["video"].flops
    assert rare.flops("generator") == pytest.approx(plain.flops("generator") / 6)
    sizes = rare.gradients
    assert rare.sent == pytest.approx(sizes["frame"] + sizes["video"] + sizes["generator"] / 6)
    assert "every 4 steps" in describe(rare)


def test_micro_batches_and_processes_share_the_batch(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__batch_size=8, train__micro_batches=2)
    plan, single = make_plan(config, processes=2), make_plan(small_config("mocogan", shapes_data, tmp_path))
    assert plan.clips == 2
    assert plan.flops("video") == pytest.approx(2 * single.flops("video"))  # 8 clips against 4
    assert plan.memory(plan.clips) < single.memory(single.clips)
    text = describe(plan)
    assert "over 2 processes" in text and str(config.run_dir) in text and "step 0" in text
    with pytest.raises(ConfigError, match="train.batch_size"):
        make_plan(config, processes=3)


def test_a_plan_shows_where_the_run_would_resume(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=9)
    path = tmp_path / "other.yaml"
    path.write_text(dump_config(config))
    save_checkpoint(config.run_dir / "checkpoints", 3, {"generator": {"w": torch.zeros(1)}}, {})
    (config.run_dir / "config.yaml").write_text(dump_config(config))
    text = plan_training(str(path), ["train.clip_grad_norm=0.5"])
    assert "step 3 (step-00000003) of 9" in text and "train.clip_grad_norm: None -> 0.5" in text


def test_the_command_line_prints_and_trains_nothing(shapes_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path / "runs")))
    for option, text in (("--dry-run", "0.1 MB of gradients per step"), ("--find-batch", "train.batch_size=")):
        done = CliRunner().invoke(app, ["train", str(path), "--processes", "2", option])
        assert done.exit_code == 0 and text in done.output
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("limit", [0, 1, 2, 5, 8, 63, 64, 100])
def test_largest_returns_the_limit(limit: int) -> None:
    calls: list[int] = []

    def fits(number: int) -> bool:
        calls.append(number)
        return number <= limit

    assert search.largest(fits, limit=64) == min(limit, 64)
    assert max(calls) <= 65 and len(calls) <= 14


def test_the_batch_that_fits_a_cpu(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__batch_size=3, train__micro_batches=3)
    plan = make_plan(config)
    monkeypatch.setattr(search, "available_memory", lambda: plan.memory(10) / search.CPU_SHARE + 1)
    assert search.find_batch(config).startswith("train.batch_size=30: 10 clips at once in each of 1 processes")
    monkeypatch.setattr(search, "available_memory", lambda: 1000)
    with pytest.raises(ConfigError, match="train.batch_size"):
        search.find_batch(config)


def test_a_gpu_that_runs_out_of_memory_ends_the_search(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs without a GPU: torch's functions that query one are replaced."""

    def step(number: int, micros: list[Any]) -> None:
        if len(micros[0][1]) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    algorithm = SimpleNamespace(step=step, trainees=SimpleNamespace(optimizers={}))
    monkeypatch.setattr(search, "build_accelerator", lambda device: build_accelerator("cpu"))
    monkeypatch.setattr(search, "build_algorithm", lambda *_: algorithm)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=100))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 10)
    for name in ("reset_peak_memory_stats", "synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    assert search._measure_on_gpu(small_config("mocogan", shapes_data, tmp_path))[0] == 5


def test_a_plan_for_a_gpu_is_counted_on_the_cpu(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerate refuses a second device in one process, so only the precision is that of the GPU."""
    devices: list[str] = []

    def build(device: str) -> Any:
        devices.append(device)
        return build_accelerator(device)

    machine = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True), device=torch.device)
    monkeypatch.setattr("vidgan.commands.plan.torch", machine)
    monkeypatch.setattr("vidgan.commands.plan.build_accelerator", build)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    config = small_config("mocogan", shapes_data, tmp_path, train__precision="auto", train__device="auto")
    assert make_plan(config).precision == "fp32" and devices == ["cpu"]
