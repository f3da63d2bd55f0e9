"""Two real processes hold the same weights, equal to those of one process with the whole batch."""

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
from helpers import double_precision, small_config
from safetensors.torch import load_file

from vidgan.build import build_algorithm, build_dataset, build_networks
from vidgan.commands.launch import relaunch
from vidgan.commands.train import train
from vidgan.config import dump_config
from vidgan.errors import ConfigError
from vidgan.losses import ADVERSARIAL
from vidgan.training.accelerator import build_accelerator
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.cost import gradient_bytes
from vidgan.training.journal import drop_volatile, read_journal
from vidgan.training.lock import RunLock

pytestmark = pytest.mark.xdist_group("two_processes")  # one launch serves many tests

# Trains several configs in turn in the same two processes. Each process writes its weights, so that they can be
# compared, and how each training ended. Faults happen only in process 1; the last one ends both.
PROBE = """
import json, os, sys, time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from helpers import double_precision
from safetensors.torch import save_file
import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
import vidgan.training.loop as loop
import vidgan.commands.train as command
from vidgan.training.accelerator import HANGING
from vidgan.config import load_config
from vidgan.tasks.synthesis.training import MoCoGANTraining

out = Path(sys.argv[1])
rank = int(os.environ["RANK"])
ended, sent = {}, {}
losses = MoCoGANTraining.generator_losses
step = MoCoGANTraining.step

def probed(algorithm, loader, **options):
    assert options["accelerator"].num_processes == 2
    group = torch.distributed.distributed_c10d._get_default_group()
    assert group._get_backend(torch.device("cpu")).options._timeout == HANGING, "the timeout was not passed on"
    if case == "counted":
        for name, network in algorithm.trainees.prepared.items():
            network.register_comm_hook(name, counted)
    outcome = loop.run_loop(algorithm, loader, **options)
    for name, module in algorithm.trainees.raw.items():
        save_file({k: v.clone() for k, v in module.state_dict().items()}, out / f"{case}-{name}-{rank}.safetensors")
    return outcome

def counted(name, bucket):
    sent[name] = sent.get(name, 0) + bucket.buffer().nbytes
    return allreduce_hook(None, bucket)

def nan_in_process_1(self, batch, draws):
    result = losses(self, batch, draws)
    if rank == 1 and draws.keys[2] == 2:
        result.losses["adversarial_video"] = result.losses["adversarial_video"] * float("nan")
    return result

def diverges(self, number, micros):
    measured = step(self, number, micros)
    if rank == 1 and number == 1:
        with torch.no_grad():
            next(self.trainees.raw["video"].parameters()).view(-1)[0] += 1e-6
    return measured

def hangs(self, number, micros):
    torch.distributed.distributed_c10d._set_pg_timeout(timedelta(seconds=2))
    give_up = time.monotonic() + 60
    while rank == 1 and number == 1 and not (out / "ended-0.json").exists() and time.monotonic() < give_up:
        time.sleep(0.1)
    return step(self, number, micros)

command.run_loop = probed
for case, precision in json.loads((out / "cases.json").read_text()):
    MoCoGANTraining.generator_losses = nan_in_process_1 if "nan" in case else losses
    MoCoGANTraining.step = {"diverges": diverges, "hangs": hangs}.get(case, step)
    try:
        with double_precision() if precision == "double" else nullcontext():
            command.train(load_config(out / f"{case}.yaml"), quiet=True)
    except RuntimeError as error:
        ended[case] = f"{type(error).__name__}: {error}"
(out / f"sent-{rank}.json").write_text(json.dumps(sent))
(out / f"ended-{rank}.json").write_text(json.dumps(ended))
os._exit(0)  # without waiting for the process group, which the last case has broken
"""

SGD: dict[str, Any] = {"name": "sgd", "lr": 0.01}
PENALTIES: list[dict[str, Any] | None] = [
    {"kind": "r1", "weight": 1.0, "every": 2},
    {"kind": "gradient_penalty", "weight": 1.0},
    {"kind": "weight_clip", "limit": 0.05},
    None,
]
STEPS = 3
RESIDUAL: dict[str, Any] = {"kind": "residual", "width": 4, "max_width": 8}
PROGRESSIVE: dict[str, Any] = {"kind": "progressive", "width": 4, "max_width": 8}
JUDGE = PROGRESSIVE | {"minibatch_std": False}  # its groups are those of one process
WEIGHTS = {"adversarial_frame": 1.0, "adversarial_video": 1.0, "category": 1.0}
# Parts with state, further gradients, or a structure that changes during training.
GAN_PARTS: dict[str, dict[str, Any]] = {
    "modulated": {
        "model__frame": {"kind": "modulated", "width": 4, "max_width": 8, "mapping_width": 8, "noise_levels": 1},
        "objective__weights": WEIGHTS | {"path_length": 2.0},
        "objective__path_length_every": 2,
        "objective__style_mixing": 0.5,
    },
    "r3gan": {
        "model__frame": RESIDUAL | {"norm": "none"},
        "discriminators__frame": RESIDUAL,
        "discriminators__video": RESIDUAL,
        "objective__adversarial": "relativistic",
        "objective__penalty": {"kind": "r1_r2", "weight": 1.0},
    },
    "ada": {
        "objective__augment": ["brightness", "translation"],
        "objective__adaptive": {"target": 0.1, "period": 1, "clips": 8},
    },
    "infogan": {
        "model__codes": {"path": {"size": 2}, "tone": {"kind": "uniform", "enters": "content"}},
        "objective__weights": WEIGHTS | {"codes": 1.0},
    },
    "growing": {
        "model__frame": PROGRESSIVE,
        "discriminators__frame": JUDGE,
        "discriminators__video": JUDGE | {"temporal_levels": 2},
        "objective__growing": {"phases": [{"size": 8, "steps": 1}, {"size": 16, "steps": 2, "fade": 2}, {"size": 32}]},
        "objective__drift": 0.001,
        "train__steps": 5,  # an edge before step 2, which fades, and one before step 3
    },
}


def equality_cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return every objective and regularisation, and for the second model those that pair several kinds of fakes."""
    cases = {}
    for number, adversarial in enumerate(sorted(ADVERSARIAL)):
        models = [("mocogan", "video", 0)]
        if adversarial in ("hinge", "non_saturating", "relativistic"):
            models.append(("dual_motion", "flow", 1))
        for model, second, shift in models:
            changes: dict[str, Any] = {f"optimizers__{name}": SGD for name in ("generator", "frame", second)}
            changes |= {
                "objective__adversarial": adversarial,
                "objective__penalty": PENALTIES[(number + shift) % len(PENALTIES)],
                "discriminators__frame__noise": 0.1,
                "train__steps": STEPS,
                "train__lr_schedule": "cosine",
                "train__warmup": 1,
            }
            cases[f"{model}-{adversarial}"] = model, changes
    for name, changes in GAN_PARTS.items():
        rates = {f"optimizers__{network}": SGD for network in ("generator", "frame", "video")}
        cases[f"mocogan-{name}"] = ("mocogan", rates | {"train__steps": STEPS} | changes)
    cases["upscaling-two_stages"] = (
        "upscaling",
        {f"optimizers__{name}": SGD for name in ("generator", "frame", "video")}
        | {"objective__pixel_steps": 1, "objective__weights__ping_pong": 0.5, "train__steps": STEPS},
    )
    return cases


FAULTS: dict[str, dict[str, Any]] = {
    "undisturbed": {"train__steps": 8},
    "nan": {"train__steps": 4},
    "nan-rollback": {"train__steps": 4, "guards__on_nonfinite": "rollback"},
    "diverges": {"train__steps": 4},
    "counted": {"train__steps": 2, "train__micro_batches": 2},
}
SHORTENS = torch.__version__ >= "2.9"  # earlier, gloo keeps the timeout that it started with
if SHORTENS:  # must be the last: it breaks the process group
    FAULTS["hangs"] = {"train__steps": 4, "every__checkpoint": 1}


@pytest.fixture(scope="module")
def two(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train all cases in two processes, in a single launch with Accelerate."""
    out = tmp_path_factory.mktemp("two")
    cases = {case: (model, changes, "double") for case, (model, changes) in equality_cases().items()}
    cases |= {case: ("mocogan", changes, "single") for case, changes in FAULTS.items()}
    for case, (model, changes, _) in cases.items():
        (out / f"{case}.yaml").write_text(dump_config(small_config(model, shapes_data, out / case, **changes)))
    (out / "cases.json").write_text(json.dumps([(case, precision) for case, (_, _, precision) in cases.items()]))
    (out / "probe.py").write_text(PROBE)
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += [str(out / "probe.py"), str(out)]
    with (out / "log").open("wb") as log:
        done = subprocess.run(command, env=environment, timeout=400, stderr=subprocess.STDOUT, stdout=log)
    assert done.returncode == 0, (out / "log").read_text()
    return out


@pytest.mark.parametrize("case", equality_cases())
def test_two_processes_equal_one(case: str, two: Path, shapes_data: Path, tmp_path: Path) -> None:
    model, changes = equality_cases()[case]
    with double_precision():
        one = train(small_config(model, shapes_data, tmp_path, **changes), quiet=True).run_dir
    alone = load_checkpoint(one / "checkpoints" / f"step-{changes['train__steps']:08d}").tensors
    for name in ("generator", "frame", "flow" if model == "dual_motion" else "video"):
        first, other = (load_file(two / f"{case}-{name}-{rank}.safetensors") for rank in (0, 1))
        for key, value in first.items():
            assert torch.equal(value, other[key]), f"{name}: {key} differs between the processes"
            assert value.dtype == torch.float64
            torch.testing.assert_close(value, alone[name][key], rtol=0, atol=1e-12)
    both = load_checkpoint(two / case / "small" / "checkpoints" / f"step-{changes['train__steps']:08d}").tensors
    assert both.keys() == alone.keys()
    for name in {"ema", "state"} & alone.keys():
        for key, value in both[name].items():
            torch.testing.assert_close(value, alone[name][key], rtol=0, atol=1e-12)
    rates = [
        [{key: value for key, value in record.items() if key.startswith("lr/")} for record in read_journal(run)]
        for run in (one, two / case / "small")
    ]
    assert rates[0] == rates[1] and rates[0][0]["lr/generator"] == 0.01, "the schedule depends on the process count"


def test_non_finite_value_in_one_process_stops_both_in_the_same_turn(two: Path) -> None:
    first, other = (json.loads((two / f"ended-{rank}.json").read_text()) for rank in (0, 1))
    assert first["nan"] == other["nan"] and first["diverges"] == other["diverges"]
    assert set(first) == FAULTS.keys() & {"nan", "diverges", "hangs"}
    assert first["nan"].startswith("NonFiniteError: step 2: ")
    assert "'adversarial_video'" in first["nan"] and "'generator'" in first["nan"] and "[1]" in first["nan"]
    saved = load_latest(two / "nan" / "small" / "checkpoints")
    assert saved is not None and saved.step == 2


def test_both_processes_roll_back(two: Path) -> None:
    saved = load_latest(two / "nan-rollback" / "small" / "checkpoints")
    assert saved is not None and saved.step == 4
    assert [(r["failed"], r["to"], r["skipped"]) for r in saved.state["rollbacks"]] == [(2, 2, [2])]
    first, other = (load_file(two / f"nan-rollback-generator-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(value, other[key]) for key, value in first.items())


def test_diverged_processes_are_not_saved(two: Path) -> None:
    ended = json.loads((two / "ended-0.json").read_text())["diverges"]
    assert ended.startswith("RunFailedError: step 2: ") and "video" in ended and "generator" not in ended
    assert load_latest(two / "diverges" / "small" / "checkpoints") is None


def test_bytes_sent_equal_the_plan(two: Path, shapes_data: Path, tmp_path: Path) -> None:
    """Two steps; the gradients of a network are sent once per turn, not once per micro-batch."""
    config = small_config("mocogan", shapes_data, tmp_path)
    algorithm = build_algorithm(config, build_networks(config, build_dataset(config)), build_accelerator("cpu"))
    planned = gradient_bytes(algorithm.trainees)
    for rank in (0, 1):
        sent = json.loads((two / f"sent-{rank}.json").read_text())
        assert sent == {name: 2 * size for name, size in planned.items()}


@pytest.mark.skipif(not SHORTENS, reason="the timeout of gloo can be shortened from torch 2.9 on")
def test_hanging_process_is_given_up(two: Path) -> None:
    message = json.loads((two / "ended-0.json").read_text())["hangs"]
    assert message.startswith("RuntimeError: process 0 ") and "--restarts" in message, message
    saved = load_latest(two / "hangs" / "small" / "checkpoints")
    assert saved is not None and saved.step == 1


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    """Start the command line in the background."""
    command = [sys.executable, "-m", "vidgan", "train", str(config), "--quiet", *options]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)


def until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not ready():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def logged(run: Path) -> int:
    """Return the last step in the journal."""
    return max((record["step"] for record in read_journal(run)), default=0)


def test_lost_process_is_replaced_and_a_signal_saves_in_all(two: Path, shapes_data: Path, tmp_path: Path) -> None:
    """Kill process 1: a new pair resumes to the same result, and SIGTERM ends it."""
    config = tmp_path / "config.yaml"
    changes = {"train__steps": 100000, "every__keep": 100000}
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, **changes)))
    run = tmp_path / "small"
    process = start(config, "--processes", "2", "--restarts", "1")
    until(lambda: logged(run) >= 3, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    (victim,) = (worker for worker in workers if worker.environ().get("RANK") == "1")
    victim.kill()
    reached = logged(run)
    until(lambda: len((run / "starts.jsonl").read_text().splitlines()) == 2, process)
    until(lambda: logged(run) > max(9, reached), process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGTERM, stderr
    assert "process 1 " in stderr and "SIGKILL" in stderr, stderr
    assert stderr.count("vidgan:") == 2 and "Traceback" not in stderr

    newest = load_latest(run / "checkpoints")
    assert newest is not None and newest.step == logged(run)
    with RunLock(run):
        pass  # no process of the run is left

    reference = two / "undisturbed" / "small"
    saved, undisturbed = (load_checkpoint(folder / "checkpoints" / "step-00000008") for folder in (run, reference))
    for name, group in undisturbed.tensors.items():
        assert all(torch.equal(value, saved.tensors[name][key]) for key, value in group.items()), name
    first, other = (
        [record for record in drop_volatile(read_journal(folder)) if "lr/video" in record][:8]
        for folder in (run, reference)
    )
    assert first == other and [record["step"] for record in first] == list(range(1, 9))


def test_user_error_is_reported_before_any_process_starts(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__batch_size=3)))
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(ConfigError, match=r"train\.batch_size=3"):
        relaunch(str(config), [], processes=2)
