"""What a run directory holds, for the verbs that come after training."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from vidgan.config import RunConfig, load_config
from vidgan.errors import ConfigError
from vidgan.files import write_text


def run_config(run: Path) -> RunConfig:
    """The config that a training run was made with.

    Raises:
        ConfigError: `run` is no training run.
    """
    written = run / "config.yaml"
    if not written.is_file():
        raise ConfigError(f"{run}: no training run (no config.yaml)")
    return load_config(written)


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
