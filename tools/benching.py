"""Helpers of the benchmarks: timing, statistics, fresh processes, tables, JSON, a description of the machine."""

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

# As set by the Makefile and the `vidgan` command: glibc keeps large freed blocks instead of returning them.
KEEP_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1)}


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Return median, minimum and maximum."""
    return {"median": statistics.median(samples), "low": min(samples), "high": max(samples)}


def format_spread(values: Mapping[str, float], digits: int = 2) -> str:
    """Format the result of `spread` as `median (low-high)`."""
    return f"{values['median']:.{digits}f} ({values['low']:.{digits}f}-{values['high']:.{digits}f})"


def seconds(call: Callable[[], object], repeat: int, device: str = "cpu") -> list[float]:
    """Return the durations of `repeat` calls, after one warm-up call."""
    samples = []
    for number in range(repeat + 1):
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        if number:
            samples.append(time.perf_counter() - start)
    return samples


def ratios(slower: Sequence[float], faster: Sequence[float]) -> dict[str, float]:
    """Return the spread of the speed-up, computed per round because the machine's load changes between rounds."""
    return spread([a / b for a, b in zip(slower, faster, strict=True)])


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit k in cost ~ size^k by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def in_fresh_process(script: str, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a script of this folder and parse its last line as JSON; only `environment` configures the allocator.

    Raises:
        RuntimeError: the script failed; the message has the end of its stderr.
    """
    inherited = {key: value for key, value in os.environ.items() if key not in KEEP_BLOCKS}
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, env=inherited | dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format aligned columns, the first one to the left."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(row, widths, strict=True)] for row in cells)
    )


def machine() -> dict[str, Any]:
    """Describe the hardware and software that the measurements depend on."""
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
    """Write `report` as JSON, unless `path` is None."""
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n")
