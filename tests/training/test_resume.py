"""Resuming: N + N steps are 2N steps, bit for bit, from wherever the first half ended."""

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
from vidgan.exports import exported_step
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.journal import measurements, read

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
    """Weights, optimizers, average and journal."""
    first, second = (load_checkpoint(run / "checkpoints" / f"step-{step:08d}") for run in (one, other))
    assert first.state == second.state
    assert first.tensors.keys() == second.tensors.keys()
    for name, group in first.tensors.items():
        assert group.keys() == second.tensors[name].keys()
        for key, value in group.items():
            assert torch.equal(value, second.tensors[name][key]), f"{name}: {key}"
    assert measurements(read(one / "journal.jsonl")) == measurements(read(other / "journal.jsonl"))


def killed_after(whole: Path, step: int, out: Path) -> Path:
    """The run as a kill a moment after the checkpoint of `step` leaves it: the journal is further than that."""
    run = out / whole.name
    shutil.copytree(whole, run)
    for folder in (run / "checkpoints").glob("step-*"):
        if int(folder.name[-8:]) > step:
            shutil.rmtree(folder)
    return run


@pytest.mark.parametrize("model", ["mocogan", "dual_motion"])
def test_resume_equals_the_unbroken_run(model: str, shapes_data: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, at its end, before the last step; with loader workers and without."""
    whole = train(small_config(model, shapes_data, tmp_path / "whole", **CHANGES), quiet=True).run_dir
    for step, workers in ((2, 2), (EPOCH, 0), (6, 0)):
        run = killed_after(whole, step, tmp_path / f"{step}")
        config = small_config(model, shapes_data, run.parent, data__workers=workers, **CHANGES)
        assert train(config, quiet=True).steps == 7
        assert_same_run(whole, run, 7)
    thrice = killed_after(whole, 1, tmp_path / "thrice")
    for steps in (3, 4, 7):  # the cosine runs to 7 all the while
        config = small_config(model, shapes_data, thrice.parent, **CHANGES)
        seen = stopped_after(steps)
        assert train(config, quiet=True).steps == seen.steps
        seen.undo()
    assert_same_run(whole, thrice, 7)


class stopped_after:  # noqa: N801
    """SIGTERM to this process when `steps` steps are done."""

    def __init__(self, steps: int) -> None:
        from vidgan.training import loop

        self.steps, self.original = steps, loop._Run.advance

        def advance(run: Any, step: int) -> int:
            done = self.original(run, step)
            if done == steps:
                os.kill(os.getpid(), signal.SIGTERM)
            return done

        loop._Run.advance = advance  # type: ignore[method-assign]

    def undo(self) -> None:
        from vidgan.training import loop

        loop._Run.advance = self.original  # type: ignore[method-assign]


class Killed(BaseException):
    """Ends a run as abruptly as this process survives."""


def test_a_kill_between_a_checkpoint_and_what_follows_it_loses_no_line(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed three times at one step: in the evaluation, in the preview, and before the best weights are kept."""
    changes = CHANGES | {"train__steps": 4, "every__preview": 3}
    whole = train(small_config("dual_motion", shapes_data, tmp_path / "whole", **changes), quiet=True).run_dir
    config = small_config("dual_motion", shapes_data, tmp_path / "parts", **changes)
    for moment in ("evaluation", "preview", "best"):
        with monkeypatch.context() as patch:
            dies_at(moment, 3, patch)
            with pytest.raises(Killed):
                train(config, quiet=True)
        saved = load_latest(config.run_dir / "checkpoints")
        assert saved is not None and saved.step == 3
    assert train(config, quiet=True).steps == 4
    assert_same_run(whole, config.run_dir, 4)
    assert exported_step(config.run_dir / "best") == exported_step(whole / "best")


def dies_at(moment: str, step: int, patch: pytest.MonkeyPatch) -> None:
    from vidgan.training.state import RunState

    owner, name = {
        "evaluation": (_Observer, "evaluate"), "preview": (_Observer, "preview"), "best": (RunState, "write"),
    }[moment]  # fmt: skip
    original = getattr(owner, name)

    def dying(self: Any, at: int, **options: Any) -> Any:
        if at == step and options.get("best", moment != "best"):
            raise Killed
        return original(self, at, **options)

    patch.setattr(owner, name, dying)


def test_a_kill_in_the_last_preview_is_made_good(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(_Observer, "preview", raiser(Killed()))
        train(config, quiet=True)
    assert not (config.run_dir / "previews").exists()
    assert train(config, quiet=True).steps == 2
    assert [p.name for p in (config.run_dir / "previews").iterdir()] == ["step-00000002.webp"]
    assert "is finished" not in caplog.text
    train(config, quiet=True)
    assert "is finished: 2 of 2 steps" in caplog.text


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("steps", [2, 3])
def test_a_model_older_than_the_checkpoint_is_written_again(
    steps: int, shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the last checkpoint and its export; of a run that then is finished, and of one that goes on."""
    from safetensors.torch import load_file

    from vidgan.exports import Exporter

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


def test_another_process_count_is_told(shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from vidgan.training.checkpoint import save_checkpoint

    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2)
    train(config, quiet=True)
    saved = load_latest(config.run_dir / "checkpoints")
    assert saved is not None
    save_checkpoint(config.run_dir / "checkpoints", 2, saved.tensors, saved.state | {"processes": 4})
    train(small_config("mocogan", shapes_data, tmp_path, train__steps=3), quiet=True)
    assert "was saved by 4 processes, now there are 1" in caplog.text
    assert "equal to rounding and not bit for bit" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_exit_code_tells(number: signal.Signals, shapes_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=100000)))
    command = [sys.executable, "-m", "vidgan", "train", str(config)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    journal = tmp_path / "small" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.is_file() and len(read(journal)) >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    saved = load_latest(tmp_path / "small" / "checkpoints")
    assert saved is not None and saved.step == max(r["step"] for r in read(journal))
    resumed = train(small_config("mocogan", shapes_data, tmp_path, train__steps=saved.step + 1), quiet=True)
    assert resumed.steps == saved.step + 1


def test_a_damaged_newest_checkpoint_is_passed_over(
    shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=4), quiet=True).run_dir
    newest = run / "checkpoints" / "step-00000004" / "generator.safetensors"
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(bytes(data))
    assert train(small_config("mocogan", shapes_data, tmp_path, train__steps=5), quiet=True).steps == 5
    assert "checkpoint passed over" in caplog.text
