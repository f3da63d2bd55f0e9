"""Write and print results, with the circumstances that are recorded in each."""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import find_protocol
from vidgan.evaluation.results import WINDOWED, AnyResult
from vidgan.evaluation.rows import rows_bytes, rows_path
from vidgan.evaluation.settings import ANOMALY
from vidgan.evaluation.tables import FORMATS, render
from vidgan.files import write_bytes, write_text
from vidgan.training.launcher import num_launched


@dataclass(frozen=True, kw_only=True)
class Output:
    """How a command shows a result.

    Attributes:
        format: a key of `FORMATS`, or "json".
        published: append published rows of the protocol.
        out: file to write the result to, as JSON.
    """

    format: str = "text"
    published: bool = False
    out: Path | None = None

    def check(self, protocol: str | None) -> None:
        """Raise an error before the evaluation if its result could not be shown or written.

        Args:
            protocol: name of the preset.

        Raises:
            ConfigError, ValueError: an unknown format or protocol, or no published rows. FileExistsError: `out` exists.
        """
        check_format(self.format, "json")
        if self.published and self.format == "json":
            raise ConfigError("--published has no effect on JSON, which holds measured values only")
        if self.published and (protocol in (None, ANOMALY) or not find_protocol(str(protocol)).published):
            raise ConfigError("--published: no rows are published for this evaluation; give a --protocol that has some")
        check_new(self.out)

    def show(self, result: AnyResult) -> str:
        """Write the result if `out` is set; return it as text."""
        if self.out is not None:
            write_text(self.out, result.to_json() + "\n")
            write_measurements(self.out, result)
        return render(result, self.format, published=self.published)


def check_format(name: str, *others: str) -> None:
    """Raise ConfigError if this is no output format."""
    if name not in (*FORMATS, *others):
        raise ConfigError(f"--format {name}: accepted are {', '.join((*FORMATS, *others))}")


def check_new(path: Path | None) -> None:
    """Raise FileExistsError if the output file exists."""
    if path is not None and path.exists():
        raise FileExistsError(f"{path} exists; choose another --out")


def write_measurements(file: Path, result: AnyResult) -> None:
    """Write the single measurements of a result next to its file."""
    if isinstance(result, WINDOWED):
        write_bytes(rows_path(file), rows_bytes(result.rows))


def circumstances(*, seed: int, seeds: int = 1) -> dict[str, Any]:
    """The entries of a result that are needed to repeat it: seeds, command, hardware."""
    return {
        "seeds": [seed + n for n in range(seeds)],
        "command": ["vidgan", *sys.argv[1:]],
        "hardware": hardware() | {"processes": num_launched() or 1},
    }


def hardware() -> dict[str, Any]:
    """The parts of this machine on which the rounding of a network depends."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
