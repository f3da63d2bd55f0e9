"""What a run directory holds: its config, its starts, its scores, and the models that it exports.

`model/` is written at each checkpoint and `best/` at the best evaluation, both with the average weights.
"""

import json
import logging
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import nn

import vidgan
from vidgan.build import build_networks
from vidgan.config import RunConfig, load_config
from vidgan.data.dataset import ClipDataset
from vidgan.errors import CheckpointError, ConfigError
from vidgan.evaluation.output import hardware
from vidgan.evaluation.results import library_versions
from vidgan.files import read_json, replace_folder, write_text
from vidgan.hub import FACTS, ModelFacts
from vidgan.tasks import find_task
from vidgan.training.checkpoint import Checkpoint, load_best, load_strict

__all__ = [
    "Exporter",
    "exported_step",
    "model_facts",
    "note_start",
    "refresh_exports",
    "run_config",
    "run_data",
    "save_model",
    "with_absolute_paths",
    "write_scores",
]

logger = logging.getLogger(__name__)

STARTS = "starts.jsonl"
DATA_FOLDERS = ("root", "other", "partners")  # keys of `data` in any task
PREPARATION = ("fps", "every", "fit", "resample")  # options of `vidgan prepare` that a model's facts record


def run_config(run: Path) -> RunConfig:
    """The config that a training run was made with; its `data.root` is where the data are now, if they are found.

    Raises:
        ConfigError: `run` is no training run.
    """
    written = run / "config.yaml"
    if not written.is_file():
        raise ConfigError(f"{run}: no training run (no config.yaml)")
    config = load_config(written)
    return config.model_copy(update={"data": config.data.model_copy(update={"root": str(_locate_data(run, config))})})


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
    """The config as a run records it: its paths do not depend on the directory that it was started in."""
    folders = {key: str(Path(folder).absolute()) for key in DATA_FOLDERS if (folder := getattr(config.data, key, None))}
    start = config.train.start
    if start is not None and Path(start).exists():  # otherwise the name of shipped weights
        start = str(Path(start).absolute())
    return config.model_copy(
        update={
            "out": str(Path(config.out).absolute()),
            "data": config.data.model_copy(update=folders),
            "train": config.train.model_copy(update={"start": start}),
        }
    )


def _locate_data(run: Path, config: RunConfig) -> Path:
    """Where the data of a run are: at the recorded path, or, after a move of both, at the same place beside the run."""
    recorded, out = Path(config.data.root), Path(config.out)
    if recorded.is_absolute() and (recorded.is_dir() or not out.is_absolute()):
        return recorded
    # Relative paths come from earlier versions; two of them start in the same unknown directory.
    base = Path("/") if out.is_absolute() else Path("/unknown")
    if recorded.is_absolute() == out.is_absolute():
        from_run = os.path.relpath(base / recorded, base / out / config.name)
        moved = Path(os.path.normpath(run.absolute() / from_run))
        if moved.is_dir():
            return moved
    return recorded


def note_start(run: Path, step: int, processes: int, device: str) -> None:
    """Append a start of training, with what determines its numbers, to `starts.jsonl`."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    place = {"device": device, "hardware": hardware(), "versions": library_versions()}
    with (run / STARTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "time": now, "processes": processes, **place}) + "\n")


def write_scores(run: Path, name: str, scores: dict[str, Any]) -> Path:
    """Keep a result with its run, in `scores/<name>.json`."""
    path = run / "scores" / f"{name}.json"
    write_text(path, json.dumps(scores, indent=2) + "\n")
    return path


class Exporter:
    """Writes the models of a run.

    Args:
        config: of the run.
        dataset: the training split.
        module: the generator with the average weights, which training keeps updating.
    """

    def __init__(self, config: RunConfig, dataset: ClipDataset, module: nn.Module) -> None:
        self.config, self.dataset, self.module = config, dataset, module

    def __call__(self, step: int, is_best: bool) -> None:
        """Write `model/`, and `best/` as well if `step` is the best so far."""
        for name in ("model", "best") if is_best else ("model",):
            save_model(self.module, self.config.run_dir / name, model_facts(self.config, self.dataset, step))


def refresh_exports(config: RunConfig, dataset: ClipDataset, latest: Checkpoint) -> None:
    """Write exports again that are older than their checkpoint, after a kill between the two."""
    checkpoints = {"model": latest}
    try:
        best = load_best(config.run_dir / "checkpoints")
    except CheckpointError as error:
        logger.warning("best/ is not refreshed: %s", error)
    else:
        checkpoints |= {"best": best} if best is not None else {}
    for name, checkpoint in checkpoints.items():
        folder = config.run_dir / name
        if exported_step(folder) != checkpoint.step:
            module = build_networks(config, dataset, start=False)["generator"].eval()
            load_strict(module, checkpoint.tensors["ema"])
            save_model(module, folder, model_facts(config, dataset, checkpoint.step))
            logger.warning("%s was older than %s and was written again", folder, checkpoint.path.name)


def exported_step(folder: Path) -> int | None:
    """The step of a saved model, None if there is none."""
    try:
        step = read_json(folder / FACTS)["step"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return step if isinstance(step, int) else None


def model_facts(config: RunConfig, dataset: ClipDataset, step: int) -> ModelFacts:
    """How the weights of a run at `step` were trained."""
    task = find_task(config)
    return ModelFacts(
        run=config.name,
        step=step,
        frames=config.data.frames,
        stride=config.data.stride,
        sampled_fps=config.data.fps,
        **{key: dataset.index.settings[key] for key in PREPARATION if key in dataset.index.settings},
        frame_rate=_frame_rate(config, dataset),
        batch_size=config.train.batch_size,
        seed=config.seed,
        fingerprint=dataset.index.fingerprint,
        split=dataset.index.split_hash,
        vidgan=vidgan.__version__,
        categories=tuple(dataset.category_names) if task.uses_categories(config) else None,
        captions=None if dataset.captions is None else dataset.captions.examples,
        context=task.context(config),
    )


def _frame_rate(config: RunConfig, dataset: ClipDataset) -> float | None:
    """Frames per second of the training clips after `data.stride` or `data.fps`; the median where clips differ."""
    if config.data.fps is not None:
        return config.data.fps
    stored = sorted(clip.fps for clip in dataset.index.of_split("train") if clip.fps is not None)
    return stored[len(stored) // 2] / config.data.stride if stored else None


def save_model(model: Any, folder: Path, facts: ModelFacts) -> None:
    """`save_pretrained`; the folder is replaced as a whole."""
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed run
    try:
        temporary.mkdir(parents=True)
        model.facts = facts.to_json()
        model.save_pretrained(temporary)
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
