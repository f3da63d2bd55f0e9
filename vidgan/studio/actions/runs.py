"""Look at training runs while they train; start, stop and resume a training in a process of its own."""

import re
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vidgan.commands.report import journal_warnings
from vidgan.commands.watch import progress
from vidgan.config import load_config, shipped_configs
from vidgan.errors import ConfigError
from vidgan.report.page import render_page
from vidgan.report.run import run_sections
from vidgan.runs import run_config
from vidgan.studio.lines import command_line
from vidgan.training.journal import read_journal
from vidgan.training.lock import is_held

__all__ = ["Training", "Trainings", "resume_line", "run_page", "run_status", "train_line"]

OUT: Final = "runs"
MAX_STEPS: Final = 10_000_000
MAX_BATCH: Final = 4096
MAX_TRAININGS: Final = 2  # at a time
LOG_BYTES: Final = 4000  # of the output of a training that a page shows
STOP_SECONDS: Final = 60.0  # that a training has to save its checkpoint
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True)
class Training:
    """A training that this studio started.

    Attributes:
        run: its folder.
        line: its command line.
        process: that trains.
        log: file of its output.
    """

    run: Path
    line: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def is_running(self) -> bool:
        """Whether it still trains."""
        return self.process.poll() is None

    def output(self) -> str:
        """The end of what it printed."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace")


class Trainings:
    """The trainings of a studio. They end, with a checkpoint, when the studio ends.

    Args:
        scratch: folder for their output.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._by_run: dict[Path, Training] = {}
        self._lock = threading.Lock()

    def start(self, run: Path, line: str) -> Training:
        """Start the command line of a training.

        Args:
            run: folder of the run.
            line: from `train_line` or `resume_line`.

        Raises:
            ConfigError: the run is being trained, or too many others are.
        """
        key = run.resolve()  # a run has several names: below runs/, or below a given folder
        with self._lock:
            if is_held(run) or ((old := self._by_run.get(key)) is not None and old.is_running):
                raise ConfigError(f"{run}: is being trained already")
            if sum(training.is_running for training in self._by_run.values()) >= MAX_TRAININGS:
                raise ConfigError(f"{MAX_TRAININGS} trainings are running, the most that are accepted; stop one first")
            self.scratch.mkdir(parents=True, exist_ok=True)
            log = self.scratch / f"{len(list(self.scratch.iterdir()))}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", *shlex.split(line)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the studio's terminal stops it through `close`
                )
            self._by_run[key] = Training(run, line, process, log)
            return self._by_run[key]

    def find(self, run: Path) -> Training | None:
        """The newest training of a run that this studio started."""
        with self._lock:
            return self._by_run.get(run.resolve())

    def stop(self, run: Path) -> None:
        """Ask a training to save a checkpoint and end.

        Raises:
            ConfigError: this studio does not train the run.
        """
        training = self.find(run)
        if training is None or not training.is_running:
            raise ConfigError(f"{run}: no training that was started here; stop it where it was started")
        training.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Stop all trainings and wait until they have saved."""
        with self._lock:
            running = [training for training in self._by_run.values() if training.is_running]
        for training in running:
            training.process.send_signal(signal.SIGTERM)
        for training in running:
            try:
                training.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                training.process.kill()


def run_status(run: Path) -> str:
    """Step, time left, speed and losses of a run, and whether it trains."""
    config = run_config(run)
    text = progress(read_journal(run, skip_invalid=True), config.train.steps)
    return f"{text}; {'training' if is_held(run) else 'no process trains it'}"


def run_page(run: Path) -> str:
    """The report of a run as a page: warnings, previews, scores, curves, config.

    Raises:
        ConfigError: no training run.
    """
    config = run_config(run)
    sections = run_sections(run, warnings=journal_warnings(run))
    return render_page(title=config.name, subtitle=f"{config.task}: {run_status(run)}", sections=sections)


def train_line(config: str, data: Path, name: str, steps: float | None, batch: float | None) -> tuple[Path, str]:
    """The folder of a new run, and the command that trains it.

    Args:
        config: name of a shipped config.
        data: folder of prepared data.
        name: of the run.
        steps, batch: None: as in the config.

    Raises:
        ConfigError: an invalid value, or the config does not accept it.
    """
    configs = shipped_configs()
    if config not in configs:
        raise ConfigError(f"config {config!r}: not in the list")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name {name!r}: accepted are up to 60 letters, digits, dots, hyphens and underscores")
    for key, value, most in (("steps", steps, MAX_STEPS), ("batch size", batch, MAX_BATCH)):
        if value is not None and not (float(value).is_integer() and 1 <= value <= most):
            raise ConfigError(f"{key} is {value}; accepted are whole numbers from 1 to {most}")
    changes = [f"data.root={data}", f"name={name}", f"out={OUT}"]
    changes += [f"train.steps={int(steps)}"] if steps else []
    changes += [f"train.batch_size={int(batch)}"] if batch else []
    load_config(configs[config], changes)
    run = Path(OUT) / name
    if run.exists():
        raise ConfigError(f"{run}: exists already; choose another name, or resume it")
    return run, command_line("train", [config, *changes])


def resume_line(run: Path) -> str:
    """The command that resumes a run."""
    config = run_config(run)
    return command_line(
        "train", [run / "config.yaml", f"out={run.parent}", f"name={config.name}", f"data.root={config.data.root}"]
    )
