"""Checkpoints survive kills, flipped bits and full disks."""

import json
import os
import random
import re
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

from vidgan.errors import CheckpointError
from vidgan.training import checkpoint as module
from vidgan.training import manifest
from vidgan.training.checkpoint import (
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
    """Run `work` in a forked process and return its id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_save_and_load(tmp_path: Path) -> None:
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


def test_newest_and_best_are_kept(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step, keep=2, best=step == 2)
    assert names(tmp_path) == ["best.json", "step-00000002", "step-00000005", "step-00000006"]
    best = load_best(tmp_path)
    latest = load_latest(tmp_path)
    assert best is not None and best.step == 2
    assert latest is not None and latest.step == 6
    save(tmp_path, 7, keep=3, best=True)
    assert names(tmp_path) == ["best.json", "step-00000005", "step-00000006", "step-00000007"]


def test_missing_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "absent") is None
    (tmp_path / "notes").mkdir()
    assert load_latest(tmp_path) is None
    assert load_best(tmp_path) is None


def test_rollback_removes_later_checkpoints(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step, keep=3)
    save(tmp_path, 15, keep=3)
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 5)
    save_checkpoint(tmp_path, 5, tensors_of(99), {"again": True}, best=True)
    assert names(tmp_path) == ["best.json", "step-00000005"]
    assert load_checkpoint(tmp_path / "step-00000005").state == {"again": True}
    shutil.copytree(tmp_path / "step-00000005", tmp_path / ".replaced-step-00000005")  # as after a kill
    save(tmp_path, 5)
    assert names(tmp_path) == ["best.json", "step-00000005"]
    assert load_checkpoint(tmp_path / "step-00000005").state == {"step": 5}


def test_keeping_fewer_than_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="keep=1"):
        save(tmp_path, 1, keep=1)


def test_invalid_state_or_name_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="state"):
        save_checkpoint(tmp_path, 1, tensors_of(1), {"loss": float("nan")})
    with pytest.raises(CheckpointError, match=r"'\.\./up'"):
        save_checkpoint(tmp_path, 1, {"../up": {}}, {})
    with pytest.raises(CheckpointError, match="net/step"):
        save_checkpoint(tmp_path, 1, {"net": {"step": 3}}, {})  # type: ignore[dict-item]
    assert names(tmp_path) == []


@pytest.mark.parametrize("file", ["generator.safetensors", "ema.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_damaged_newest_checkpoint_is_skipped_and_logged(
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


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
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


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    for step in (1, 2):
        flip_bit(save(tmp_path, step) / "generator.safetensors", 200)
    with pytest.raises(CheckpointError, match=r"(?s)step-00000002.*step-00000001"):
        load_latest(tmp_path)


def test_other_format_version_is_refused_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)
    monkeypatch.setattr(manifest, "FORMAT_VERSION", 2)
    save(tmp_path, 2)
    monkeypatch.setattr(manifest, "FORMAT_VERSION", 1)
    with pytest.raises(CheckpointError, match="step-00000002 .*version 2"):
        load_latest(tmp_path)


def test_kill_at_any_stage_of_a_save_loses_nothing(tmp_path: Path) -> None:
    """Kill a child at its 1st, 2nd, ... flush, rename or removal, which covers every stage of a save."""
    stage = 0
    while True:
        directory = tmp_path / f"stage-{stage}"
        for step in (1, 2, 3):
            save(directory, step, best=step == 1)

        def work(directory: Path = directory, stage: int = stage) -> None:
            remaining = stage

            def count(original: Callable[..., Any]) -> Callable[..., Any]:
                def wrapped(*args: Any, **options: Any) -> Any:
                    nonlocal remaining
                    if remaining == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    remaining -= 1
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


def test_kill_while_a_checkpoint_is_replaced_loses_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_kills_at_random_times(tmp_path: Path) -> None:
    """Writing in place would leave most of these unreadable."""
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


def test_full_disk_names_the_missing_bytes_and_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=50_000))
    state_bytes = len(json.dumps({"step": 2}, indent=1))
    missing = (1 << 20) + 1000 * 8 + 3 * 4 + state_bytes - 50_000
    with pytest.raises(CheckpointError, match=f"{missing:,}"):
        save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64"), SafetensorError("I/O error")]
)
def test_failed_write_keeps_the_old_checkpoint_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save(tmp_path, 1)

    def failing(group: object) -> bytes:
        raise error

    monkeypatch.setattr(module, "save_safetensors", failing)
    with pytest.raises(CheckpointError, match="step-00000002"):
        save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001"]


def test_old_checkpoint_is_removed_only_after_the_new_one_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    original = module.write_file

    def corrupting(path: Path, payload: bytes) -> dict[str, Any]:
        entry = original(path, payload)
        if path.name == "ema.safetensors":
            flip_bit(path, 80)
        return entry

    monkeypatch.setattr(module, "write_file", corrupting)
    with pytest.raises(CheckpointError, match=r"step-00000003.*ema\.safetensors"):
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
def test_restored_optimizer_continues_bit_for_bit(tmp_path: Path, kind: str) -> None:
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
    expected, actual = flatten_optimizer(optimizer), flatten_optimizer(restored)
    assert actual[1] == expected[1]
    assert all(torch.equal(actual[0][key], value) for key, value in expected[0].items())
    on_disk = load_checkpoint(latest.path).tensors["optimizer-net"]
    assert all(torch.equal(latest.tensors["optimizer-net"][key], value) for key, value in on_disk.items())


def test_tuples_are_restored() -> None:
    _, optimizer = make("adam")
    tensors, scalars = flatten_optimizer(optimizer)
    restore_optimizer(optimizer, tensors, scalars)
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.999)
    assert isinstance(optimizer.param_groups[0]["betas"], tuple)


def test_wrapped_optimizer_is_unwrapped() -> None:
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


def test_mismatched_optimizer_is_described_and_unchanged() -> None:
    net, optimizer = make("adam")
    train(net, optimizer, range(1))
    saved = flatten_optimizer(optimizer)
    with pytest.raises(CheckpointError, match="class.*Adam.*SGD"):
        restore_optimizer(make("sgd")[1], *saved)
    other = nn.Linear(3, 4)
    one_group = torch.optim.Adam(other.parameters())
    with pytest.raises(CheckpointError, match="groups.*2.*1"):
        restore_optimizer(one_group, *saved)
    fewer = torch.optim.Adam([{"params": net[0].parameters()}, {"params": [net[2].weight]}])  # type: ignore[index]
    with pytest.raises(CheckpointError, match="group 1.*2.*1"):
        restore_optimizer(fewer, *saved)
    wider = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    same_count = torch.optim.Adam([{"params": wider[0].parameters()}, {"params": wider[1].parameters()}])
    with pytest.raises(CheckpointError, match=r"exp_avg of parameter 0 .*\(4, 3\).*\(5, 3\)"):
        restore_optimizer(same_count, *saved)
    assert not same_count.state


def test_load_strict_names_mismatches_and_changes_nothing() -> None:
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
    assert "0.weight is float32(5, 3)" in message and "float32(4, 3)" in message
    assert "0.bias is float64(4,)" in message and "float32(4,)" in message
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    load_strict(net, {key: value + 1 for key, value in before.items()})
    assert all(torch.equal(net.state_dict()[key], value + 1) for key, value in before.items())


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/hostname", ".hidden", "link.safetensors", "sub"])
def test_untrusted_checkpoint_cannot_name_other_files(tmp_path: Path, name: str) -> None:
    """Size and sha256 are correct; only the name is not."""
    path = save(tmp_path / "checkpoints", 1)
    secret = tmp_path / "checkpoints" / "secret.safetensors"
    shutil.copy(path / "ema.safetensors", secret)
    (path / "link.safetensors").symlink_to(secret)
    (path / "sub").mkdir()
    body = json.loads((path / "manifest.json").read_bytes())
    body["files"][name] = body["files"]["ema.safetensors"]
    body["checksum"] = manifest._checksum(body)
    (path / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(CheckpointError, match=re.escape(repr(name))):
        load_checkpoint(path)


def test_oversized_manifest_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    os.truncate(path / "manifest.json", 1 << 40)  # a sparse file
    with pytest.raises(CheckpointError, match="1048576 bytes"):
        load_checkpoint(path)
