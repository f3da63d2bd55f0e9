"""A task defined outside vidgan goes through prepare, train, kill, resume, evaluate, report and from_pretrained."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import toy_task

import vidgan
from vidgan.tasks import TASKS

CONFIG = """
task: toy
name: toy
data: {root: ROOT, frames: 5, context: 3}
model: {kernel: 5}
optimizers: {generator: {lr: 1.0e-2}}
train: {steps: 40, batch_size: 2, device: cpu, precision: fp32, ema_decay: 0.9}
every: {log: 1, preview: 20, checkpoint: 1, evaluate: 20}
"""
COMMAND = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import toy_task
toy_task.register()
from vidgan.__main__ import main
sys.argv[0] = "vidgan"
main()
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(TASKS, "toy", toy_task.ToyTask())
    yield


def vidgan_with_toy(*arguments: object) -> list[str]:
    return [sys.executable, "-c", COMMAND, str(Path(__file__).parent), *map(str, arguments)]


def journal(run: Path) -> list[tuple[int, float]]:
    lines = (run / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [(r["step"], r["loss/generator/l1"]) for r in records if "loss/generator/l1" in r]


def test_a_task_from_outside_does_everything(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(CONFIG.replace("ROOT", str(shapes_data)))
    whole = vidgan.train(config, [f"out={tmp_path / 'whole'}"], quiet=True)
    losses = journal(whole.run_dir)
    assert whole.steps == 40 and losses[-1][1] < losses[0][1]

    # Killed without warning, then resumed by the same command: equal to the run that was never interrupted.
    out = tmp_path / "killed"
    command = vidgan_with_toy("train", config, f"out={out}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("toy/checkpoints/step-0000000[3-9]")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = subprocess.run(vidgan_with_toy("train", config, f"out={out}"), capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert journal(out / "toy") == losses

    # Scored by its own row beside the baselines; no row is invented.
    run = out / "toy"
    evaluated = subprocess.run(vidgan_with_toy("evaluate", run), capture_output=True, text=True)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "toy forecast" in evaluated.stdout and "copy-last" in evaluated.stdout
    assert "warped W" not in evaluated.stdout

    assert subprocess.run(vidgan_with_toy("report", run), capture_output=True).returncode == 0
    page = (run / "report.html").read_text()
    assert ("toy forecast" in page and "loss/generator/l1" in page) or "l1" in page

    model = toy_task.ToyForecaster.from_pretrained(run)
    context = torch.randint(0, 256, (1, 3, 3, 32, 32), dtype=torch.uint8)
    assert model.predict(context, 2).shape == (1, 2, 3, 32, 32)
    assert model.facts["context"] == 3 and (run / "previews" / "step-00000040.png").is_file()


def test_its_config_is_checked_like_any_other(shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(CONFIG.replace("ROOT", str(shapes_data)).replace("kernel: 5", "kernal: 5"))
    with pytest.raises(vidgan.ConfigError, match=r"model\.kernal.*kernel"):
        vidgan.train(config, ["data.context=9"], quiet=True)
