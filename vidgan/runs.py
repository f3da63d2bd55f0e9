"""What a run directory holds, for the commands that come after training."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from vidgan.config import RunConfig, load_config
from vidgan.errors import ConfigError
from vidgan.files import write_text


def run_config(run: Path) -> RunConfig:
    """The config that a training run was made with; its `data.root` is where the data are now, if they are found.

    Raises:
        ConfigError: `run` is no training run.
    """
    written = run / "config.yaml"
    if not written.is_file():
        raise ConfigError(f"{run}: no training run (no config.yaml)")
    config = load_config(written)
    return _with_paths(config, root=str(_locate_data(run, config)), out=config.out)


def run_data(run: Path) -> Path:
    """The folder of the prepared data that a run was trained on.

    Raises:
        ConfigError: `run` is no training run, or the data are not there any more.
    """
    root = Path(run_config(run).data.root)
    if not root.is_dir():
        raise ConfigError(
            f"{run / 'config.yaml'}: data.root: {root}: no such folder; give the folder of the prepared data with"
            " --data DATA"
        )
    return root


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The config as a run records it: `data.root` and `out` do not depend on the directory that it was started in."""
    return _with_paths(config, root=os.path.abspath(config.data.root), out=os.path.abspath(config.out))


def _with_paths(config: RunConfig, *, root: str, out: str) -> RunConfig:
    return config.model_copy(update={"out": out, "data": config.data.model_copy(update={"root": root})})


def _locate_data(run: Path, config: RunConfig) -> Path:
    """Where the data of a run are: at the recorded path, or, after a move of both, at the same place beside the run."""
    recorded, out = Path(config.data.root), Path(config.out)
    if recorded.is_absolute() and (recorded.is_dir() or not out.is_absolute()):
        return recorded
    # Relative paths come from earlier versions; two of them start in the same unknown directory.
    base = Path("/") if out.is_absolute() else Path("/unknown")
    if recorded.is_absolute() == out.is_absolute():
        from_run = os.path.relpath(base / recorded, base / out / config.name)
        moved = Path(os.path.normpath(os.path.abspath(run) + os.sep + from_run))
        if moved.is_dir():
            return moved
    return recorded


def note_start(run: Path, step: int, processes: int) -> None:
    """Keep in `starts.jsonl` that training begins here, once more."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    with (run / "starts.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "time": now, "processes": processes}) + "\n")


def write_scores(run: Path, name: str, scores: dict[str, Any]) -> Path:
    """Keep a result with its run, in `scores/<name>.json`."""
    path = run / "scores" / f"{name}.json"
    write_text(path, json.dumps(scores, indent=2) + "\n")
    return path
