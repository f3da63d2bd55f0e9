"""Checkpoints: what a kill, a flipped bit or a full disk must not be able to do."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vidgan.training import checkpoint as module
from vidgan.training import manifest
from vidgan.training.checkpoint import (
    CheckpointError,
    flatten_optimizer,
    load_best,
    load_checkpoint,
    load_latest,
    load_strict,
    restore_optimizer,
    save_checkpoint,
)


def tensors_of(step: int, size: int = 1000) -> dict[str, dict[str, Tensor]]:
    return {"generator": {"weight": torch.arange(size) + step}, "ema": {"weight": torch.full((3,), float(step))}}


def save(directory: Path, step: int, **options: Any) -> Path:
    return save_checkpoint(directory, step, tensors_of(step), {"step": step}, **options)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    weight = torch.randn(4, 5)
    tensors = {
        "generator": {
            "weight": weight,
            "half": weight.bfloat16(),
            "count": torch.tensor(7),
            "empty": torch.empty(0, 3),
        },
        "video-discriminator": {"transposed": weight.T},
    }
    state = {"best": 0.1 + 0.2, "names": ["a", "ü"], "none": None}
    path = save_checkpoint(tmp_path / "new" / "checkpoints", 1234, tensors, state)
    assert path.name == "step-00001234"
    assert names(path) == ["generator.safetensors", "manifest.json", "state.json", "video-discriminator.safetensors"]
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.state, loaded.skipped) == (1234, state, [])
    for name, group in tensors.items():
        assert loaded.tensors[name].keys() == group.keys()
        for key, value in group.items():
            assert loaded.tensors[name][key].dtype == value.dtype
            assert torch.equal(loaded.tensors[name][key], value)


def test_tied_tensors_are_saved_as_copies(tmp_path: Path) -> None:
    weight = torch.randn(6, 2)
    path = save_checkpoint(tmp_path, 1, {"net": {"a": weight, "b": weight, "slice": weight[2:4]}}, {})
    loaded = load_checkpoint(path).tensors["net"]
    assert torch.equal(loaded["a"], weight)
    assert torch.equal(loaded["b"], weight)
    assert torch.equal(loaded["slice"], weight[2:4])


def test_the_newest_ones_and_the_best_one_are_kept(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step, keep=2, best=step == 2)
    assert names(tmp_path) == ["best.json", "step-00000002", "step-00000005", "step-00000006"]
    best = load_best(tmp_path)
    latest = load_latest(tmp_path)
    assert best is not None and best.step == 2
    assert latest is not None and latest.step == 6
    save(tmp_path, 7, keep=3, best=True)
    assert names(tmp_path) == ["best.json", "step-00000005", "step-00000006", "step-00000007"]


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "absent") is None
    (tmp_path / "notes").mkdir()
    assert load_latest(tmp_path) is None
    assert load_best(tmp_path) is None


def test_going_back_drops_the_steps_that_were_left(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step, keep=3)
    save(tmp_path, 15, keep=3)
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 5)
    save_checkpoint(tmp_path, 5, tensors_of(99), {"again": True}, best=True)
    assert names(tmp_path) == ["best.json", "step-00000005"]
    assert load_checkpoint(tmp_path / "step-00000005").state == {"again": True}
    shutil.copytree(tmp_path / "step-00000005", tmp_path / ".replaced-step-00000005")  # a kill before it was removed
    save(tmp_path, 5)
    assert names(tmp_path) == ["best.json", "step-00000005"]
    assert load_checkpoint(tmp_path / "step-00000005").state == {"step": 5}


def test_fewer_than_two_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="keep=1: at least 2"):
        save(tmp_path, 1, keep=1)


def test_what_json_or_a_file_name_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="state is not plain JSON"):
        save_checkpoint(tmp_path, 1, tensors_of(1), {"loss": float("nan")})
    with pytest.raises(CheckpointError, match=r"'\.\./up' cannot name a file"):
        save_checkpoint(tmp_path, 1, {"../up": {}}, {})
    with pytest.raises(CheckpointError, match="net/step is a int"):
        save_checkpoint(tmp_path, 1, {"net": {"step": 3}}, {})  # type: ignore[dict-item]
    assert names(tmp_path) == []


@pytest.mark.parametrize("file", ["generator.safetensors", "ema.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_a_damaged_newest_one_falls_back_and_says_so(
    tmp_path: Path, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1)
    victim = save(tmp_path, 2) / file
    if damage == "flip":
        flip_bit(victim, len(victim.read_bytes()) // 2)
    elif damage == "remove":
        victim.unlink()
    else:
        os.truncate(victim, 0 if damage == "empty" else victim.stat().st_size - 1)
    latest = load_latest(tmp_path)
    assert latest is not None
    assert latest.step == 1
    assert torch.equal(latest.tensors["generator"]["weight"], tensors_of(1)["generator"]["weight"])
    assert len(latest.skipped) == 1 and "step-00000002" in latest.skipped[0]
    assert "step-00000002" in caplog.text


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 3, {"net": {"weight": torch.zeros(8)}}, {"step": 3})
    generator = random.Random(0)
    for file in sorted(path.iterdir()):
        content = file.read_bytes()
        for _ in range(100):
            position, bit = generator.randrange(len(content)), generator.randrange(8)
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            file.write_bytes(changed)
            with pytest.raises(CheckpointError):
                load_checkpoint(path)
        file.write_bytes(content)
    assert load_checkpoint(path).step == 3


def test_when_all_are_damaged_nothing_starts_afresh(tmp_path: Path) -> None:
    for step in (1, 2):
        flip_bit(save(tmp_path, step) / "generator.safetensors", 200)
    with pytest.raises(CheckpointError, match=r"(?s)every checkpoint .* is damaged.*step-00000002.*step-00000001"):
        load_latest(tmp_path)


def test_another_format_version_is_refused_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)
    monkeypatch.setattr(manifest, "FORMAT_VERSION", 2)
    save(tmp_path, 2)
    monkeypatch.setattr(manifest, "FORMAT_VERSION", 1)
    with pytest.raises(CheckpointError, match="format version 2, this vidgan reads 1"):
        load_latest(tmp_path)


def test_a_kill_at_any_moment_of_a_save_loses_nothing(tmp_path: Path) -> None:
    """A child is killed at its 1st, 2nd, ... flush, rename or removal, so that every stage of a save is met."""
    stage = 0
    while True:
        directory = tmp_path / f"stage-{stage}"
        for step in (1, 2, 3):
            save(directory, step, best=step == 1)

        def work(directory: Path = directory, stage: int = stage) -> None:
            left = stage

            def count(original: Callable[..., Any]) -> Callable[..., Any]:
                def wrapped(*args: Any, **options: Any) -> Any:
                    nonlocal left
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1
                    return original(*args, **options)

                return wrapped

            for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "replace"), (shutil, "rmtree"), (os, "unlink")):
                setattr(owner, name, count(getattr(owner, name)))
            save(directory, 4, best=True)

        _, status = os.waitpid(in_child(work), 0)
        latest = load_latest(directory)
        best = load_best(directory)
        assert latest is not None and latest.step in (3, 4) and not latest.skipped
        assert torch.equal(latest.tensors["generator"]["weight"], tensors_of(latest.step)["generator"]["weight"])
        assert best is not None and best.step in (1, 4)
        save(directory, 5)
        assert not [name for name in names(directory) if name.startswith(".")]
        if os.WIFEXITED(status):
            break
        stage += 1
    assert stage > 10


def test_a_kill_while_a_step_is_saved_again_loses_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 4, best=True)
    original = Path.rename

    def work() -> None:
        def killing(self: Path, target: Path) -> Path:
            if self.name.startswith(".tmp-"):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, target)

        Path.rename = killing  # type: ignore[method-assign, assignment]
        save(tmp_path, 4)

    os.waitpid(in_child(work), 0)
    assert not (tmp_path / "step-00000004").exists()
    latest, best = load_latest(tmp_path), load_best(tmp_path)
    assert latest is not None and latest.step == 4
    assert best is not None and best.step == 4


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """The naive way leaves most of these unreadable."""
    generator = random.Random(1)
    acknowledged = tmp_path / "acknowledged"
    step = 0
    for _ in range(10):
        first = step + 1

        def work(first: int = first) -> None:
            for number in range(first, first + 1000):
                save(tmp_path / "checkpoints", number)
                acknowledged.write_text(str(number))

        pid = in_child(work)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (not acknowledged.exists() or int(acknowledged.read_text() or 0) < first):
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        latest = load_latest(tmp_path / "checkpoints")
        assert latest is not None and not latest.skipped
        assert latest.step >= int(acknowledged.read_text() or first)
        step = latest.step


def test_a_full_disk_names_the_missing_bytes_and_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=50_000))
    state_bytes = len(json.dumps({"step": 2}, indent=1))
    missing = (1 << 20) + 1000 * 8 + 3 * 4 + state_bytes - 50_000
    with pytest.raises(CheckpointError, match=f"too full.*{missing:,} of them are missing"):
        save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64"), SafetensorError("I/O error")]
)
def test_a_failed_write_leaves_the_old_ones_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save(tmp_path, 1)

    def failing(group: object) -> bytes:
        raise error

    monkeypatch.setattr(module, "save_safetensors", failing)
    with pytest.raises(CheckpointError, match=r"step-00000002 was not written: .*Older checkpoints are untouched"):
        save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001"]


def test_an_old_one_is_removed_only_after_the_new_one_was_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    original = module.write_file

    def rotten(path: Path, payload: bytes) -> dict[str, Any]:
        entry = original(path, payload)
        if path.name == "ema.safetensors":
            flip_bit(path, 80)
        return entry

    monkeypatch.setattr(module, "write_file", rotten)
    with pytest.raises(CheckpointError, match=r"step-00000003 was not written.*ema\.safetensors does not match"):
        save(tmp_path, 3)
    latest = load_latest(tmp_path)
    assert latest is not None and latest.step == 2
    assert (tmp_path / "step-00000001").is_dir()


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.1 / 3, betas=(0.5, 0.999), weight_decay=1e-5),
    "adam-amsgrad": lambda p: torch.optim.Adam(p, lr=2e-4, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "adam-tensor-lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-3)),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.9, centered=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
    "sgd-plain": lambda p: torch.optim.SGD(p, lr=1e-2),
}


def make(kind: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return net, OPTIMIZERS[kind]([{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 3e-3}])


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        net(x).square().mean().backward()
        optimizer.param_groups[0]["lr"] *= 0.9
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_restored_optimizer_goes_on_bit_for_bit(tmp_path: Path, kind: str) -> None:
    net, optimizer = make(kind)
    train(net, optimizer, range(4))
    tensors, scalars = flatten_optimizer(optimizer)
    save_checkpoint(tmp_path, 4, {"net": net.state_dict(), "optimizer-net": tensors}, {"optimizer": scalars})
    train(net, optimizer, range(4, 9))

    fresh, restored = make(kind)
    latest = load_latest(tmp_path)
    assert latest is not None
    load_strict(fresh, latest.tensors["net"])
    restore_optimizer(restored, latest.tensors["optimizer-net"], latest.state["optimizer"])
    train(fresh, restored, range(4, 9))

    for key, value in net.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value), key
    assert [group["lr"] for group in restored.param_groups] == [group["lr"] for group in optimizer.param_groups]
    expected, found = flatten_optimizer(optimizer), flatten_optimizer(restored)
    assert found[1] == expected[1]
    assert all(torch.equal(found[0][key], value) for key, value in expected[0].items())
    on_disk = load_checkpoint(latest.path).tensors["optimizer-net"]
    assert all(torch.equal(latest.tensors["optimizer-net"][key], value) for key, value in on_disk.items())


def test_tuples_stay_tuples() -> None:
    _, optimizer = make("adam")
    tensors, scalars = flatten_optimizer(optimizer)
    restore_optimizer(optimizer, tensors, scalars)
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.999)
    assert isinstance(optimizer.param_groups[0]["betas"], tuple)


def test_a_wrapped_optimizer_is_looked_through() -> None:
    class Wrapper:
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            self.optimizer = optimizer

    net, optimizer = make("adam")
    train(net, optimizer, range(2))
    tensors, scalars = flatten_optimizer(Wrapper(optimizer))  # type: ignore[arg-type]
    assert scalars["class"] == "Adam"
    _, fresh = make("adam")
    restore_optimizer(Wrapper(fresh), tensors, scalars)  # type: ignore[arg-type]
    assert torch.equal(flatten_optimizer(fresh)[0]["state.0.exp_avg"], tensors["state.0.exp_avg"])


def test_an_optimizer_that_differs_is_named_and_left_alone() -> None:
    net, optimizer = make("adam")
    train(net, optimizer, range(1))
    saved = flatten_optimizer(optimizer)
    with pytest.raises(CheckpointError, match="the class is Adam in the checkpoint, SGD here"):
        restore_optimizer(make("sgd")[1], *saved)
    other = nn.Linear(3, 4)
    one_group = torch.optim.Adam(other.parameters())
    with pytest.raises(CheckpointError, match="number of parameter groups is 2 in the checkpoint, 1 here"):
        restore_optimizer(one_group, *saved)
    fewer = torch.optim.Adam([{"params": net[0].parameters()}, {"params": [net[2].weight]}])  # type: ignore[index]
    with pytest.raises(CheckpointError, match="number of parameters in group 1 is 2 in the checkpoint, 1 here"):
        restore_optimizer(fewer, *saved)
    wider = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    same_count = torch.optim.Adam([{"params": wider[0].parameters()}, {"params": wider[1].parameters()}])
    with pytest.raises(CheckpointError, match=r"shape of exp_avg of parameter 0 is \(4, 3\) in the .*, \(5, 3\) here"):
        restore_optimizer(same_count, *saved)
    assert not same_count.state


def test_load_strict_names_what_does_not_fit_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    tensors = {key: value + 1 for key, value in before.items()}
    tensors["2.weight"] = tensors.pop("1.bias")
    tensors["0.weight"] = torch.zeros(5, 3)
    tensors["0.bias"] = tensors["0.bias"].double()
    with pytest.raises(CheckpointError) as caught:
        load_strict(net, tensors)
    message = str(caught.value)
    assert "missing: 1.bias" in message
    assert "unexpected: 2.weight" in message
    assert "0.weight is float32(5, 3) in the checkpoint, float32(4, 3) in the model" in message
    assert "0.bias is float64(4,) in the checkpoint, float32(4,) in the model" in message
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    load_strict(net, {key: value + 1 for key, value in before.items()})
    assert all(torch.equal(net.state_dict()[key], value + 1) for key, value in before.items())


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/hostname", ".hidden", "link.safetensors", "sub"])
def test_a_stranger_s_checkpoint_cannot_name_what_is_not_its_own(tmp_path: Path, name: str) -> None:
    """Sizes and sums are right, so that only the name is wrong."""
    path = save(tmp_path / "checkpoints", 1)
    secret = tmp_path / "checkpoints" / "secret.safetensors"
    shutil.copy(path / "ema.safetensors", secret)
    (path / "link.safetensors").symlink_to(secret)
    (path / "sub").mkdir()
    body = json.loads((path / "manifest.json").read_bytes())
    body["files"][name] = body["files"]["ema.safetensors"]
    body["checksum"] = manifest._checksum(body)
    (path / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(CheckpointError, match="is not a file of this checkpoint"):
        load_checkpoint(path)


def test_an_endless_manifest_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    os.truncate(path / "manifest.json", 1 << 40)  # a sparse file
    with pytest.raises(CheckpointError, match="larger than 1,048,576 bytes"):
        load_checkpoint(path)
