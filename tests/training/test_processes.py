"""Two real processes: they hold the same weights, and the same weights as one process with the whole batch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config

from vidgan.config import dump_config
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.journal import read
from vidgan.training.lock import RunLock
from vidgan.verbs.train import train

# Each process writes what it holds, so that equality is seen and not assumed.
PROBE = """
import sys
from pathlib import Path
from safetensors.torch import save_file
import vidgan.training.loop as loop
import vidgan.verbs.train as verb

def probed(algorithm, loader, **options):
    outcome = loop.run_loop(algorithm, loader, **options)
    rank = options["accelerator"].process_index
    assert options["accelerator"].num_processes == 2
    for name, module in algorithm.trainees.raw.items():
        state = {k: v.clone() for k, v in module.state_dict().items()}
        save_file(state, Path(sys.argv[2]) / f"{name}-{rank}.safetensors")
    return outcome

verb.run_loop = probed
verb.train(sys.argv[1], quiet=True)
"""

SGD: dict[str, Any] = {"name": "sgd", "lr": 0.01}


def run_two(arguments: list[str], log: Path) -> subprocess.CompletedProcess[bytes]:
    """Start under torchrun, in a process group of its own, with a time limit."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *arguments]
    return subprocess.run(command, env=environment, timeout=240, stderr=subprocess.STDOUT, stdout=log.open("wb"))


@pytest.mark.parametrize(
    ("model", "second", "objective"),
    [
        ("mocogan", "video", {"adversarial": "non_saturating", "penalty": {"kind": "r1", "weight": 1.0, "every": 2}}),
        ("dual_motion", "flow", {"adversarial": "wasserstein", "penalty": {"kind": "gradient_penalty", "weight": 1.0}}),
    ],
)
def test_two_processes_equal_one(
    model: str, second: str, objective: dict[str, Any], shapes_data: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {f"objective__{key}": value for key, value in objective.items()}
    changes |= {f"optimizers__{name}": SGD for name in ("generator", "frame", second)}
    changes |= {"objective__noise": {"start": 0.1, "steps": 9}, "train__steps": 3}
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config(model, shapes_data, tmp_path / "two", **changes)))
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    done = run_two([str(script), str(config), str(tmp_path)], tmp_path / "log")
    assert done.returncode == 0, (tmp_path / "log").read_text()

    from safetensors.torch import load_file

    one = train(small_config(model, shapes_data, tmp_path / "one", **changes), quiet=True)
    alone = load_checkpoint(one.run_dir / "checkpoints" / "step-00000003").tensors
    for name in ("generator", "frame", second):
        first, other = (load_file(tmp_path / f"{name}-{rank}.safetensors") for rank in (0, 1))
        for key, value in first.items():
            assert torch.equal(value, other[key]), f"{name}: {key} differs between the processes"
            torch.testing.assert_close(value, alone[name][key], rtol=1e-4, atol=1e-6)


def test_the_processes_option_starts_two(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=2)))
    command = [sys.executable, "-m", "vidgan", "train", str(config), "--processes", "2"]
    done = subprocess.run(command, env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"}, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    state = load_checkpoint(tmp_path / "small" / "checkpoints" / "step-00000002").state
    assert state["processes"] == 2


def test_a_signal_to_the_parent_saves_in_all_processes(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=100000)))
    command = [sys.executable, "-m", "vidgan", "train", str(config), "--processes", "2", "--quiet"]
    process = subprocess.Popen(command, env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"}, stderr=subprocess.PIPE)
    journal = tmp_path / "small" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.is_file() and len(read(journal)) >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=90) == 128 + signal.SIGTERM
    saved = load_latest(tmp_path / "small" / "checkpoints")
    assert saved is not None and saved.step == max(record["step"] for record in read(journal))
    with RunLock(tmp_path / "small"):
        pass  # no process has stayed behind with the run


def test_a_mistake_is_told_before_any_process_starts(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__batch_size=3)))
    command = [sys.executable, "-m", "vidgan", "train", str(config), "--processes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "train.batch_size=3 cannot be divided over 2 processes" in done.stderr


def test_accelerate_launch_starts_two(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=2)))
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["-m", "vidgan", "train", str(config)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    assert load_checkpoint(tmp_path / "small" / "checkpoints" / "step-00000002").state["processes"] == 2


def test_a_batch_that_cannot_be_shared_is_refused(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__batch_size=3)))
    done = run_two(["-m", "vidgan", "train", str(config)], tmp_path / "log")
    assert done.returncode != 0
    assert "train.batch_size=3 cannot be divided over 2 processes" in (tmp_path / "log").read_text()
