"""Compare two runs bit for bit."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vidgan.training.journal import JOURNAL, drop_volatile, read_journal

__all__ = ["is_identical", "journal_differences", "tensor_differences"]


def journal_differences(one: Path, other: Path, *, cut_short: bool = False) -> list[str]:
    """List `step N: key: a | b` for all values that differ and lines that are missing, up to the last common step.

    Args:
        one, other: run directories.
        cut_short: the second run ended early, where everything is logged, previewed and evaluated; of its last step,
            only what the first run has is compared.
    """
    if missing := [run for run in (one, other) if not (run / JOURNAL).is_file()]:
        return [f"{run} has no {JOURNAL}" for run in missing]
    journals = []
    for run in (one, other):
        steps: dict[int, list[dict[str, object]]] = {}
        for record in drop_volatile(read_journal(run)):
            steps.setdefault(record["step"], []).append(record)
        journals.append(steps)
    first, second = journals
    last_common = min(max(first, default=0), max(second, default=0))
    differences = []
    for step in sorted(set(first) | set(second)):
        if step > last_common:
            break
        lines = first.get(step, []), second.get(step, [])
        is_cut = cut_short and step == last_common
        if len(lines[0]) != len(lines[1]) and not is_cut:
            differences.append(f"step {step}: {len(lines[0])} lines | {len(lines[1])} lines")
        for a, b in zip(*lines, strict=False):
            keys = a.keys() - {"observed"} if is_cut else a.keys() | b.keys()
            differences += [
                f"step {step}: {key}: {a.get(key)} | {b.get(key)}" for key in sorted(keys) if a.get(key) != b.get(key)
            ]
    return differences


def tensor_differences(one: Mapping[str, Mapping[str, Tensor]], other: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """`FILE: tensor` for all tensors of two checkpoints that differ in a bit, or that only one has."""
    differences = []
    for name in sorted(one.keys() | other.keys()):
        first, second = one.get(name, {}), other.get(name, {})
        for key in sorted(first.keys() | second.keys()):
            if key not in first or key not in second or not is_identical(first[key], second[key]):
                differences.append(f"{name}: {key}")
    return differences


def is_identical(a: Tensor, b: Tensor) -> bool:
    """Whether dtype, shape and all bits are the same; equal NaNs are identical, 0.0 and -0.0 are not."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(*(tensor.reshape(-1).view(torch.uint8) for tensor in (a, b)))
