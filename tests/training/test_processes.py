"""Two real processes: they hold the same weights, and the same weights as one process with the whole batch."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from helpers import small_config
from safetensors.torch import load_file

from vidgan.config import dump_config
from vidgan.losses import ADVERSARIAL
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.journal import measurements, read
from vidgan.training.lock import RunLock
from vidgan.verbs.train import train

pytestmark = pytest.mark.xdist_group("two_processes")  # one launch serves many tests

# Trains one config after another in the same two processes. Each process writes what it holds, so that equality is
# seen and not assumed, and how each training ended. Faults happen in process 1 alone.
PROBE = """
import json, os, sys, time
from pathlib import Path
from safetensors.torch import save_file
import torch
import vidgan.training.loop as loop
import vidgan.verbs.train as verb
from vidgan.config import load_config
from vidgan.training.mocogan import MoCoGANTraining
from vidgan.verbs.monitor import _Synthesis

out = Path(sys.argv[1])
rank = int(os.environ["RANK"])
ended = {}

def probed(algorithm, loader, **options):
    assert options["accelerator"].num_processes == 2
    outcome = loop.run_loop(algorithm, loader, **options)
    for name, module in algorithm.trainees.raw.items():
        save_file({k: v.clone() for k, v in module.state_dict().items()}, out / f"{case}-{name}-{rank}.safetensors")
    return outcome

verb.run_loop = probed
terms = MoCoGANTraining._generator_terms
step = MoCoGANTraining.step
preview = _Synthesis.preview

def nan_in_process_1(self, batch, draws):
    found = terms(self, batch, draws)
    if rank == 1 and draws.keys[2] == 2:
        found["adversarial_video"] = found["adversarial_video"] * float("nan")
    return found

def apart(self, number, micros):
    measured = step(self, number, micros)
    if rank == 1 and number == 1:
        with torch.no_grad():
            next(self.trainees.raw["video"].parameters()).view(-1)[0] += 1e-6
    return measured

for path in sorted(out.glob("*.yaml")):
    case = path.stem
    MoCoGANTraining._generator_terms = nan_in_process_1 if "nan" in case else terms
    MoCoGANTraining.step = apart if case == "apart" else step
    try:
        verb.train(load_config(path), quiet=True)
    except RuntimeError as error:
        ended[case] = f"{type(error).__name__}: {error}"
(out / f"ended-{rank}.json").write_text(json.dumps(ended))
"""

SGD: dict[str, Any] = {"name": "sgd", "lr": 0.01}
PENALTIES: list[dict[str, Any] | None] = [
    {"kind": "r1", "weight": 1.0, "every": 2},
    {"kind": "gradient_penalty", "weight": 1.0},
    {"kind": "weight_clip", "limit": 0.05},
    None,
]
STEPS = 3


def equality_cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every objective and every regularisation, on both models."""
    cases = {}
    for number, adversarial in enumerate(sorted(ADVERSARIAL)):
        for model, second, shift in (("mocogan", "video", 0), ("dual_motion", "flow", 1)):
            changes: dict[str, Any] = {f"optimizers__{name}": SGD for name in ("generator", "frame", second)}
            changes |= {
                "objective__adversarial": adversarial,
                "objective__penalty": PENALTIES[(number + shift) % len(PENALTIES)],
                "objective__noise": {"start": 0.1, "steps": 9},
                "train__steps": STEPS,
                "train__lr_schedule": "cosine",
                "train__warmup": 1,
            }
            cases[f"{model}-{adversarial}"] = model, changes
    return cases


FAULTS: dict[str, dict[str, Any]] = {
    "unbroken": {"train__steps": 8},
    "nan": {"train__steps": 4},
    "nan-rollback": {"train__steps": 4, "guards__on_nonfinite": "rollback"},
    "apart": {"train__steps": 4},
}


@pytest.fixture(scope="module")
def two(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of all cases, in one launch."""
    out = tmp_path_factory.mktemp("two")
    for case, (model, changes) in equality_cases().items():
        (out / f"{case}.yaml").write_text(dump_config(small_config(model, shapes_data, out / case, **changes)))
    for case, changes in FAULTS.items():
        (out / f"{case}.yaml").write_text(dump_config(small_config("mocogan", shapes_data, out / case, **changes)))
    (out / "probe.py").write_text(PROBE)
    done = run_two([str(out / "probe.py"), str(out)], out / "log")
    assert done.returncode == 0, (out / "log").read_text()
    return out


def run_two(arguments: list[str], log: Path) -> subprocess.CompletedProcess[bytes]:
    """Start under torchrun, in a process group of its own, with a time limit."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *arguments]
    return subprocess.run(command, env=environment, timeout=400, stderr=subprocess.STDOUT, stdout=log.open("wb"))


@pytest.mark.parametrize("case", equality_cases())
def test_two_processes_equal_one(case: str, two: Path, shapes_data: Path, tmp_path: Path) -> None:
    model, changes = equality_cases()[case]
    one = train(small_config(model, shapes_data, tmp_path, **changes), quiet=True).run_dir
    alone = load_checkpoint(one / "checkpoints" / f"step-{STEPS:08d}").tensors
    for name in ("generator", "frame", "video" if model == "mocogan" else "flow"):
        first, other = (load_file(two / f"{case}-{name}-{rank}.safetensors") for rank in (0, 1))
        for key, value in first.items():
            assert torch.equal(value, other[key]), f"{name}: {key} differs between the processes"
            torch.testing.assert_close(value, alone[name][key], rtol=1e-3, atol=2e-5)
    rates = [
        [
            {key: value for key, value in record.items() if key.startswith("lr/")}
            for record in read(run / "journal.jsonl")
        ]
        for run in (one, two / case / "small")
    ]
    assert rates[0] == rates[1] and rates[0][0]["lr/generator"] == 0.01, "in steps, however many processes take them"


def test_a_value_that_is_broken_in_one_process_stops_both_in_the_same_turn(two: Path) -> None:
    first, other = (json.loads((two / f"ended-{rank}.json").read_text()) for rank in (0, 1))
    assert first == other and set(first) == {"nan", "apart"}
    told = "NonFiniteError: step 2: the term 'adversarial_video' of network 'generator' is not finite (processes [1]);"
    assert first["nan"].startswith(told)
    saved = load_latest(two / "nan" / "small" / "checkpoints")
    assert saved is not None and saved.step == 2


def test_both_processes_go_back_together(two: Path) -> None:
    saved = load_latest(two / "nan-rollback" / "small" / "checkpoints")
    assert saved is not None and saved.step == 4
    assert [(r["failed"], r["to"], r["skipped"]) for r in saved.state["rollbacks"]] == [(2, 2, [2])]
    first, other = (load_file(two / f"nan-rollback-generator-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(value, other[key]) for key, value in first.items())


def test_processes_that_drifted_apart_are_not_saved(two: Path) -> None:
    ended = json.loads((two / "ended-0.json").read_text())["apart"]
    assert ended.startswith("RunFailedError: step 2: the processes hold different weights of video")
    assert load_latest(two / "apart" / "small" / "checkpoints") is None


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    """The command line, as a user starts it."""
    command = [sys.executable, "-m", "vidgan", "train", str(config), "--quiet", *options]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)


def until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not ready():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def logged(run: Path) -> int:
    """The last step in the journal."""
    journal = run / "journal.jsonl"
    return max((record["step"] for record in read(journal)), default=0) if journal.is_file() else 0


def test_a_lost_process_is_replaced_and_the_run_ends_as_if_unbroken(
    two: Path, shapes_data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=8)))
    process = start(config, "--processes", "2", "--restarts", "1")
    until(lambda: logged(tmp_path / "small") >= 3, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    (victim,) = (worker for worker in workers if worker.environ().get("RANK") == "1")
    victim.kill()
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "process 1 was killed by SIGKILL" in told and "again from step" in told, told
    assert told.count("vidgan:") == 2 and "Traceback" not in told
    whole = two / "unbroken" / "small"
    saved, unbroken = (load_latest(run / "checkpoints") for run in (tmp_path / "small", whole))
    assert saved is not None and unbroken is not None and saved.step == unbroken.step == 8
    for name, group in unbroken.tensors.items():
        assert all(torch.equal(value, saved.tensors[name][key]) for key, value in group.items()), name
    assert measurements(read(tmp_path / "small" / "journal.jsonl")) == measurements(read(whole / "journal.jsonl"))


def test_a_signal_to_the_parent_saves_in_all_processes(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=100000)))
    process = start(config, "--processes", "2")
    until(lambda: logged(tmp_path / "small") >= 3, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=90) == 128 + signal.SIGTERM
    saved = load_latest(tmp_path / "small" / "checkpoints")
    assert saved is not None and saved.step == logged(tmp_path / "small")
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
