"""Resuming: N + N steps equal 2N steps, bit for bit, wherever the first part ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config

from vidgan.commands.train import train
from vidgan.commands.training_hooks import _Observer
from vidgan.config import dump_config
from vidgan.runs import exported_step
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.journal import drop_volatile, read_journal

CHANGES: dict[str, Any] = {
    "train__steps": 7,
    "train__micro_batches": 2,
    "train__lr_schedule": "cosine",
    "every__checkpoint": 1,
    "every__keep": 9,
    "every__preview": 2,
    "every__evaluate": 3,
    "discriminators__frame__noise": 0.1,
    "objective__penalty": {"kind": "r1", "weight": 0.1, "every": 2},
}
EPOCH = 3  # steps: 12 training clips in batches of 4


def assert_same_run(one: Path, other: Path, step: int) -> None:
    """Compare weights, optimizers, moving average and journal."""
    first, second = (load_checkpoint(run / "checkpoints" / f"step-{step:08d}") for run in (one, other))
    assert first.state == second.state
    assert first.tensors.keys() == second.tensors.keys()
    for name, group in first.tensors.items():
        assert group.keys() == second.tensors[name].keys()
        for key, value in group.items():
            assert torch.equal(value, second.tensors[name][key]), f"{name}: {key}"
    assert drop_volatile(read_journal(one)) == drop_volatile(read_journal(other))


def killed_after(uninterrupted: Path, step: int, out: Path) -> Path:
    """Copy a run as if it had been killed after the checkpoint of `step`; its journal has later records."""
    run = out / uninterrupted.name
    shutil.copytree(uninterrupted, run)
    for folder in (run / "checkpoints").glob("step-*"):
        if int(folder.name[-8:]) > step:
            shutil.rmtree(folder)
    return run


@pytest.mark.parametrize("model", ["mocogan", "dual_motion"])
def test_resumed_run_equals_the_uninterrupted_one(model: str, shapes_data: Path, tmp_path: Path) -> None:
    """Resume in the middle of an epoch, at its end and before the last step, with and without loader workers."""
    uninterrupted = train(small_config(model, shapes_data, tmp_path / "uninterrupted", **CHANGES), quiet=True).run_dir
    for step, workers in ((2, 2), (EPOCH, 0), (6, 0)):
        run = killed_after(uninterrupted, step, tmp_path / f"{step}")
        config = small_config(model, shapes_data, run.parent, data__workers=workers, **CHANGES)
        assert train(config, quiet=True).steps == 7
        assert_same_run(uninterrupted, run, 7)
    thrice = killed_after(uninterrupted, 1, tmp_path / "thrice")
    for steps in (3, 4, 7):  # the cosine schedule still ends at step 7
        config = small_config(model, shapes_data, thrice.parent, **CHANGES)
        stop = stopped_after(steps)
        assert train(config, quiet=True).steps == stop.steps
        stop.undo()
    assert_same_run(uninterrupted, thrice, 7)


class stopped_after:  # noqa: N801
    """Send SIGTERM to this process after `steps` steps."""

    def __init__(self, steps: int) -> None:
        from vidgan.training import loop

        self.steps, self.original = steps, loop._Run.do_due

        def do_due(run: Any, step: int) -> None:
            self.original(run, step)
            if step == steps:
                os.kill(os.getpid(), signal.SIGTERM)

        loop._Run.do_due = do_due  # type: ignore[method-assign]

    def undo(self) -> None:
        from vidgan.training import loop

        loop._Run.do_due = self.original  # type: ignore[method-assign]


class Killed(BaseException):
    """Ends a run abruptly without ending this process."""


def test_kill_after_a_checkpoint_loses_no_journal_record(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill at the same step during the evaluation, during the preview, and before the best weights are saved."""
    changes = CHANGES | {"train__steps": 4, "every__preview": 3}
    uninterrupted = train(
        small_config("dual_motion", shapes_data, tmp_path / "uninterrupted", **changes), quiet=True
    ).run_dir
    config = small_config("dual_motion", shapes_data, tmp_path / "parts", **changes)
    for moment in ("evaluation", "preview", "best"):
        with monkeypatch.context() as patch:
            dies_at(moment, 3, patch)
            with pytest.raises(Killed):
                train(config, quiet=True)
        saved = load_latest(config.run_dir / "checkpoints")
        assert saved is not None and saved.step == 3
    assert train(config, quiet=True).steps == 4
    assert_same_run(uninterrupted, config.run_dir, 4)
    assert exported_step(config.run_dir / "best") == exported_step(uninterrupted / "best")


def dies_at(moment: str, step: int, patch: pytest.MonkeyPatch) -> None:
    from vidgan.training.run_state import RunState

    owner, name = {
        "evaluation": (_Observer, "evaluate"), "preview": (_Observer, "preview"), "best": (RunState, "write"),
    }[moment]  # fmt: skip
    original = getattr(owner, name)

    def dying(self: Any, at: int, **options: Any) -> Any:
        if at == step and options.get("best", moment != "best"):
            raise Killed
        return original(self, at, **options)

    patch.setattr(owner, name, dying)


def test_preview_is_repeated_after_a_kill_during_the_last_one(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(_Observer, "preview", raiser(Killed()))
        train(config, quiet=True)
    assert not (config.run_dir / "previews").exists()
    assert train(config, quiet=True).steps == 2
    assert [p.name for p in (config.run_dir / "previews").iterdir()] == ["step-00000002.webp"]
    assert not caplog.records
    train(config, quiet=True)
    assert str(config.run_dir) in caplog.text, "it reports that the run is finished"


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("steps", [2, 3])
def test_model_older_than_the_checkpoint_is_exported_again(
    steps: int, shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill between the last checkpoint and its export, with and without further steps to train."""
    from safetensors.torch import load_file

    from vidgan.runs import Exporter

    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2, every__checkpoint=1)
    original = Exporter.__call__
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(
            Exporter, "__call__", lambda s, step, best: raiser(Killed())() if step == 2 else original(s, step, best)
        )
        train(config, quiet=True)
    model = tmp_path / "small" / "model"
    assert exported_step(model) == 1
    train(small_config("mocogan", shapes_data, tmp_path, train__steps=steps, every__checkpoint=10), quiet=True)
    assert exported_step(model) == steps
    average = load_checkpoint(tmp_path / "small" / "checkpoints" / f"step-{steps:08d}").tensors["ema"]
    written = load_file(model / "model.safetensors")
    assert all(torch.equal(written[key], value) for key, value in average.items() if key in written)
    assert written.keys() <= average.keys()


def test_changed_process_count_is_logged(shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from vidgan.training.checkpoint import save_checkpoint

    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2)
    train(config, quiet=True)
    saved = load_latest(config.run_dir / "checkpoints")
    assert saved is not None
    save_checkpoint(config.run_dir / "checkpoints", 2, saved.tensors, saved.state | {"processes": 4})
    train(small_config("mocogan", shapes_data, tmp_path, train__steps=3), quiet=True)
    assert "step-00000002" in caplog.text and "4 processes" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_sets_the_exit_code(number: signal.Signals, shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=100000)))
    command = [sys.executable, "-m", "vidgan", "train", str(config)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(read_journal(tmp_path / "small")) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    saved = load_latest(tmp_path / "small" / "checkpoints")
    assert saved is not None and saved.step == max(r["step"] for r in read_journal(tmp_path / "small"))
    resumed = train(small_config("mocogan", shapes_data, tmp_path, train__steps=saved.step + 1), quiet=True)
    assert resumed.steps == saved.step + 1


def test_damaged_newest_checkpoint_is_skipped(
    shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=4), quiet=True).run_dir
    newest = run / "checkpoints" / "step-00000004" / "generator.safetensors"
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(bytes(data))
    assert train(small_config("mocogan", shapes_data, tmp_path, train__steps=5), quiet=True).steps == 5
    assert "step-00000004" in caplog.text
