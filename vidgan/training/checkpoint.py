"""Checkpoints that survive a kill, a full disk and a flipped bit.

A checkpoint is a directory ``step-00001234`` with safetensors files, ``state.json`` and ``manifest.json``, which holds
the sha256 and size of each. It is written under a temporary name, flushed to the disk and renamed, so a directory
``step-*`` is always complete. Nothing is pickled: reading a checkpoint cannot run code.

Only one process may write into a directory at a time (`vidgan.training.lock.RunLock`); readers need no lock.
"""

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from vidgan.errors import CheckpointError, DamagedError
from vidgan.files import parse_json, read_json
from vidgan.training.manifest import (
    FILE_NAME,
    MAX_MANIFEST_BYTES,
    move_into_place,
    read_verified,
    remove,
    sync_directory,
    to_json,
    write_file,
    write_manifest,
)

logger = logging.getLogger(__name__)

_STEP = re.compile(r"(?P<replaced>\.replaced-)?step-(?P<step>\d{8,})")
_HEADROOM = 1 << 20  # bytes for headers, manifest and directory entries, in addition to the tensors


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint, completely in memory (CPU tensors).

    Attributes:
        path: its directory.
        step: number of finished steps.
        tensors: file name without suffix -> key -> tensor.
        state: JSON.
        skipped: why newer checkpoints were skipped, newest first.
    """

    path: Path
    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    skipped: list[str] = field(default_factory=list)


def save_checkpoint(
    directory: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    keep: int = 2,
    best: bool = False,
) -> Path:
    """Write ``directory/step-<step>`` atomically and return its path; a checkpoint of the same step is replaced.

    After the new checkpoint has been read back, all but the newest `keep` and the best one are removed. Checkpoints of
    later steps are removed too, because the run has rolled back to before them.

    Args:
        directory: the directory of all checkpoints.
        step: number of finished steps.
        tensors: file name without suffix -> key -> tensor.
        state: JSON with string keys and finite numbers.
        keep: number of checkpoints to keep, at least 2.
        best: mark this checkpoint as the best so far.

    Raises:
        CheckpointError: it cannot be written (on a full disk, the message gives the number of missing bytes). Earlier
            checkpoints are untouched.
    """
    if keep < 2:
        raise CheckpointError(f"keep={keep}: at least 2 checkpoints are required, in case the newest one is damaged")
    state_json = to_json(state, "state")
    needed = _HEADROOM + len(state_json)
    for name, group in tensors.items():
        if not FILE_NAME.fullmatch(name):
            raise CheckpointError(f"{name!r} is not a file name: letters, digits, '_', '-' and '.' are accepted")
        needed += sum(_checked(tensor, f"{name}/{key}").nbytes for key, tensor in group.items())
    final = directory / f"step-{step:08d}"
    temporary = directory / f".tmp-{final.name}-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove(directory.glob(".tmp-*"))
        if shutil.disk_usage(directory).free < needed:
            raise OSError(errno.ENOSPC, "not enough space on the disk")
        temporary.mkdir()
        files = {"state.json": write_file(temporary / "state.json", state_json)}
        for name, group in tensors.items():
            file = f"{name}.safetensors"
            files[file] = write_file(temporary / file, save_safetensors(_unshared(group)))
        write_manifest(temporary, step, files)
        if best and final.exists():
            # First: a kill in between then leaves a state without the new score, so the run marks it again.
            _write_best(directory, final)
        move_into_place(temporary, final)
        read_verified(final)
        if best:
            _write_best(directory, final)
    except (OSError, RuntimeError, SafetensorError, DamagedError) as error:
        # torch and safetensors report a full disk as RuntimeError and SafetensorError.
        missing = ""
        shutil.rmtree(temporary, ignore_errors=True)  # before the free space is measured
        with suppress(OSError):
            free = shutil.disk_usage(directory).free
            missing = f", but the disk lacks {needed - free:,} of them" if needed > free else ""
        raise CheckpointError(
            f"{final} was not written: {error}; it needs {needed:,} bytes{missing}. Earlier checkpoints are untouched."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _prune(directory, step, keep)
    return final


def load_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint directory `path` and verify every file against the manifest.

    Raises:
        CheckpointError: it is missing, damaged, or of another format version.
    """
    step, payloads = read_verified(path)
    try:
        state = parse_json(payloads.pop("state.json"), path / "state.json")
        if not isinstance(state, dict):
            raise DamagedError(f"{path}: state.json holds no mapping")
        tensors = {name.removesuffix(".safetensors"): load_safetensors(data) for name, data in payloads.items()}
    except (KeyError, ValueError, SafetensorError) as error:
        raise DamagedError(f"{path}: {type(error).__name__}: {error}") from error
    return Checkpoint(path, step, tensors, state)


def load_latest(directory: Path) -> Checkpoint | None:
    """Load the newest intact checkpoint; None if there is no checkpoint at all.

    A damaged one is skipped with a logged warning and listed in `Checkpoint.skipped`.

    Raises:
        CheckpointError: all checkpoints are damaged, or the newest has another format version. (A run never restarts
            from scratch silently.)
    """
    skipped: list[str] = []
    for _, path in reversed(_listed(directory)):
        try:
            checkpoint = load_checkpoint(path)
        except DamagedError as error:
            logger.warning("damaged checkpoint skipped: %s", error)
            skipped.append(str(error))
            continue
        return replace(checkpoint, skipped=skipped)
    if skipped:
        raise CheckpointError(
            f"every checkpoint in {directory} is damaged:\n  " + "\n  ".join(skipped) + "\nRestore one from a backup,"
            " or move the directory away to start from the beginning."
        )
    return None


def newest_step(directory: Path) -> int:
    """Return the step of the newest checkpoint, from its name without reading it; -1 if there is none."""
    listed = _listed(directory)
    return listed[-1][0] if listed else -1


def load_best(directory: Path) -> Checkpoint | None:
    """Load the checkpoint last saved with ``best=True``; None if there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    path = _best_path(directory)
    return None if path is None else load_checkpoint(path)


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load `tensors` into `module`, all or nothing.

    Raises:
        CheckpointError: naming missing and unexpected keys and those whose shape or dtype differs.
    """
    own = module.state_dict()
    problems = [f"missing: {key}" for key in own if key not in tensors]
    problems += [f"unexpected: {key}" for key in tensors if key not in own]
    problems += [
        f"{key} is {_describe(tensors[key])} in the checkpoint, {_describe(value)} in the model"
        for key, value in own.items()
        if key in tensors and _describe(tensors[key]) != _describe(value)
    ]
    if problems:
        rest = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise CheckpointError(
            f"the checkpoint does not fit this {type(module).__name__}:\n  " + "\n  ".join(problems[:10]) + rest
        )
    module.load_state_dict(tensors)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the complete state of an optimizer (or of one wrapped by Accelerate) as named tensors and JSON."""
    inner = _unwrap(optimizer)
    tensors: dict[str, Tensor] = {}

    def split(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
        tensors.update({f"{prefix}.{key}": value for key, value in values.items() if isinstance(value, Tensor)})
        return {key: value for key, value in values.items() if not isinstance(value, Tensor)}

    saved = inner.state_dict()
    scalars = {
        "class": type(inner).__name__,
        "state": {str(index): split(f"state.{index}", values) for index, values in saved["state"].items()},
        "groups": [split(f"group.{number}", group) for number, group in enumerate(saved["param_groups"])],
    }
    return tensors, json.loads(to_json(scalars, f"the state of {type(inner).__name__}"))


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]
) -> None:
    """Restore the result of `flatten_optimizer`, including hyperparameters such as the learning rate.

    Raises:
        CheckpointError: naming the class, parameter groups, parameter counts or shapes that differ.
    """
    inner = _unwrap(optimizer)
    problems: list[str] = []

    def compare(what: str, saved: object, own: object) -> None:
        if saved != own:
            problems.append(f"{what} is {saved} in the checkpoint, {own} here")

    live = inner.state_dict()["param_groups"]
    compare("the class", scalars["class"], type(inner).__name__)
    compare("the number of parameter groups", len(scalars["groups"]), len(live))
    for number, (saved, own) in enumerate(zip(scalars["groups"], live, strict=False)):
        compare(f"the number of parameters in group {number}", len(saved["params"]), len(own["params"]))
    parameters = [parameter for group in inner.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in scalars["state"].items()}
    groups = [{**own, **saved} for own, saved in zip(live, scalars["groups"], strict=False)]
    for key, tensor in tensors.items():
        kind, index, name = key.split(".", 2)
        if kind == "group" and int(index) < len(groups):
            groups[int(index)][name] = tensor.clone()
        elif kind == "state":
            # Cloned, since load_state_dict keeps the tensor it is given and the next step writes into it.
            state.setdefault(int(index), {})[name] = tensor.clone()
            if tensor.ndim > 0 and int(index) < len(parameters):
                shape = tuple(parameters[int(index)].shape)
                compare(f"the shape of {name} of parameter {index}", tuple(tensor.shape), shape)
    if problems:
        raise CheckpointError("the saved optimizer does not fit: " + "; ".join(problems))
    for own, group in zip(live, groups, strict=True):
        for name, value in group.items():
            if isinstance(own.get(name), tuple):  # JSON knows lists only
                group[name] = tuple(value)
    inner.load_state_dict({"state": state, "param_groups": groups})


def _unwrap(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    inner: torch.optim.Optimizer = getattr(optimizer, "optimizer", optimizer)
    return inner


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{tuple(tensor.shape)}"


def _checked(tensor: object, name: str) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise CheckpointError(
            f"{name} is a {type(tensor).__name__}; only tensors are accepted, other values belong into `state`"
        )
    return tensor


def _unshared(group: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return CPU copies that share no memory, because safetensors refuses tied weights and views of one storage."""
    result: dict[str, Tensor] = {}
    storages: set[int] = set()
    for key, tensor in group.items():
        value = tensor.detach().cpu().contiguous()
        if value.untyped_storage().data_ptr() in storages:
            value = value.clone()
        storages.add(value.untyped_storage().data_ptr())
        result[key] = value
    return result


def _listed(directory: Path) -> list[tuple[int, Path]]:
    """List steps and paths, oldest first; a replaced checkpoint precedes its replacement."""
    if not directory.is_dir():
        return []
    matches = [(match, path) for path in directory.iterdir() if (match := _STEP.fullmatch(path.name)) and path.is_dir()]
    matches.sort(key=lambda pair: (int(pair[0]["step"]), pair[0]["replaced"] is None))
    return [(int(match["step"]), path) for match, path in matches]


def _best_path(directory: Path) -> Path | None:
    pointer = directory / "best.json"
    try:
        name = read_json(pointer, max_bytes=MAX_MANIFEST_BYTES)["directory"]
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{pointer} cannot be read: {error}") from error
    if not _STEP.fullmatch(str(name)):
        raise CheckpointError(f"{pointer} names {name!r}, which is not the name of a checkpoint")
    path = directory / str(name)
    return path if path.exists() else path.with_name(f".replaced-{name}")


def _write_best(directory: Path, final: Path) -> None:
    temporary = directory / f".tmp-best-{os.getpid()}"
    write_file(temporary, to_json({"directory": final.name}, "best.json"))
    temporary.replace(directory / "best.json")
    sync_directory(directory)


def _prune(directory: Path, newest: int, keep: int) -> None:
    try:
        best = _best_path(directory)
    except CheckpointError as error:
        logger.warning("no old checkpoint is removed, because the best one is unknown: %s", error)
        return
    listed = _listed(directory)
    current = [path for step, path in listed if step <= newest and not path.name.startswith(".")]
    kept = {*current[-keep:], best}
    remove(path for _, path in listed if path not in kept)
