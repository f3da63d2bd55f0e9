"""The models that a run leaves: `model/` at each checkpoint, `best/` at the best evaluation, of the average weights."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from torch import nn

import vidgan
from vidgan.build import build_networks
from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.errors import CheckpointError
from vidgan.files import replace_folder
from vidgan.hub import ModelFacts
from vidgan.training.checkpoint import Checkpoint, load_best, load_strict

logger = logging.getLogger(__name__)


class Exporter:
    """Writes the module that it was given (the average, which training keeps moving).

    Args:
        module: the generator with the average weights.
    """

    def __init__(self, config: RunConfig, dataset: ClipDataset, module: nn.Module) -> None:
        self.config, self.dataset, self.module = config, dataset, module

    def __call__(self, step: int, best: bool) -> None:
        """Write `model/`, and `best/` too where `step` is the best so far."""
        for name in ("model", "best") if best else ("model",):
            save_model(self.module, self.config.run_dir / name, facts(self.config, self.dataset, step).to_json())


def refresh_exports(config: RunConfig, dataset: ClipDataset, latest: Checkpoint) -> None:
    """Write again what a kill between a checkpoint and its export has left older than the checkpoint."""
    wanted = {"model": latest}
    try:
        best = load_best(config.run_dir / "checkpoints")
    except CheckpointError as error:
        logger.warning("best/ stays as it is: %s", error)
    else:
        wanted |= {"best": best} if best is not None else {}
    for name, checkpoint in wanted.items():
        folder = config.run_dir / name
        if exported_step(folder) != checkpoint.step:
            module = build_networks(config, dataset)["generator"].eval()
            load_strict(module, checkpoint.tensors["ema"])
            save_model(module, folder, facts(config, dataset, checkpoint.step).to_json())
            logger.warning("%s was older than %s and was written again", folder, checkpoint.path.name)


PREPARATION = ("fps", "every", "fit", "resample")  # options of `vidgan prepare` that a model's facts record


def exported_step(folder: Path) -> int | None:
    """The step of a saved model, None where there is none."""
    try:
        step = json.loads((folder / "vidgan.json").read_text())["step"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return step if isinstance(step, int) else None


def facts(config: RunConfig, dataset: ClipDataset, step: int) -> ModelFacts:
    """How the weights of a run at `step` were trained."""
    return ModelFacts(
        run=config.name,
        step=step,
        frames=config.data.frames,
        stride=config.data.stride,
        sampled_fps=config.data.fps,
        **{key: dataset.index.settings[key] for key in PREPARATION if key in dataset.index.settings},
        batch_size=config.train.batch_size,
        seed=config.seed,
        fingerprint=dataset.index.fingerprint,
        split=dataset.index.split_hash,
        vidgan=vidgan.__version__,
        categories=None if config.objective.category_source is None else tuple(dataset.category_names),
        context=config.data.context,
    )


def save_model(model: Any, folder: Path, told: dict[str, Any]) -> None:
    """`save_pretrained`, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed run left
    try:
        temporary.mkdir(parents=True)
        model.facts = told
        model.save_pretrained(temporary)
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
