"""Faults during a training: non-finite values, a full disk, a killed or hanging loader worker."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config
from torch.utils.data import get_worker_info

from vidgan import __main__ as entry
from vidgan.commands.train import train
from vidgan.config import dump_config
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.errors import NonFiniteError, RunFailedError
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training import checkpoint
from vidgan.training.batches import position_of
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.failures import explain_lost_processes
from vidgan.training.journal import drop_volatile, read_journal
from vidgan.training.run_state import RunState

ROLLBACK = {"guards__on_nonfinite": "rollback", "every__checkpoint": 2, "every__keep": 9}


def break_positions(patch: pytest.MonkeyPatch, broken: Callable[[int], bool]) -> None:
    """Make a term of the generator NaN for the batches at these positions of the stream."""
    original = MoCoGANTraining.generator_losses

    def losses(self: MoCoGANTraining, batch: Any, draws: Any) -> Any:
        result = original(self, batch, draws)
        if broken(draws.keys[2]):
            result.losses["adversarial_video"] = result.losses["adversarial_video"] * float("nan")
        return result

    patch.setattr(MoCoGANTraining, "generator_losses", losses)


def test_stream_leaves_out_skipped_positions() -> None:
    assert [position_of(step, ()) for step in range(4)] == [0, 1, 2, 3]
    assert [position_of(step, {1, 2, 5}) for step in range(4)] == [0, 3, 4, 6]
    assert [position_of(step, {0}) for step in range(2)] == [1, 2]


def test_nan_stops_the_run_naming_step_term_and_network(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_positions(monkeypatch, lambda position: position == 3)
    config = small_config("mocogan", shapes_data, tmp_path)
    with pytest.raises(NonFiniteError, match="step 3: .*'adversarial_video'.*'generator'"):
        train(config, quiet=True)
    saved = load_latest(config.run_dir / "checkpoints")
    assert saved is not None and saved.step == 2
    assert all(value.isfinite().all() for value in saved.tensors["generator"].values())


def test_non_finite_weight_is_never_saved(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = MoCoGANTraining.step

    def step(self: MoCoGANTraining, number: int, micros: Any) -> Any:
        measured = original(self, number, micros)
        if number == 3:
            with torch.no_grad():
                next(self.trainees.raw["video"].parameters()).view(-1)[0] = float("inf")
        return measured

    monkeypatch.setattr(MoCoGANTraining, "step", step)
    config = small_config("mocogan", shapes_data, tmp_path)
    with pytest.raises(NonFiniteError, match=r"step 4: .*'video'"):
        train(config, quiet=True)
    saved = load_latest(config.run_dir / "checkpoints")
    assert saved is not None and saved.step == 2


def test_batch_without_labels_is_no_failure(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The category accuracy of a batch without labels is NaN, but it is a metric, not a loss."""
    original = ClipDataset.__getitem__

    def unlabelled(self: ClipDataset, key: tuple[int, int]) -> Any:
        row = original(self, key)
        return row._replace(category=torch.full_like(row.category, -1))

    monkeypatch.setattr(ClipDataset, "__getitem__", unlabelled)
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=1)
    assert train(config, quiet=True).steps == 1
    (logged,) = (record for record in read_journal(config.run_dir) if "seconds" in record)
    assert "accuracy/video/category" not in logged and logged["loss/video/category"] == 0


def test_rollback_skips_the_batch_also_after_a_resume(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the run equals that of a run without the batch."""
    config = small_config("mocogan", shapes_data, tmp_path / "broken", train__steps=6, **ROLLBACK)
    with monkeypatch.context() as patch:
        break_positions(patch, lambda position: position == 3)
        assert train(config, quiet=True).steps == 6
    records = read_journal(config.run_dir)
    (record,) = (record for record in records if "rollback" in record)
    assert (record["step"], record["rollback"]["failed"], record["rollback"]["skipped"]) == (2, 3, [3])
    assert [r["step"] for r in records if "seconds" in r] == [1, 2, 3, 4, 5, 6]

    never = small_config("mocogan", shapes_data, tmp_path / "never", train__steps=6, **ROLLBACK)
    with monkeypatch.context() as patch:
        patch.setattr(RunState, "skipped", frozenset({3}))
        train(never, quiet=True)
    saved = load_checkpoint(config.run_dir / "checkpoints" / "step-00000006")
    for name, group in load_checkpoint(never.run_dir / "checkpoints" / "step-00000006").tensors.items():
        assert all(torch.equal(value, saved.tensors[name][key]) for key, value in group.items()), name

    expected = drop_volatile(records)
    for folder in (config.run_dir / "checkpoints").glob("step-*"):
        if int(folder.name[-8:]) > 2:  # as killed after the rollback, which the checkpoint already contains
            shutil.rmtree(folder)
    train(config, quiet=True)  # without the fault the batch stays skipped
    assert drop_volatile(read_journal(config.run_dir)) == expected
    again = load_checkpoint(config.run_dir / "checkpoints" / "step-00000006")
    assert all(torch.equal(v, again.tensors["generator"][k]) for k, v in saved.tensors["generator"].items())


def test_second_rollback_skips_more_batches_up_to_a_limit(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_positions(monkeypatch, lambda position: position in (3, 4))
    config = small_config("mocogan", shapes_data, tmp_path / "two", train__steps=4, **ROLLBACK)
    train(config, quiet=True)
    rollbacks = load_checkpoint(config.run_dir / "checkpoints" / "step-00000004").state["rollbacks"]
    assert [(r["failed"], r["to"], r["skipped"]) for r in rollbacks] == [(3, 2, [3]), (3, 2, [2, 4])]

    break_positions(monkeypatch, lambda position: position > 1)
    hopeless = small_config("mocogan", shapes_data, tmp_path / "hopeless", guards__rollbacks=2, **ROLLBACK)
    with pytest.raises(NonFiniteError, match="step 2 .*2 times"):
        train(hopeless, quiet=True)


def test_rollback_before_the_first_checkpoint_returns_to_the_start(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_positions(monkeypatch, lambda position: position == 0)
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=1, **ROLLBACK)
    assert train(config, quiet=True).steps == 1
    saved = load_latest(config.run_dir / "checkpoints")
    assert saved is not None and [r["skipped"] for r in saved.state["rollbacks"]] == [[0]]


class FullDisk:
    """Make writing a checkpoint file fail halfway once `free` bytes are used up."""

    def __init__(self, patch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        original = checkpoint.write_file

        def write(path: Path, payload: bytes) -> dict[str, Any]:
            if len(payload) > self.free:
                path.write_bytes(payload[: self.free])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            self.free -= len(payload)
            return original(path, payload)

        patch.setattr(checkpoint, "write_file", write)


def test_full_disk_ends_the_run_with_code_1_and_leaves_no_partial_files(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=4)
    train(small_config("mocogan", shapes_data, tmp_path, train__steps=2), quiet=True)
    before = (config.run_dir / "checkpoints" / "step-00000002" / "manifest.json").read_bytes()
    (tmp_path / "config.yaml").write_text(dump_config(config))
    with monkeypatch.context() as patch:
        FullDisk(patch, free=20_000)
        patch.setattr(sys, "argv", ["vidgan", "train", str(tmp_path / "config.yaml"), "--quiet"])
        with pytest.raises(SystemExit) as ended:
            entry.main()
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert "No space left on device" in message and "step-00000004" in message
    assert [p.name for p in (config.run_dir / "checkpoints").iterdir()] == ["step-00000002"]
    assert (config.run_dir / "checkpoints" / "step-00000002" / "manifest.json").read_bytes() == before
    assert not [p for p in config.run_dir.rglob("*") if p.name.startswith(".") and p.name != ".lock"]
    assert train(config, quiet=True).steps == 4  # with free space again


def test_full_disk_at_any_fill_level_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"generator": {"weight": torch.arange(1000)}, "ema": {"weight": torch.ones(500)}}
    checkpoint.save_checkpoint(tmp_path, 1, tensors, {})
    for level in range(20):
        with monkeypatch.context() as patch, pytest.raises(checkpoint.CheckpointError, match="step-00000002.*No space"):
            FullDisk(patch, free=level * 500)
            checkpoint.save_checkpoint(tmp_path, 2, tensors, {})
        assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert load_checkpoint(tmp_path / "step-00000001").step == 1


def test_unwritable_journal_ends_the_run(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidgan.training.journal import Journal

    def full(self: Journal, record: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self.path))

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(RunFailedError, match=r"journal\.jsonl"):
        train(small_config("mocogan", shapes_data, tmp_path), quiet=True)


def test_full_disk_at_the_start_is_named_and_does_not_prevent_a_later_start(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # like a failed write, which has no file name

    with monkeypatch.context() as patch, pytest.raises(RunFailedError, match=r"small: .*No space"):
        patch.setattr(os, "pwrite", full)  # the description of the holder in the lock
        patch.setattr(Path, "replace", full)
        train(config, quiet=True)
    assert not config.run_dir.exists()
    config.run_dir.mkdir()
    (config.run_dir / ".config.yaml.4194305.tmp").write_text("na")  # a kill would leave this
    assert train(config, quiet=True).steps == 1
    assert not list(config.run_dir.glob(".*.tmp"))


def in_worker(patch: pytest.MonkeyPatch, fault: Callable[[], None]) -> None:
    original = ClipDataset.__getitem__

    def item(self: ClipDataset, key: tuple[int, int]) -> Any:
        if get_worker_info() is not None and key[0] == 1:  # in the second epoch
            fault()
        return original(self, key)

    patch.setattr(ClipDataset, "__getitem__", item)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        # The loader names the file; if the signal arrives during a step, torch names the worker.
        (lambda: os.kill(os.getpid(), 9), r"worker .*killed by signal"),
        (lambda: time.sleep(60), r"worker 0 .*item"),
    ],
    ids=["killed", "hanging"],
)
def test_lost_loader_worker_is_named_and_can_be_retried(
    fault: Callable[[], None], message: str, shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_worker(monkeypatch, fault)
    monkeypatch.setattr(ClipLoader.__init__, "__kwdefaults__", ClipLoader.__init__.__kwdefaults__ | {"timeout": 2.0})
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=9, data__workers=1)
    with pytest.raises(RuntimeError, match=message) as failed:
        train(config, quiet=True)
    assert not isinstance(failed.value, RunFailedError)
    monkeypatch.undo()
    assert train(small_config("mocogan", shapes_data, tmp_path, train__steps=4), quiet=True).steps == 4


def test_death_of_a_worker_during_a_step_is_explained() -> None:
    """torch raises from its signal handler, wherever the main process is."""
    message = r"process 1 .*DataLoader worker .*data\.workers.*--restarts"
    with pytest.raises(RuntimeError, match=message), explain_lost_processes(1):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    with pytest.raises(RuntimeError, match="^another fault$"), explain_lost_processes(1):
        raise RuntimeError("another fault")
