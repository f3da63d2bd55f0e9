"""What the benchmarks share: samples and their spread, fresh processes, tables, JSON, facts of the machine."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

# What the Makefile and the command `vidgan` tell glibc: keep large blocks instead of giving them back after every step.
KEEP_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1)}


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(samples), "low": min(samples), "high": max(samples)}


def shown(values: Mapping[str, float], digits: int = 2) -> str:
    """`median (low-high)`."""
    return f"{values['median']:.{digits}f} ({values['low']:.{digits}f}-{values['high']:.{digits}f})"


def seconds(call: Callable[[], object], repeat: int, device: str = "cpu") -> list[float]:
    """Times of `repeat` calls, after one that is not counted."""
    samples = []
    for number in range(repeat + 1):
        begun = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        if number:
            samples.append(time.perf_counter() - begun)
    return samples


def ratios(slower: Sequence[float], faster: Sequence[float]) -> dict[str, float]:
    """How many times faster, round by round: the machine's load changes from round to round."""
    return spread([a / b for a, b in zip(slower, faster, strict=True)])


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """k of cost ~ size^k, least squares in logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def in_fresh_process(script: str, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a script of this folder; its last line is JSON. The allocator is set by `environment` alone."""
    inherited = {key: value for key, value in os.environ.items() if key not in KEEP_BLOCKS}
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    ended = subprocess.run(command, env=inherited | dict(environment), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned, the first to the left."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(row, widths, strict=True)] for row in cells)
    )


def machine() -> dict[str, Any]:
    """What numbers depend on."""
    gpu = torch.cuda.is_available()
    return {
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16": torch.cpu._is_avx512_bf16_supported(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if gpu else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def save(path: Path | None, report: object) -> None:
    """Write the JSON, if it is asked for."""
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n")
