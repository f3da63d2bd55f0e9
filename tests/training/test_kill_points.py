"""A training that is killed between any two changes on the disk ends like one that is not."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config

from vidgan.commands.train import train
from vidgan.commands.training_hooks import _Observer
from vidgan.config import RunConfig
from vidgan.runs import exported_step
from vidgan.training.checkpoint import load_best, load_latest
from vidgan.training.journal import Journal, drop_volatile, read_journal


class Killed(BaseException):
    """Ends a run abruptly without ending this process."""


@pytest.fixture
def quick_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations that rise with the step, so that each one is the best so far."""

    def preview(self: _Observer, step: int) -> dict[str, float]:
        folder = self.config.run_dir / "previews"
        folder.mkdir(exist_ok=True)
        (folder / f"step-{step:08d}.png").write_bytes(b"preview")
        return {}

    monkeypatch.setattr(_Observer, "preview", preview)
    monkeypatch.setattr(_Observer, "evaluate", lambda self, step: {"evaluation/score": float(step)})


def config_in(out: Path, data: Path, steps: int) -> RunConfig:
    return small_config(
        "mocogan", data, out, train__steps=steps, every__checkpoint=1, every__evaluate=1, every__preview=1
    )


def kill_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Raise Killed at a change on the disk: the `number`-th rename, replacement or journal record."""
    remaining = number

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal remaining
            if remaining == 0:
                raise Killed
            remaining -= 1
            return original(*args, **options)

        return call

    for owner, name in ((Path, "rename"), (Path, "replace"), (Journal, "append")):
        patch.setattr(owner, name, counted(getattr(owner, name)))


def test_every_kill_point_of_the_last_step(
    quick_hooks: None, shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(config_in(tmp_path / "first", shapes_data, 1), quiet=True).run_dir
    unbroken = shutil.copytree(first, tmp_path / "unbroken" / "small")
    train(config_in(unbroken.parent, shapes_data, 2), quiet=True)
    expected = load_latest(unbroken / "checkpoints")
    assert expected is not None and exported_step(unbroken / "best") == 2
    number, is_over = 0, False
    while not is_over:
        run = shutil.copytree(first, tmp_path / str(number) / "small")
        config = config_in(run.parent, shapes_data, 2)
        with monkeypatch.context() as patch:
            kill_at(number, patch)
            try:
                train(config, quiet=True)
                is_over = True
            except Killed:
                pass
        assert train(config, quiet=True).steps == 2
        latest, best = load_latest(run / "checkpoints"), load_best(run / "checkpoints")
        assert latest is not None and best is not None and (latest.step, best.step) == (2, 2), number
        assert latest.state == expected.state, number
        assert all(torch.equal(v, latest.tensors["ema"][k]) for k, v in expected.tensors["ema"].items()), number
        assert exported_step(run / "model") == exported_step(run / "best") == 2, number
        assert drop_volatile(read_journal(run)) == drop_volatile(read_journal(unbroken)), number
        assert [p.name for p in run.rglob(".*")] == [".lock"], number
        shutil.rmtree(run)
        number += 1
    assert number > 15


def test_temporary_files_of_killed_processes_are_removed(quick_hooks: None, shapes_data: Path, tmp_path: Path) -> None:
    run = train(config_in(tmp_path, shapes_data, 1), quiet=True).run_dir
    dead = 4194305  # above the largest process number of Linux
    (run / "scores").mkdir()
    left = [
        run / "checkpoints" / f".tmp-step-00000002-{dead}" / "state.json",
        run / "checkpoints" / f".tmp-best-{dead}",
        run / "previews" / f".step-00000002.png.{dead}.tmp",
        run / "scores" / f".held-out.json.{dead}.tmp",
        run / ".best.new" / "vidgan.json",
        run / ".model.old" / "vidgan.json",
    ]
    for steps in (1, 2):  # a finished run, and one that continues
        for path in left:
            path.parent.mkdir(exist_ok=True)
            path.write_text("partial")
        train(config_in(tmp_path, shapes_data, steps), quiet=True)
        assert [p.name for p in run.rglob(".*")] == [".lock"]
